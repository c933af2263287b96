# SPDX-License-Identifier: Apache-2.0
"""Lists of ``sha256sum``: its plain lines with escapes, and the tagged lines of the BSD tools."""

from __future__ import annotations

import os
import re

from pyhash import limits
from pyhash.digest_list import ListedDigest, dump_line, load_list, unescape_name
from pyhash.errors import FormatError
from pyhash.files import read_small
from pyhash.interchange._base import (
    Expected,
    ExpectedDigests,
    Exported,
    ListKind,
    Sniff,
    check_entry_count,
    load_hex,
)
from pyhash.paths import decode_name
from pyhash.range_digests import ALGORITHMS

# Word of a tag -> algorithm
TAGS = {b"SHA256": "sha256", b"SHA1": "sha1", b"BLAKE2b": "blake2b", b"BLAKE3": "blake3"}
_TAGGED = re.compile(rb"(\\?)([A-Za-z0-9]+) \((.+)\) = ([0-9a-fA-F]+)", re.DOTALL)
_PLAIN_HEAD = re.compile(rb"\\?[0-9a-fA-F]{64} [ *].")


def load(source: str, model: str) -> ExpectedDigests:
    """Read the list in a file; its names are paths inside the checkpoint.

    Raises:
        ReadError, LimitError, FormatError: It cannot be read, is too long, or is no such list.
    """
    del model
    return load_lines(read_small(source, limits.MAX_DIGEST_LIST_BYTES), source)


def load_lines(data: bytes, source: str) -> ExpectedDigests:
    """Read a list strictly: all its lines plain, or all tagged. Pure, thread-safe.

    Args:
        data: The whole list.
        source: Where it came from, for messages.

    Raises:
        LimitError: Too many lines.
        FormatError: A line that is no such line, or what ``ExpectedDigests`` refuses.
    """
    check_entry_count(data.count(b"\n"), source)
    if _TAGGED.match(data.partition(b"\n")[0]):
        lines = data.removesuffix(b"\n").split(b"\n")
        entries = [_load_tagged(line, number, source) for number, line in enumerate(lines, 1)]
    else:
        listed = load_list(data, digest_bytes=ALGORITHMS["sha256"].digest_bytes, source=source)
        entries = [_entry("sha256", one) for one in listed]
    return ExpectedDigests(KIND.name, source, tuple(entries))


def _entry(algorithm: str, listed: ListedDigest) -> Expected:
    # "./" is how find writes the names that it hands to sha256sum.
    path = decode_name(listed.path).removeprefix("./")
    return Expected(path, ((algorithm, listed.digest),))


def _load_tagged(line: bytes, number: int, source: str) -> Expected:
    match = _TAGGED.fullmatch(line)
    if match is None or b"\0" in line:
        raise FormatError(f"{source}: line {number} is not TAG (name) = digest", source)
    algorithm = TAGS.get(match[2])
    if algorithm is None:
        known = ", ".join(tag.decode("ascii") for tag in TAGS)
        raise FormatError(f"{source}: line {number} is tagged with none of {known}", source)
    name = unescape_name(match[3], number, source) if match[1] else match[3]
    digest = load_hex(match[4].decode("ascii"), algorithm, f"line {number}", source)
    return _entry(algorithm, ListedDigest(os.fsdecode(name), digest))


def dump(what: Exported) -> bytes:
    """Write plain lines, as ``sha256sum`` does. Pure, thread-safe. Raises nothing."""
    return b"".join(
        dump_line(os.fsdecode(one.path.encode("utf-8")), one.sha256) + b"\n" for one in what.files
    )


def _detect(sniff: Sniff) -> bool:
    return bool(_PLAIN_HEAD.match(sniff.head)) or bool(
        _TAGGED.match(sniff.head.partition(b"\n")[0])
    )


KIND = ListKind(
    name="sha256sum",
    title="a list of sha256sum, or tagged lines of the BSD tools",
    covers="every byte of every listed file, by its path",
    leaves_out="who made the list",
    detect=_detect,
    load=load,
    dump=dump,
)
