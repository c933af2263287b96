# SPDX-License-Identifier: Apache-2.0
"""The verified state, and whether it still holds. Once lost it stays lost: verify anew."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from pyhash import gate
from pyhash.errors import CheckError, UsageError, VerificationError
from pyhash.verify_checkpoint import Verified, expect_verified

VERIFYING, READY, LOST = "verifying", "ready", "lost"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at one time.

    Attributes:
        state: ``verifying``, ``ready`` or ``lost``.
        guarantee: Name of the guarantee that was reached; empty before.
        root: Checkpoint root, hex; None: none yet, or none that was signed.
        size: Bytes hashed by the verification.
        seconds: Wall time of the verification.
        mismatches: Findings since the start.
        last_success: When all was last as verified, seconds since 1970; 0: never.
        reason: Name of the error that lost it, which names no file; empty: none did.
    """

    state: str
    guarantee: str = ""
    root: str | None = None
    size: int = 0
    seconds: float = 0.0
    mismatches: int = 0
    last_success: float = 0.0
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether the verified state holds. Raises nothing."""
        return self.state == READY


class Health:
    """Thread-safe: a look is taken by one thread while the others wait for its answer."""

    def __init__(self, max_age: float) -> None:
        """Begin without a proof: not ready.

        Args:
            max_age: Seconds for which a look counts.

        Raises:
            UsageError: Not a positive number.
        """
        if not 0 < max_age < float("inf"):
            raise UsageError("a look must count for more than 0 seconds, and not for ever")
        self._max_age = max_age
        self._lock = threading.Lock()
        self._verified: Verified | None = None
        self._looked = 0.0
        self._last_success = 0.0
        self._mismatches = 0
        self._error: VerificationError | CheckError | None = None

    @property
    def error(self) -> VerificationError | CheckError | None:
        """What lost the state, with the names of files; None: nothing did. Raises nothing."""
        return self._error

    def hold(self, verified: Verified) -> None:
        """Take a new proof, which is looked at at once.

        Args:
            verified: The proof.

        Raises:
            UsageError: Not a ``Verified`` that ``verify`` made.
        """
        with self._lock:
            self._verified = expect_verified(verified)
            self._error = None
            self._look()

    def snapshot(self) -> Snapshot:
        """Return what holds now, by a look that is at most ``max_age`` old. Raises nothing."""
        with self._lock:
            is_old = time.monotonic() - self._looked >= self._max_age
            if self._verified is not None and self._error is None and is_old:
                self._look()
            return self._shown()

    def _look(self) -> None:
        verified = self._verified
        if verified is None:
            return
        try:
            gate.check_unchanged(verified)
        except (VerificationError, CheckError) as error:
            self._error = error
            if isinstance(error, VerificationError):
                self._mismatches += max(1, len(error.findings))
        else:
            self._last_success = time.time()
        self._looked = time.monotonic()

    def _shown(self) -> Snapshot:
        verified = self._verified
        if verified is None:
            return Snapshot(VERIFYING)
        return Snapshot(
            READY if self._error is None else LOST,
            verified.guarantee,
            None if verified.root is None else verified.root.hex(),
            verified.size,
            verified.seconds,
            self._mismatches,
            self._last_success,
            "" if self._error is None else type(self._error).__name__,
        )
