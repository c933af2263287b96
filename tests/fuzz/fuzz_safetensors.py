# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: headers of safetensors files."""

from __future__ import annotations

from contextlib import suppress

from _harness import VECTORS, files_below, main
from _layouts import check_parse

from pyhash.errors import FormatError
from pyhash.formats import safetensors

DICTIONARY = (
    b'"__metadata__":{"a":"b"},', b'"dtype":', b'"shape":', b'"data_offsets":', b'"F32"', b'"F4"',
    b"[0,0]", b"[0,4]", b"[]", b"-1", b"4.0", b"9007199254740993", b'"\\u0077"', b"\\ud800", b"{",
    b"}", b",", b"  ", b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},',
)  # fmt: skip


def seeds() -> list[bytes]:
    """The committed samples."""
    folder = VECTORS / "formats" / "safetensors"
    return files_below(folder / "valid", folder / "invalid")


def one_input(data: bytes) -> None:
    """Parse. Once as it is, once with the length made right, so that the header is reached."""
    fitting = len(data) - 8
    end = data.rfind(b"}}") + 2
    if 8 < end <= len(data):
        fitting = end - 8
    if fitting > 0:
        patched = fitting.to_bytes(8, "little") + data[8:]
        with suppress(FormatError):
            check_parse(safetensors, patched, "patched.safetensors")
    check_parse(safetensors, data, "fuzz.safetensors")


if __name__ == "__main__":
    main(one_input, seeds())
