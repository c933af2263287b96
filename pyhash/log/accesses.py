# SPDX-License-Identifier: Apache-2.0
"""Who had access to a checkpoint: every event about it in a log, the whole of it verified."""

from __future__ import annotations

from dataclasses import dataclass

from pyhash.errors import UsageError
from pyhash.log.events import AccessEvent, load_event
from pyhash.log.proof import Proof, VerifiedEntry
from pyhash.log.reader import LogReader, Progress
from pyhash.merkle import parse_root


@dataclass(frozen=True, slots=True)
class ProvenAccess:
    """An event, and where it stands in its log.

    Attributes:
        event: What was recorded.
        entry: The entry.
        proof: That the entry is in the log.
    """

    event: AccessEvent
    entry: VerifiedEntry
    proof: Proof


def find_accesses(
    log: LogReader, root: str, *, progress: Progress | None = None
) -> tuple[ProvenAccess, ...]:
    """Return every event about a checkpoint, in order.

    The log is read and verified whole, so that no event can have been left out of the answer.

    Args:
        log: The log.
        root: The checkpoint, ``pyhash-v1:<64 hex>``.
        progress: Called with (entries done, entries in all).

    Raises:
        UsageError: Not a root.
        LogError, ReadError, FormatError: The log does not verify.
    """
    parse_root(root)
    found = []
    for entry in log.verify_entries(progress):
        event = load_event(entry.entry, f"{log.directory}: entry {entry.index}")
        if event is not None and event.root == root:
            found.append((event, entry))
    return tuple(ProvenAccess(event, entry, log.prove(entry.index)[1]) for event, entry in found)


def find_entry(log: LogReader, entry: bytes) -> int:
    """Return the number of the last entry with these bytes; the log is verified whole.

    Raises:
        UsageError: There is none.
        LogError, ReadError, FormatError: The log does not verify.
    """
    index = None
    for one in log.verify_entries():
        if one.entry == entry:
            index = one.index
    if index is None:
        raise UsageError(f"{log.directory}: has no such entry")
    return index
