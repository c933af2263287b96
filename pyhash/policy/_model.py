# SPDX-License-Identifier: Apache-2.0
"""What one verification is held against, as frozen data that cannot contradict itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, replace
from typing import TYPE_CHECKING

from pyhash import limits
from pyhash.errors import FormatError, PolicyError, UsageError
from pyhash.frozen import frozen
from pyhash.merkle import DIGEST_BYTES, parse_root
from pyhash.paths import check_ignored_path
from pyhash.policy._signers import count_signers
from pyhash.signing import Verifier, load_verifier

if TYPE_CHECKING:
    from pyhash.access import AccessLog
    from pyhash.log.checkpoint import TrustedLog
    from pyhash.provenance.requirements import Requirements

ENFORCE, WARN, OFF = "enforce", "warn", "off"
MODES = (ENFORCE, WARN, OFF)

# Weakest first. What a policy may ask for; one that this version cannot give is never met.
GUARANTEES = ("receipt", "sampled", "content", "kernel", "loaded")

_SEAL = object()


@frozen
class Policy:
    """What a verification is held against. Immutable, thread-safe.

    Attributes:
        keys: Trusted keys and identities. Never empty, but where ``mode`` is ``off``.
        ignore: Paths that may be there unsigned, relative to the checkpoint, ``/``-separated; a
            directory stands for everything below it. No patterns.
        roots: The only checkpoint roots to accept, 32 bytes each: an older release by the same key
            is validly signed too. Empty: any.
        signatures: How many independent signers must have signed; each counts once.
        min_release: Least release counter; None: releases need none.
        max_age: Seconds since a release was signed; None: any.
        release_name: Name that the release must be signed under; None: any, or none.
        guarantee: The least of ``GUARANTEES`` that is accepted; None: what the caller asks for.
        mode: ``enforce``; ``warn`` or ``off`` let ``pyhash run`` start what did not verify, and
            say so. ``verify`` enforces whatever this is.
        state: Directory that remembers the highest release seen; None: nothing is remembered.
        require_log: Nothing may be done with the checkpoint that is not recorded in a log.
        log: Where the bundle must be logged, with a proof beside the checkpoint; None: nowhere.
        provenance: What is required of its lineage, see ``history``; None: nothing.
        rule: Which rule of which file this is, for people; empty without a file.
        location: The checkpoint that the rule was chosen for, an absolute path; empty without.
        files: What the policy was read from; none of it may lie in the checkpoint.

    Raises:
        UsageError: No key, fewer keys than signatures, a path that could reach outside or holds a
            pattern, or a value that means nothing.
    """

    keys: tuple[Verifier, ...]
    ignore: tuple[str, ...] = ()
    roots: tuple[bytes, ...] = ()
    signatures: int = 1
    min_release: int | None = None
    max_age: int | None = None
    release_name: str | None = None
    guarantee: str | None = None
    mode: str = ENFORCE
    state: str | None = None
    rule: str = ""
    location: str = ""
    files: tuple[str, ...] = ()
    require_log: bool = False
    log: TrustedLog | None = None
    provenance: Requirements | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if not self.keys and self.mode != OFF:
            raise UsageError("a policy needs at least one trusted key")
        _check_signatures(self)
        for path in self.ignore:
            try:
                check_ignored_path(path)
            except FormatError as error:
                raise UsageError(f"cannot ignore this path: {error}") from error
        if any(len(root) != DIGEST_BYTES for root in self.roots):
            raise UsageError(f"a checkpoint root has {DIGEST_BYTES} bytes")
        if self.guarantee is not None and self.guarantee not in GUARANTEES:
            known = ", ".join(GUARANTEES)
            raise UsageError(f"the guarantee is one of {known}, not {self.guarantee!r}")
        _check_range("min-release", self.min_release, 0, limits.MAX_JSON_INTEGER)
        _check_range("max-age (seconds)", self.max_age, 1, limits.MAX_AGE_SECONDS)

    @classmethod
    def from_key_files(
        cls,
        key_files: Iterable[str | os.PathLike[str]],
        *,
        ignore: Iterable[str] = (),
        root: str | None = None,
        state: str | os.PathLike[str] | None = None,
    ) -> Policy:
        """Load trusted keys from files.

        Args:
            key_files: Key references; usually paths of PEM files with one public key each.
            ignore: See the attribute.
            root: The only root to accept, spelled ``pyhash-v1:<64 hex digits>``; None: any.
            state: See the attribute.

        Returns:
            The policy; any one of the keys may have signed.

        Raises:
            UsageError: No key, one path instead of a list of them, or a bad ``ignore`` or ``root``.
            KeyFileError: A key cannot be read, or is of a kind we do not take.
        """
        if isinstance(key_files, (str, os.PathLike)) or isinstance(ignore, str):
            raise UsageError("give key files and ignored paths as lists, not as one string")
        pinned = () if root is None else (parse_root(root),)
        keys = tuple(load_verifier(reference) for reference in key_files)
        place = None if state is None else os.fspath(state)
        return cls(keys, tuple(ignore), pinned, state=place)

    def check_guarantee(self, guarantee: str) -> None:
        """Refuse a guarantee that is weaker than what is accepted, or not known at all.

        Args:
            guarantee: Its name.

        Raises:
            PolicyError: It is too weak.
        """
        if self.guarantee is None:
            return
        strong_enough = GUARANTEES[GUARANTEES.index(self.guarantee) :]
        if guarantee not in strong_enough:
            raise PolicyError(
                f"the guarantee would be {guarantee!r}, and {self.rule or 'the policy'} accepts"
                f" nothing weaker than {self.guarantee!r}"
            )

    def check_logged(self) -> None:
        """Refuse to go on where the access must be recorded and nobody has said where.

        Raises:
            PolicyError: Only ``logged`` lifts this.
        """
        if self.require_log:
            raise PolicyError(
                f"{self.rule or 'the policy'} requires that every access is recorded: name a log"
                " (--log DIR)"
            )

    def logged(self, log: AccessLog) -> Policy:
        """Return this policy for an access that will be recorded.

        Args:
            log: The log, open: it has been found that it can be written.

        Raises:
            UsageError: Not a log that ``pyhash.access.open_access_log`` opened.
        """
        from pyhash.access import AccessLog

        if not isinstance(log, AccessLog):
            raise UsageError(f"this takes an AccessLog, not a {type(log).__name__}")
        return replace(self, require_log=False)

    def located(self, location: str, state: str | None = None) -> Policy:
        """Return this policy as that of one checkpoint.

        Args:
            location: The checkpoint, an absolute path.
            state: Directory to remember releases in; None: as it is.

        Raises:
            UsageError: There is such a directory already, and it is another one.
        """
        if None not in (state, self.state) and state != self.state:
            raise UsageError(
                f"releases are remembered in {self.state}, as {self.rule} says, not in {state}"
            )
        return replace(self, location=location, state=self.state or state)

    def waive(self) -> Waiver:
        """Return the permission to start what did not verify, which only such a rule gives.

        Raises:
            UsageError: The policy enforces, or comes from no file.
        """
        return Waiver(self.mode, self.rule, _SEAL)


@dataclass(frozen=True, slots=True)
class Waiver:
    """Permission to start a command behind a checkpoint that was not verified.

    Only ``Policy.waive`` makes one, and only of a rule whose mode is ``warn`` or ``off``.

    Attributes:
        mode: ``warn`` or ``off``.
        rule: The rule that gives it.

    Raises:
        UsageError: Anybody else makes one, or the mode is ``enforce``, or there is no rule.
    """

    mode: str
    rule: str
    _seal: InitVar[object]

    def __post_init__(self, _seal: object) -> None:
        if _seal is not _SEAL:
            raise UsageError("only a policy's rule makes a Waiver")
        if self.mode not in (WARN, OFF) or not self.rule:
            raise UsageError("only a rule of a policy file with mode warn or off lets this start")


def _check_signatures(policy: Policy) -> None:
    """Refuse a threshold that switches the check off, or that nobody could ever meet."""
    wanted = policy.signatures
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise UsageError(f"signatures is a number of at least 1, not {wanted!r}")
    trusted = count_signers(policy.keys)
    if policy.keys and wanted > trusted:
        raise UsageError(f"{wanted} signatures are needed, but only {trusted} signers are trusted")


def _check_range(what: str, value: int | None, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{what} is a number from {least} to {most}, not {value!r}")
