# SPDX-License-Identifier: Apache-2.0
"""What ``serialization`` says: how the digests of the resources were made, and over what.

Ours is one line of it: whole files by SHA-256. Other OMS tools sign whole files by BLAKE2b or
BLAKE3, or ranges of files, which they call shards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from pyhash import limits
from pyhash.frozen import frozen
from pyhash.manifest._model import FORMAT_NAME, ShardEntry, SignedRange, format_error
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_boolean,
    expect_fields,
    expect_object,
    expect_string,
    show,
)

# hash_type -> bytes of a digest
DIGEST_BYTES = {"sha256": 32, "blake2b": 64, "blake3": 32}
METHODS = ("files", "shards")
DEFAULT_RANGE_BYTES = 1_000_000_000  # where shard_size is not there (OMS v1.0)
_HEX = re.compile(r"[0-9a-f]*")
# A file name may have colons; the last two fields are the range.
_RANGE_NAME = re.compile(r"(.+):(0|[1-9][0-9]{0,15}):([1-9][0-9]{0,15})", re.DOTALL)


@frozen
class Serialization:
    """How a statement was made.

    Attributes:
        hash_type: A key of DIGEST_BYTES.
        range_bytes: Bytes of a range; None: whole files.
        allow_symlinks: Links were followed.
        ignore_paths: Paths that were left out.
    """

    hash_type: str = "sha256"
    range_bytes: int | None = None
    allow_symlinks: bool = False
    ignore_paths: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether the digests are the plain SHA-256 of whole files."""
        return self.hash_type == "sha256" and self.range_bytes is None

    def algorithms(self) -> tuple[str, ...]:
        """What ``algorithm`` of a resource may be: the specification's word, the tool's word."""
        if self.range_bytes is None:
            return (self.hash_type,)
        return (self.hash_type, f"{self.hash_type}-sharded-{self.range_bytes}")


def load_serialization(value: JsonValue, oms: bool, path: str) -> Serialization:
    """Check how the statement was made.

    Raises:
        FormatError: A method or digest that this version does not know, or a field of a wrong type.
    """
    where = "serialization"
    fields = expect_object(value, where, path)
    # Method and digest first: what is not supported deserves a better answer than "unknown field".
    if not oms:
        _expect_one_of(fields.get("method"), (FORMAT_NAME,), f"{where}.method", path)
        expect_fields(fields, where, path, required=("method", "ignore_paths"))
        return Serialization(ignore_paths=_load_ignored(fields, path))
    method = _expect_one_of(fields.get("method"), METHODS, f"{where}.method", path)
    hash_type = _expect_one_of(
        fields.get("hash_type"), tuple(DIGEST_BYTES), f"{where}.hash_type", path
    )
    in_ranges = method == "shards"
    expect_fields(
        fields,
        where,
        path,
        required=("method", "hash_type", "allow_symlinks"),
        optional=("ignore_paths", "shard_size") if in_ranges else ("ignore_paths",),
    )
    return Serialization(
        hash_type,
        _load_range_bytes(fields.get("shard_size"), path) if in_ranges else None,
        expect_boolean(fields["allow_symlinks"], f"{where}.allow_symlinks", path),
        _load_ignored(fields, path),
    )


def _load_ignored(fields: dict[str, JsonValue], path: str) -> tuple[str, ...]:
    where = "serialization.ignore_paths"
    ignored = expect_array(fields.get("ignore_paths", []), where, path)
    return tuple(expect_string(item, where, path) for item in ignored)


def _load_range_bytes(value: JsonValue, path: str) -> int:
    """Read ``shard_size``: the specification has an integer, the reference tool writes 1000.0."""
    if value is None:
        return DEFAULT_RANGE_BYTES
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise format_error("serialization.shard_size is not a whole number of bytes", path)
    if not 1 <= value <= limits.MAX_SHARD_BYTES:
        raise format_error(
            "serialization.shard_size is not a whole number of bytes in bounds", path
        )
    return int(value)


def load_digest(value: JsonValue, where: str, path: str, *, nbytes: int = 32) -> bytes:
    """Read a digest in its one spelling: lowercase hex.

    Raises:
        FormatError: It is spelled otherwise or of another length.
    """
    text = expect_string(value, where, path)
    if len(text) != 2 * nbytes or _HEX.fullmatch(text) is None:
        raise format_error(f"{where} is {show(text)}, not {2 * nbytes} lowercase hex digits", path)
    return bytes.fromhex(text)


def load_range(name: str, digest: bytes, how: Serialization, path: str) -> ShardEntry:
    """Read one resource of another tool as an entry with one range; ``merge_ranges`` joins them.

    Raises:
        FormatError: The name of a range is not ``path:start:end``.
    """
    if how.range_bytes is None:
        return ShardEntry(name, None, None, None, (SignedRange(0, None, how.hash_type, digest),))
    match = _RANGE_NAME.fullmatch(name)
    if match is None:
        raise format_error(f"the resource {show(name)} is not named path:start:end", path)
    one = SignedRange(int(match[2]), int(match[3]), how.hash_type, digest)
    return ShardEntry(match[1], None, None, None, (one,))


def merge_ranges(listed: Sequence[ShardEntry], how: Serialization, path: str) -> list[ShardEntry]:
    """Join the ranges of each file, and refuse a file that they do not cover.

    Args:
        listed: One entry for each range, in any order.
        how: Of the statement; whole files are given back as they are.
        path: For messages.

    Returns:
        One entry for each file, its size where its last range ends.

    Raises:
        FormatError: A range twice, a hole, or one of another size than all but the last have.
    """
    if how.range_bytes is None:
        return list(listed)
    ordered = sorted(listed, key=lambda entry: (entry.path, entry.ranges[0].start))
    merged = []
    for name, entries in groupby(ordered, key=lambda entry: entry.path):
        ranges = tuple(entry.ranges[0] for entry in entries)
        _check_cover(name, ranges, how.range_bytes, path)
        merged.append(ShardEntry(name, ranges[-1].end, None, None, ranges))
    return merged


def _check_cover(name: str, ranges: Sequence[SignedRange], size: int, path: str) -> None:
    for index, one in enumerate(ranges):
        end = one.end or 0
        is_last = index == len(ranges) - 1
        length = end - one.start
        if one.start != index * size or not (0 < length <= size if is_last else length == size):
            raise format_error(
                f"the ranges of {show(name)} are not one after the other, {size} bytes each: "
                f"one is [{one.start}, {end})",
                path,
            )


def _expect_one_of(value: JsonValue, words: tuple[str, ...], where: str, path: str) -> str:
    word = expect_string(value, where, path)
    if word not in words:
        known = " and ".join(map(repr, words))
        raise format_error(f"{where} is {show(word)}; this version checks only {known}", path)
    return word
