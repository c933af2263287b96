# SPDX-License-Identifier: Apache-2.0
"""What a log holds: access events as canonical JSON, and signed statements.

An event is one JSON object with sorted keys and no spaces, so that its bytes, and its leaf in the
log, are the same wherever it is written. A statement stands as its bundle when that fits into an
entry, and by its digest otherwise; both can be made again from the bundle alone, offline.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime

from pyhash import limits
from pyhash.errors import FormatError, UsageError
from pyhash.merkle import parse_root
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_integer,
    expect_string,
    load_json,
    show,
)

ACCESS, STATEMENT = "pyhash-access-v1", "pyhash-statement-v1"
OPERATIONS = ("sign", "verify", "run", "load", "push", "pull", "share")
OUTCOMES = ("begun", "done", "refused", "failed", "unverified")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MAX_LISTED = 256  # files or ranges that an event names; more become a count and a digest
_FIELDS = ("kind", "operation", "outcome", "at", "who", "what")
_WHO = ("user", "uid", "host", "credential")
_WHAT = ("root", "location", "files", "ranges", "key")


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """Who did what with which checkpoint, when, and how it ended. Immutable.

    Attributes:
        operation: One of ``OPERATIONS``.
        outcome: One of ``OUTCOMES``.
        at: When, UTC, ``2026-11-25T02:30:00Z``.
        user: Name of the user; None: unknown.
        uid: Number of the user.
        host: Name of the host.
        credential: Name of the key or account that was used; None: none but the user's own.
        root: Checkpoint root, ``pyhash-v1:<64 hex>``; None: not known, as of a forged bundle.
        location: Where the checkpoint lay.
        files: Files that were touched; empty: all of them.
        ranges: (path, start, end) of what was read of them; empty: all.
        key: Hint of the key that signed the checkpoint; None: not known.
    """

    operation: str
    outcome: str
    at: str
    user: str | None
    uid: int
    host: str
    credential: str | None
    root: str | None
    location: str
    files: tuple[str, ...] = ()
    ranges: tuple[tuple[str, int, int], ...] = ()
    key: str | None = None


def dump_event(event: AccessEvent) -> bytes:
    """Return the entry of an event. Pure, thread-safe.

    Raises:
        UsageError: An operation, outcome, time or root that no event has.
    """
    if event.operation not in OPERATIONS or event.outcome not in OUTCOMES:
        raise UsageError(f"no event: {event.operation!r}, {event.outcome!r}")
    if not _is_time(event.at):
        raise UsageError(f"not a time of an event: {event.at!r}")
    if event.root is not None:
        parse_root(event.root)
    who = {"user": event.user, "uid": event.uid, "host": event.host}
    what = {"root": event.root, "location": event.location, "key": event.key}
    return _dump(
        {
            "kind": ACCESS,
            "operation": event.operation,
            "outcome": event.outcome,
            "at": event.at,
            "who": {**who, "credential": event.credential},
            "what": {
                **what,
                "files": _listed(list(event.files)),
                "ranges": _listed([list(one) for one in event.ranges]),
            },
        }
    )


def statement_entry(bundle: bytes) -> bytes:
    """Return the entry of a signed statement, from the exact bytes of its bundle. Pure.

    Raises nothing.

    Args:
        bundle: The bundle; when it is larger than an entry may be, its digest stands for it.
    """
    if len(bundle) <= limits.MAX_LOG_ENTRY_BYTES:
        return bundle
    digest = hashlib.sha256(bundle).hexdigest()
    return _dump({"kind": STATEMENT, "sha256": digest, "size": len(bundle)})


def load_event(entry: bytes, path: str) -> AccessEvent | None:
    """Read an entry if it is an access event. Pure, thread-safe.

    Args:
        entry: The entry.
        path: Where it came from, for messages.

    Returns:
        The event; None for any other entry. Of an event whose lists were too long, ``files`` and
        ``ranges`` are empty.

    Raises:
        FormatError: It says that it is an event, and is none.
    """
    prefix = b'{"at":'
    if not entry.startswith(prefix):
        return None
    fields = load_json(entry, path=path, max_bytes=limits.MAX_LOG_ENTRY_BYTES)
    outer = expect_fields(fields, "the event", path, required=_FIELDS)
    if outer["kind"] != ACCESS or _dump(outer) != entry:
        raise FormatError(f"{path}: not an event in its one spelling", path)
    who = expect_fields(outer["who"], "who", path, required=_WHO)
    what = expect_fields(outer["what"], "what", path, required=_WHAT)
    event = AccessEvent(
        expect_string(outer["operation"], "the operation", path),
        expect_string(outer["outcome"], "the outcome", path),
        expect_string(outer["at"], "the time", path),
        _optional(who["user"], "the user", path),
        expect_integer(who["uid"], "the uid", path),
        expect_string(who["host"], "the host", path),
        _optional(who["credential"], "the credential", path),
        _optional(what["root"], "the root", path),
        expect_string(what["location"], "the location", path),
        tuple(expect_string(one, "a file", path) for one in _load_listed(what["files"], path)),
        tuple(_load_range(one, path) for one in _load_listed(what["ranges"], path)),
        _optional(what["key"], "the key", path),
    )
    try:
        dump_event(event)
    except UsageError as error:
        raise FormatError(f"{path}: {error}", path) from error
    return event


def _is_time(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return _TIME.fullmatch(text) is not None  # the calendar alone takes shorter ones as well


def _dump(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return text.encode("ascii")


def _listed(items: list[JsonValue]) -> JsonValue:
    """A list, or of a long one its length and digest: an entry has 65,535 bytes at most."""
    digest = hashlib.sha256(_dump(items)).hexdigest()
    is_short = len(items) <= _MAX_LISTED and len(_dump(items)) <= limits.MAX_LOG_ENTRY_BYTES // 3
    return items if is_short else {"count": len(items), "sha256": digest}


def _load_listed(value: JsonValue, path: str) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    expect_fields(value, "a list", path, required=("count", "sha256"))
    return []


def _load_range(value: JsonValue, path: str) -> tuple[str, int, int]:
    items = expect_array(value, "a range", path)
    if len(items) != 3:
        raise FormatError(f"{path}: a range of {len(items)} parts: {show(str(items))}", path)
    start = expect_integer(items[1], "the start of a range", path)
    end = expect_integer(items[2], "the end of a range", path, minimum=start)
    return expect_string(items[0], "the file of a range", path), start, end


def _optional(value: JsonValue, where: str, path: str) -> str | None:
    return None if value is None else expect_string(value, where, path)
