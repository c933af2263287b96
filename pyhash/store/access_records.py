# SPDX-License-Identifier: Apache-2.0
"""A store's own access log, line by line: S3 server access logs, SeaweedFS audit logs, nginx logs.

One table of formats, one type of record. Lines come from requests that anybody can make, so their
text is untrusted; a line that does not follow its format is an error, not an access that is missed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from pyhash.errors import FormatError
from pyhash.strict_json import JsonValue, expect_object, load_json

MAX_LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One request that a store has answered.

    Attributes:
        at: When, UTC.
        method: ``GET``, ``PUT``, ``DELETE``, ``HEAD``, ``LIST`` or the store's own word.
        key: The object, without a ``/`` before it; empty: none.
        requester: Who asked, as the store knows it; None: nobody that it knows.
        address: From where.
        status: The answer's status.
        line: Which line of the log, from 1.
    """

    at: datetime
    method: str
    key: str
    requester: str | None
    address: str
    status: int
    line: int


def read_records(lines: Iterable[str], kind: str, path: str) -> Iterator[AccessRecord]:
    """Read a log.

    Args:
        lines: Its lines.
        kind: A name of ``KINDS``.
        path: Where they came from, for messages.

    Yields:
        A record for each line; empty lines and comments have none.

    Raises:
        FormatError: A line is not of that format.
    """
    parse = KINDS[kind]
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text or text.startswith("#"):
            continue
        if len(text) > MAX_LINE_BYTES:
            raise FormatError(f"{path}: line {number} has more than {MAX_LINE_BYTES} bytes", path)
        try:
            yield parse(text, number)
        except (ValueError, KeyError, TypeError, ArithmeticError, OSError, FormatError) as error:
            raise FormatError(f"{path}: line {number} is not one of a {kind} log", path) from error


# bucket_owner bucket [time] ip requester request_id operation key "uri" status ...
_S3 = re.compile(
    r"\S+ \S+ \[(?P<at>[^\]]+)\] (?P<address>\S+) (?P<requester>\S+) \S+ (?P<operation>\S+)"
    r' (?P<key>\S+) (?:"(?:[^"\\]|\\.)*"|-) (?P<status>\d{3}|-)(?: .*)?'
)
_NGINX = re.compile(
    r"(?P<address>\S+) \S+ (?P<requester>\S+) \[(?P<at>[^\]]+)\]"
    r' "(?P<method>[A-Z]+) (?P<uri>\S+)[^"]*" (?P<status>\d{3}) .*'
)
_TIME = "%d/%b/%Y:%H:%M:%S %z"


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).astimezone(UTC)


def _known(text: str) -> str | None:
    return None if text == "-" else text


def _s3(line: str, number: int) -> AccessRecord:
    match = _S3.fullmatch(line)
    if match is None:
        raise ValueError
    # REST.GET.OBJECT, REST.GET.BUCKET, BATCH.DELETE.OBJECT, and a few without dots
    words = match["operation"].split(".")
    method = words[1] if len(words) > 2 else match["operation"]
    if words[-1] == "BUCKET" and method == "GET":
        method = "LIST"
    status = 0 if match["status"] == "-" else int(match["status"])
    key = "" if match["key"] == "-" else unquote(match["key"])
    return AccessRecord(
        _time(match["at"]),
        method,
        key,
        _known(match["requester"]),
        match["address"],
        status,
        number,
    )


def _seaweedfs(line: str, number: int) -> AccessRecord:
    fields = expect_object(
        load_json(line.encode("utf-8"), path="line", max_bytes=MAX_LINE_BYTES), "line", "line"
    )
    words = _text(fields.get("operation")).split(".")
    method = words[1] if len(words) > 2 else words[0]
    if words[-1] == "BUCKET" and method == "GET":
        method = "LIST"
    at, status = fields["time"], fields.get("status", 0)
    if not isinstance(at, int) or not isinstance(status, int):
        raise TypeError
    return AccessRecord(
        datetime.fromtimestamp(at, UTC),
        method,
        _text(fields.get("key")).lstrip("/"),
        _text(fields.get("requester")) or None,
        _text(fields.get("remote_ip")),
        status,
        number,
    )


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError
    return value


def _nginx(line: str, number: int) -> AccessRecord:
    match = _NGINX.fullmatch(line)
    if match is None:
        raise ValueError
    key = unquote(urlsplit(match["uri"]).path).lstrip("/")
    return AccessRecord(
        _time(match["at"]),
        match["method"],
        key,
        _known(match["requester"]),
        match["address"],
        int(match["status"]),
        number,
    )


KINDS: dict[str, Callable[[str, int], AccessRecord]] = {
    "s3": _s3,
    "seaweedfs": _seaweedfs,
    "nginx": _nginx,
}
