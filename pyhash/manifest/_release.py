# SPDX-License-Identifier: Apache-2.0
"""Which release a signature is for: made when, good until when, the how-manieth of which name.

The annotation ``pyhash-release`` of the statement's subject, read strictly and written in one form.
Nothing here knows what time it is, or which release is wanted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.frozen import frozen
from pyhash.paths import check_text
from pyhash.strict_json import (
    JsonValue,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    show,
)

RELEASE_KEY = "pyhash-release"
_WHERE = f"the subject's annotation {RELEASE_KEY}"
_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last one that four digits can spell


@frozen
class Release:
    """What a publisher signs about a release beside its bytes. Immutable, thread-safe.

    Attributes:
        created: When it was signed, in seconds since 1970-01-01T00:00:00Z.
        counter: Greater than that of every release before; None: releases are not counted.
        expires: First second at which it must be refused, counted as ``created``; None: never.
        name: Of what it is a release. Counters of different names have nothing to do with each
            other. None: the publisher gave no name.

    Raises:
        FormatError: A time, counter or name that no statement can express.
    """

    created: int
    counter: int | None = None
    expires: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_release(self, None)


def load_release(subject: dict[str, JsonValue], own_type: bool, path: str) -> Release | None:
    """Read the annotation of a subject. Pure, thread-safe.

    Args:
        subject: The only subject of a statement.
        own_type: The statement is of our own type, in which nothing else may stand there.
        path: Where the statement came from, for messages.

    Returns:
        The release; None where nothing is said about one.

    Raises:
        FormatError: Not what the format describes.
    """
    if "annotations" not in subject:
        return None
    notes = expect_object(subject["annotations"], "the subject's annotations", path)
    if own_type:
        expect_fields(notes, "the subject's annotations", path, required=(RELEASE_KEY,))
    if RELEASE_KEY not in notes:
        return None
    fields = expect_fields(
        notes[RELEASE_KEY],
        _WHERE,
        path,
        required=("created",),
        optional=("counter", "expires", "name"),
    )
    created = parse_time(expect_string(fields["created"], f"{_WHERE}: created", path), path)
    counter = expires = name = None
    if "counter" in fields:
        counter = expect_integer(fields["counter"], f"{_WHERE}: counter", path)
    if "expires" in fields:
        expires = parse_time(expect_string(fields["expires"], f"{_WHERE}: expires", path), path)
    if "name" in fields:
        name = expect_string(fields["name"], f"{_WHERE}: name", path)
    try:
        return Release(created, counter, expires, name)
    except FormatError as error:
        raise FormatError(f"{path}: {error}", path) from None


def dump_release(release: Release) -> dict[str, JsonValue]:
    """Return the value of the annotation, ready for JSON. Raises nothing."""
    fields: dict[str, JsonValue] = {"created": format_time(release.created)}
    if release.counter is not None:
        fields["counter"] = release.counter
    if release.expires is not None:
        fields["expires"] = format_time(release.expires)
    if release.name is not None:
        fields["name"] = release.name
    return fields


def check_release(release: Release, source: str | None) -> None:
    """Refuse what no statement can express.

    Raises:
        FormatError: A time beyond the years 1970 to 9999, an expiry that is not later than the
            signing, a counter that is negative or beyond ``MAX_JSON_INTEGER``, or a name that is
            empty, too long or not UTF-8.
    """
    for what, seconds in (("created", release.created), ("expires", release.expires)):
        if seconds is not None and not 0 <= seconds <= _LAST_SECOND:
            raise FormatError(f"{_WHERE}: {what} is beyond the years 1970 to 9999", source)
    if release.expires is not None and release.expires <= release.created:
        raise FormatError(f"{_WHERE}: expires is not later than created", source)
    if release.counter is not None and not 0 <= release.counter <= limits.MAX_JSON_INTEGER:
        raise FormatError(f"{_WHERE}: counter is not from 0 to 2^53 - 1", source)
    if release.name is not None:
        check_text(release.name, f"{_WHERE}: name", source=source)
        if not 0 < len(release.name.encode("utf-8")) <= limits.MAX_RELEASE_NAME_BYTES:
            raise FormatError(
                f"{_WHERE}: name is empty or longer than {limits.MAX_RELEASE_NAME_BYTES} bytes",
                source,
            )


def parse_time(text: str, path: str) -> int:
    """Return the seconds since 1970 of a time in its one spelling, ``2026-11-25T08:30:00Z``.

    Args:
        text: The time.
        path: Where it came from, for messages.

    Raises:
        FormatError: Another spelling, a day that does not exist, or one before 1970.
    """
    try:
        found = _TIME.fullmatch(text)
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.groups())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise FormatError(
            f"{path}: {show(text)} is no time like 2026-11-25T08:30:00Z", path
        ) from None
    seconds = int(moment.timestamp())
    if seconds < 0:
        raise FormatError(f"{path}: {show(text)} is before 1970", path)
    return seconds


def format_time(seconds: int) -> str:
    """Return a time as ``parse_time`` reads it.

    Raises:
        OverflowError, ValueError: It is beyond the years 1970 to 9999, which ``Release`` refuses.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME_FORMAT)
