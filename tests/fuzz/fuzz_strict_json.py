# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: strict JSON. What it accepts must survive being written and read again."""

from __future__ import annotations

import json

from _harness import VECTORS, files_below, main

from pyhash.strict_json import load_json

_MAX_BYTES = 1 << 16

DICTIONARY = (
    b"NaN", b"-Infinity", b"true", b"null", b"-0", b"1e999", b"9007199254740993", b'"\\ud800"',
    b'"\\udc00"', b'"\\u0061"', b"\\\\", b'\\"', b'"a":', b"{}", b"[[", b"]]", b"\xef\xbb\xbf",
    b"\xed\xa0\x80", b"1E-400", b"/**/", b",",
)  # fmt: skip


def seeds() -> list[bytes]:
    """A few texts of every kind, and the headers of the safetensors samples."""
    headers = [data[8:] for data in files_below(VECTORS / "formats" / "safetensors")]
    return [
        *headers,
        b'{"a":[1,-2,0.5,1e5,true,false,null,"\\u00e9\\n"],"b":{"a":{}}}',
        b'["\\ud83d\\ude00","\\\\","\\"]["]',
        b"[" * 64 + b"]" * 64,
        b"-0",
    ]


def one_input(data: bytes) -> None:
    """Parse; compare with what the standard library makes of its own output."""
    value = load_json(data, path="fuzz.json", max_bytes=_MAX_BYTES)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    again = load_json(text, path="fuzz.json", max_bytes=len(text))
    if again != value:
        raise AssertionError(f"{again!r} after writing and reading {value!r}")


if __name__ == "__main__":
    main(one_input, seeds())
