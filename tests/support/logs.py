# SPDX-License-Identifier: Apache-2.0
"""What the tests of logs share: an RFC 6962 tree by hashlib alone, and logs with known keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyhash.log.checkpoint import TrustedLog
from pyhash.log.note_keys import LOG, WITNESS, NoteSigner, generate_note_key
from pyhash.log.reader import LogReader, open_log
from pyhash.log.writer import append_entries, init_log

ORIGIN = "example.com/log"


def leaf(entry: bytes) -> bytes:
    """RFC 6962, 2.1: the hash of one entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def root(entries: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1: MTH."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return leaf(entries[0])
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return hashlib.sha256(b"\1" + root(entries[:k]) + root(entries[k:])).digest()


def path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1: PATH."""
    if len(entries) == 1:
        return []
    k = 1
    while 2 * k < len(entries):
        k *= 2
    if index < k:
        return [*path(index, entries[:k]), root(entries[k:])]
    return [*path(index - k, entries[k:]), root(entries[:k])]


def subproof(old: int, entries: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962, 2.1.2: SUBPROOF."""
    if old == len(entries):
        return [] if whole else [root(entries)]
    k = 1
    while 2 * k < len(entries):
        k *= 2
    if old <= k:
        return [*subproof(old, entries[:k], whole), root(entries[k:])]
    return [*subproof(old - k, entries[k:], False), root(entries[:k])]


@dataclass(frozen=True, slots=True)
class TestLog:
    """A log, its key, and a witness."""

    __test__ = False
    directory: Path
    signer: NoteSigner
    witness: NoteSigner

    @property
    def trust(self) -> TrustedLog:
        """Trust in the log, without a witness."""
        return TrustedLog(self.signer.verifier)

    @property
    def witnessed(self) -> TrustedLog:
        """Trust that wants the witness too."""
        return TrustedLog(self.signer.verifier, (self.witness.verifier,), 1)

    def append(self, *entries: bytes) -> None:
        """Append entries."""
        append_entries(self.directory, self.signer, entries)

    def open(self) -> LogReader:
        """Open it for reading."""
        return open_log(self.directory, self.trust)

    def entries(self) -> list[bytes]:
        """All entries, verified."""
        return [one.entry for one in self.open().verify_entries()]


def make_log(directory: Path, *entries: bytes) -> TestLog:
    """Begin a log with entries."""
    log = TestLog(
        directory, generate_note_key(ORIGIN, LOG), generate_note_key("witness.example", WITNESS)
    )
    init_log(directory, log.signer)
    if entries:
        log.append(*entries)
    return log
