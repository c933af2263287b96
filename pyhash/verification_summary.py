# SPDX-License-Identifier: Apache-2.0
"""The receipt of a start: an in-toto statement with a SLSA verification summary, signed or not.

It says what was verified, when, against which policy, and how far. It never makes anything start.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pyhash import atomic, files, limits, locations
from pyhash.errors import ChangedWhileReadError, CheckError, UsageError, WriteError
from pyhash.manifest import FORMAT_NAME, STATEMENT_TYPE, format_time
from pyhash.policy import Policy
from pyhash.signing import Signer, dump_bundle, sign_payload
from pyhash.verify_checkpoint import Verified, expect_verified

PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
VERIFIER_ID = "https://pyhash-checkpoint.org/verifier/v1"
SLSA_VERSION = "1.0"
LEVEL_PREFIX = "PYHASH_GUARANTEE_"


@dataclass(frozen=True, slots=True)
class StartReceipt:
    """Where the receipt of one start goes. Not to be used by two threads at once.

    Attributes:
        path: The file.
        location: The checkpoint.
        bundle: Its signature file.
        policy: What it is held against.
        signer: Signs the receipt; None: it is the bare statement.
        bundle_digest: SHA-256 of the bundle before the verification, hex; None: unreadable.
    """

    path: str
    location: str
    bundle: str
    policy: Policy
    signer: Signer | None
    bundle_digest: str | None = field(default=None)

    def write_passed(self, verified: Verified) -> None:
        """Say that it verified, in place of what was there.

        Args:
            verified: The proof.

        Raises:
            ChangedWhileReadError: The bundle is another one than before the verification.
            WriteError: The system refused.
            CheckError: The signer could not sign.
        """
        verified = expect_verified(verified)
        if self.bundle_digest is None or _digest(self.bundle) != self.bundle_digest:
            raise ChangedWhileReadError(f"{self.bundle}: changed while the checkpoint was verified")
        level = LEVEL_PREFIX + verified.guarantee.upper()
        self._write("PASSED", [level], verified.root)

    def write_failed(self) -> None:
        """Say that it did not verify, or could not be checked.

        Raises:
            WriteError: The system refused.
            CheckError: The signer could not sign.
        """
        self._write("FAILED", ["FAILED"], None)

    def _write(self, result: str, levels: list[str], root: bytes | None) -> None:
        data = json.dumps(
            {
                "_type": STATEMENT_TYPE,
                "subject": [self._subject(root)],
                "predicateType": PREDICATE_TYPE,
                "predicate": self._predicate(result, levels),
            },
            separators=(",", ":"),
        ).encode("ascii")
        if self.signer is not None:
            data = dump_bundle(sign_payload(data, self.signer))
        atomic.write_file(self.path, data if self.signer is not None else data + b"\n")

    def _subject(self, root: bytes | None) -> dict[str, object]:
        """The checkpoint by its root; without one the bundle, or else the place by its name."""
        if root is not None:
            return {"name": self._shown(self.location), "digest": {FORMAT_NAME: root.hex()}}
        if self.bundle_digest is not None:
            return {"name": self._shown(self.bundle), "digest": {"sha256": self.bundle_digest}}
        digest = hashlib.sha256(os.fsencode(os.path.abspath(self.location))).hexdigest()
        return {"name": self._shown(self.location), "digest": {"pyhash-path-sha256": digest}}

    def _predicate(self, result: str, levels: list[str]) -> dict[str, object]:
        inputs = []
        if self.bundle_digest is not None:
            inputs = [{"uri": _uri(self.bundle), "digest": {"sha256": self.bundle_digest}}]
        return {
            "verifier": {"id": VERIFIER_ID},
            "timeVerified": format_time(int(time.time())),
            "resourceUri": _uri(self.location),
            "policy": _describe_policy(self.policy),
            "inputAttestations": inputs,
            "verificationResult": result,
            "verifiedLevels": levels,
            "slsaVersion": SLSA_VERSION,
        }

    @staticmethod
    def _shown(path: str) -> str:
        return os.fsencode(path).decode("utf-8", "backslashreplace")


def begin_receipt(
    path: str, location: str, bundle: str, policy: Policy, signer: Signer | None = None
) -> StartReceipt:
    """Take the receipt of an earlier start away, before the verification begins.

    Args:
        path: Where the receipt goes; not into the checkpoint.
        location: The checkpoint.
        bundle: Its signature file.
        policy: What it will be held against.
        signer: Signs the receipt; None: nobody.

    Raises:
        UsageError: The receipt would lie in the checkpoint.
        WriteError: The earlier one cannot be removed.
    """
    if os.path.isdir(location) and locations.inside(location, path) is not None:
        raise UsageError(f"{path}: lies inside the checkpoint {location}; put it elsewhere")
    if os.path.abspath(path) in (os.path.abspath(location), os.path.abspath(bundle)):
        raise UsageError(f"{path}: is a file of the checkpoint; put it elsewhere")
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be replaced: {error.strerror}", path) from error
    return StartReceipt(path, location, bundle, policy, signer, _digest(bundle))


def _digest(path: str) -> str | None:
    try:
        return hashlib.sha256(files.read_small(path, limits.MAX_BUNDLE_BYTES)).hexdigest()
    except CheckError:
        return None


def _uri(path: str) -> str:
    return Path(os.path.abspath(path)).as_uri()


def _describe_policy(policy: Policy) -> dict[str, object]:
    """A policy file by its bytes; keys of a command line by their hints and what goes with them."""
    if policy.rule and policy.files:
        digest = _digest(policy.files[0])
        found: dict[str, object] = {"uri": _uri(policy.files[0])}
        return found if digest is None else {**found, "digest": {"sha256": digest}}
    said = {
        "ignore": sorted(policy.ignore),
        "keys": sorted(key.hint for key in policy.keys),
        "roots": sorted(root.hex() for root in policy.roots),
    }
    text = json.dumps(said, separators=(",", ":"), sort_keys=True).encode("ascii")
    uri = "https://pyhash-checkpoint.org/policy/keys-v1"
    return {"uri": uri, "digest": {"sha256": hashlib.sha256(text).hexdigest()}}
