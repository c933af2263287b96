# SPDX-License-Identifier: Apache-2.0
"""The store's access log held against the clients' own: which accesses does no event explain?

A client records what it did when it has done it, and names the root. An access to a file of that
release, not long before, by that client's credential where both sides name one, is explained.
What the store answered with a refusal is reported apart: nothing was had, but somebody tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyhash.log.events import AccessEvent
from pyhash.merkle import parse_root
from pyhash.releases import POINTER_NAME
from pyhash.store.access_records import AccessRecord

SLACK = timedelta(minutes=2)  # between two clocks
WINDOW = timedelta(hours=6)  # the longest that one pull or push takes
_RELEASE = re.compile(r"(?:.*/)?releases/(?P<root>[0-9a-f]{64})/.+")
_OPERATIONS = ("pull", "push", "load", "share")
_READS = frozenset({"GET", "HEAD"})
_WRITES = frozenset({"PUT", "POST", "DELETE"})


@dataclass(frozen=True, slots=True)
class Unexplained:
    """An access that no client has recorded.

    Attributes:
        record: The access.
        reason: Why no event explains it.
        was_refused: The store gave nothing.
    """

    record: AccessRecord
    reason: str
    was_refused: bool


def reconcile(
    records: Iterable[AccessRecord],
    events: Sequence[AccessEvent],
    *,
    window: timedelta = WINDOW,
    names: Mapping[str, str] | None = None,
) -> list[Unexplained]:
    """Return the accesses that no event explains, in their order. Pure, thread-safe.

    Raises nothing.

    Args:
        records: What the store has seen.
        events: What clients have recorded in the transparency log.
        window: How long before its event an access may be.
        names: What the store calls a requester, for a credential that clients record under another
            name.
    """
    moments = [(one, _moment(one)) for one in events if one.operation in _OPERATIONS]
    found = []
    for record in records:
        reason = _unexplained(record, moments, window, names or {})
        if reason:
            found.append(Unexplained(record, reason, record.status >= 400))
    return found


def _moment(event: AccessEvent) -> datetime:
    return datetime.strptime(event.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _unexplained(
    record: AccessRecord,
    events: Sequence[tuple[AccessEvent, datetime]],
    window: timedelta,
    names: Mapping[str, str],
) -> str:
    """Why no event explains a record; empty when one does."""
    root = _root_of(record.key)
    if root is None and record.key.rpartition("/")[2] != POINTER_NAME:
        return "not a file of a release"
    if record.method not in _READS | _WRITES:
        return f"{record.method} is no part of a pull or push"
    wanted = ("push",) if record.method in _WRITES else _OPERATIONS
    reason = "no client recorded anything of this release"
    for event, at in events:
        if root is not None and (event.root is None or parse_root(event.root) != root):
            continue
        if event.operation not in wanted:
            reason = f"no client recorded a {wanted[0]} of this release"
        elif not -SLACK <= at - record.at <= window:
            reason = "a client recorded this release, but not at that time"
        elif not _same(event.credential, record.requester, names):
            reason = f"recorded by {event.credential}, seen from {record.requester}"
        else:
            return ""
    return reason


def _same(credential: str | None, requester: str | None, names: Mapping[str, str]) -> bool:
    """Whether two sides can mean the same one; a side that names nobody contradicts nothing."""
    if credential is None or requester is None:
        return True
    name = names.get(credential, credential)
    return requester == name or requester.endswith(f"/{name}")  # an ARN has the name at its end


def _root_of(key: str) -> bytes | None:
    match = _RELEASE.fullmatch(key)
    return None if match is None else bytes.fromhex(match["root"])
