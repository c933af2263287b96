# SPDX-License-Identifier: Apache-2.0
"""Lists of digests as ``sha256sum`` writes them: one line made, one list read.

Hashes nothing and compares nothing. Lines are bytes, because file names are.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from pyhash.errors import FormatError

# A name with one of these gets a backslash before the line and one for each of them (coreutils;
# of the carriage return only newer versions; one that stands as it is is read here, too).
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_TO_ESCAPE = re.compile(rb"[\\\n\r]")
_ESCAPED = re.compile(rb"\\(.?)", re.DOTALL)
_ORIGINALS = {escaped[1:]: original for original, escaped in _ESCAPES.items()}

_LINE = re.compile(rb"(\\?)([0-9a-fA-F]+) [ *](.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ListedDigest:
    """One line of a list.

    Attributes:
        path: The file, as the system names it.
        digest: What it should hash to.
    """

    path: str
    digest: bytes


def dump_line(path: str, digest: bytes) -> bytes:
    """Return one line, without its end. Raises nothing."""
    name = os.fsencode(path)
    escaped = escape_name(name)
    mark = b"\\" if escaped != name else b""
    return mark + digest.hex().encode("ascii") + b"  " + escaped


def escape_name(name: bytes) -> bytes:
    """Return a file name as it stands in a line: without line breaks. Raises nothing."""
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], name)


def load_list(data: bytes, *, digest_bytes: int, source: str) -> list[ListedDigest]:
    """Read a list strictly.

    Args:
        data: The whole list.
        digest_bytes: Length of a digest of the algorithm.
        source: Where it came from, for messages.

    Returns:
        The lines, in order; at least one.

    Raises:
        FormatError: A line is no digest of this length, one space, a space or ``*``, and a name;
            or there is no line at all, so that nothing would be checked.
    """
    if not data:
        raise FormatError(f"{source}: an empty list checks nothing", source)
    lines = data.removesuffix(b"\n").split(b"\n")
    return [_load_line(line, digest_bytes, number, source) for number, line in enumerate(lines, 1)]


def _load_line(line: bytes, digest_bytes: int, number: int, source: str) -> ListedDigest:
    match = _LINE.fullmatch(line)
    if match is None or len(match[2]) != 2 * digest_bytes or b"\0" in line:
        raise FormatError(
            f"{source}: line {number} is not a digest of {digest_bytes} bytes, two spaces and a"
            " file name",
            source,
        )
    name = unescape_name(match[3], number, source) if match[1] else match[3]
    return ListedDigest(os.fsdecode(name), bytes.fromhex(match[2].decode("ascii")))


def unescape_name(name: bytes, number: int, source: str) -> bytes:
    """Return a file name as it was before ``escape_name``.

    Args:
        name: As it stands in a line that begins with a backslash.
        number: Of the line, for messages.
        source: Where the list came from, for messages.

    Raises:
        FormatError: An escape that there is not.
    """
    if any(escape not in _ORIGINALS for escape in _ESCAPED.findall(name)):
        message = f"{source}: line {number} has a file name with an unknown escape"
        raise FormatError(message, source)
    return _ESCAPED.sub(lambda found: _ORIGINALS[found[1]], name)
