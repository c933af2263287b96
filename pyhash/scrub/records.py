# SPDX-License-Identifier: Apache-2.0
"""What a scrub keeps between runs: XXH3-128 of every span, and how far a pass has come.

    magic "pyhash-xxh3\\0" | checkpoint root, 32 bytes | u64be spans | 16 bytes each | SHA-256 of it

Both files are whole or not there, and are for one checkpoint root. They find rot, not attackers:
who can write them can make them fit.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyhash import atomic, files, limits
from pyhash.errors import CheckError, FormatError
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_integer,
    expect_string,
    load_json,
)

MAGIC = b"pyhash-xxh3\0"
DIGEST_BYTES = 16
_HEAD = struct.Struct(">12s32sQ")
_SEAL_BYTES = 32


@dataclass(frozen=True, slots=True)
class Position:
    """How far a pass has come.

    Attributes:
        span: The next span, counted over all shards; 0: a new pass.
        damaged, unreadable: Spans before it that were found so.
    """

    span: int = 0
    damaged: tuple[int, ...] = field(default=())
    unreadable: tuple[int, ...] = field(default=())


def record_path(directory: str, location: str, root: bytes, suffix: str) -> str:
    """Return where the record of one checkpoint at one place is. Raises nothing."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(location)) + b"\0" + root).hexdigest()[:32]
    return os.path.join(directory, f"{name}.{suffix}")


def dump_digests(root: bytes, digests: Sequence[bytes]) -> bytes:
    """Write a record of spans. Pure, thread-safe; raises nothing."""
    body = _HEAD.pack(MAGIC, root, len(digests)) + b"".join(digests)
    return body + hashlib.sha256(body).digest()


def load_digests(path: str, root: bytes, count: int) -> bytes:
    """Read a record of spans.

    Args:
        path: The file.
        root: The root of the checkpoint it must be for.
        count: How many spans that has.

    Returns:
        16 bytes for each span.

    Raises:
        ReadError, LimitError: It is not there, or cannot be read.
        FormatError: Damaged, or of another checkpoint.
    """
    size = _HEAD.size + count * DIGEST_BYTES + _SEAL_BYTES
    data = files.read_small(path, min(size, limits.MAX_TREE_FILE_BYTES))
    body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    if len(data) != size or hashlib.sha256(body).digest() != seal:
        raise FormatError(f"{path}: a damaged record; scrub --record makes a new one", path)
    if _HEAD.unpack_from(body) != (MAGIC, root, count):
        raise FormatError(f"{path}: a record of another checkpoint; scrub --record again", path)
    return body[_HEAD.size :]


def load_position(path: str, total: int) -> Position:
    """Read how far a pass has come; from a file that is not there or damaged: a new pass, which
    leaves nothing out. Raises nothing.
    """
    try:
        fields = expect_fields(
            load_json(
                files.read_small(path, limits.MAX_PROGRESS_BYTES),
                path=path,
                max_bytes=limits.MAX_PROGRESS_BYTES,
            ),
            "the position",
            path,
            required=("span", "damaged", "unreadable", "seal"),
        )
        span = expect_integer(fields["span"], "span", path)
        found = Position(span, _spans(fields["damaged"], path), _spans(fields["unreadable"], path))
        fits = span < total and expect_string(fields["seal"], "seal", path) == _seal(found)
    except CheckError:
        return Position()
    return found if fits else Position()


def save_position(path: str, position: Position) -> None:
    """Write how far a pass has come, whole or not at all.

    Raises:
        WriteError: The system refused; what was there before still is.
    """
    fields = {
        "span": position.span,
        "damaged": list(position.damaged),
        "unreadable": list(position.unreadable),
        "seal": _seal(position),
    }
    atomic.write_file(path, (json.dumps(fields) + "\n").encode("ascii"), mode=0o600)


def _spans(value: JsonValue, path: str) -> tuple[int, ...]:
    return tuple(expect_integer(one, "a span", path) for one in expect_array(value, "spans", path))


def _seal(position: Position) -> str:
    return hashlib.sha256(repr(position).encode("ascii")).hexdigest()
