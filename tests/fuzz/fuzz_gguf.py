# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: headers of GGUF files."""

from __future__ import annotations

from _harness import VECTORS, files_below, main
from _layouts import check_parse

from pyhash.formats import gguf

DICTIONARY = (
    b"GGUF", b"\x03\0\0\0", b"\0\0\0\x03",
    b"\x11\0\0\0\0\0\0\0general.alignment\x04\0\0\0\x40\0\0\0",
    b"\x01\0\0\0\0\0\0\0k\x08\0\0\0", b"\x01\0\0\0\0\0\0\0k\x09\0\0\0\x08\0\0\0",
    b"\x01\0\0\0\0\0\0\0w\x01\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"\xff" * 8,
    b"\0" * 8, b"\0" * 32, b"\x09\0\0\0\x01\0\0\0\0\0\0\0",
)  # fmt: skip


def seeds() -> list[bytes]:
    """The committed samples."""
    folder = VECTORS / "formats" / "gguf"
    return files_below(folder / "valid", folder / "invalid")


def one_input(data: bytes) -> None:
    """Parse."""
    check_parse(gguf, data, "fuzz.gguf")


if __name__ == "__main__":
    main(one_input, seeds())
