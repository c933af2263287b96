# SPDX-License-Identifier: Apache-2.0
"""What makes a load leave a trace in a log, or not take place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyhash.access import AccessLog, failures_recorded, record_access
from pyhash.loading._source import Source
from pyhash.locations import places
from pyhash.policy import Policy
from pyhash.signed_bundle import inspect_signed


@dataclass(frozen=True, slots=True)
class Recording:
    """One load that will be recorded, or, without a log, that need not be.

    Attributes:
        log: Where to; None: nothing is recorded.
        location: The checkpoint as the caller named it.
        policy: The caller's; with a log, one that has been told of it.
    """

    log: AccessLog | None
    location: str | os.PathLike[str]
    policy: Policy

    def done(self, source: Source, files: Sequence[str] = (), *, outcome: str = "done") -> None:
        """Record that bytes are handed out; to be called before they are.

        Args:
            source: Where they come from. Ranges that it read are named; of whole files, none.
            files: Files that are handed out; empty: those of the ranges, or all.
            outcome: ``begun``: all that will be read later is covered by this event.

        Raises:
            CheckError: It cannot be recorded; nothing may be handed out.
        """
        if self.log is None:
            return
        opened = source.opened
        event = self.log.event(
            "load",
            outcome,
            self.location,
            root=opened.manifest.root,
            files=files or sorted({path for path, _, _ in source.ranges_read}),
            ranges=source.ranges_read if outcome == "done" else (),
            key=opened.key_hint,
        )
        record_access(self.log, event)


@contextmanager
def recording(
    log: AccessLog | None,
    location: str | os.PathLike[str],
    policy: Policy,
    signature: str | os.PathLike[str] | None,
) -> Iterator[Recording]:
    """Do something with a checkpoint that is recorded also when it is refused or fails.

    Args:
        log: Where to; None: nowhere.
        location: The checkpoint.
        policy: Whom to trust.
        signature: The bundle; None: its usual place.

    Raises:
        UsageError: The log is none that ``pyhash.access.open_access_log`` opened.
        Whatever the block raises.
    """
    if log is None:
        yield Recording(None, location, policy)
        return
    told = policy.logged(log)

    def claimed() -> bytes | None:
        bundle, _ = places(location, signature, None)
        return inspect_signed(bundle, told, location=location).manifest.root

    with failures_recorded(log, "load", location, claimed):
        yield Recording(log, location, told)
