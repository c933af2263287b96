# SPDX-License-Identifier: Apache-2.0
"""Text that is safe to show: names from files and headers cannot steer a terminal.

Nothing here decides what is shown, or where.
"""

from __future__ import annotations

import json
from typing import Any


def printable(text: str) -> str:
    """Return text with everything escaped that is not plainly visible.

    Control characters, escape sequences, line breaks, invisible and direction-changing
    characters and lone surrogates become ``\\x1b``, ``\\n``, ``\\u202e`` and the like.

    Args:
        text: Anything, such as a file name of undecodable bytes.

    Returns:
        One line that every UTF-8 stream takes. Raises nothing.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def dump_json(value: Any) -> str:
    """Return a JSON text in ASCII, on one line.

    Bytes of file names that are not UTF-8 are written ``\\udcXX`` with the backslash escaped,
    because half a surrogate pair is something that JSON readers disagree about.

    Args:
        value: What ``json.dumps`` takes.

    Returns:
        The text; a terminal shows it as it is. Raises nothing.
    """
    # DEL is the one control character that the encoder lets pass.
    return json.dumps(_without_surrogates(value)).replace("\x7f", "\\u007f")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    return value


def amount(size: int) -> str:
    """Return a number of bytes as a person reads it: ``512 B``, ``3.2 GB`` (powers of 1000).

    Raises nothing.
    """
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"
