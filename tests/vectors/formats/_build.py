# SPDX-License-Identifier: Apache-2.0
"""Bytes of safetensors and GGUF files, right or wrong on purpose. Standard library only.

Written from the formats' descriptions and not from our parsers: nothing of ours is imported.
"""

from __future__ import annotations

import json
import struct

# GGUF value types
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
LETTERS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B",
           U64: "Q", I64: "q", F64: "d"}  # fmt: skip


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """One file: ``header`` as JSON (bytes are taken as they are), then the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: object, shape: object, begin: object, end: object) -> dict[str, object]:
    """One tensor's entry in a safetensors header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


class Gguf:
    """A GGUF header under construction; every number can be wrong."""

    def __init__(self, *, version: int = 3, order: str = "<", magic: bytes = b"GGUF") -> None:
        self.version, self.order, self.magic = version, order, magic
        self.pairs: list[bytes] = []
        self.infos: list[bytes] = []

    def pack(self, letters: str, *values: object) -> bytes:
        return struct.pack(self.order + letters, *values)

    def string(self, text: bytes, *, length: int | None = None) -> bytes:
        return self.pack("Q", len(text) if length is None else length) + text

    def value(self, kind: int, value: object) -> bytes:
        if kind == STRING:
            return self.string(value)
        if kind == ARRAY:
            item, items = value
            body = b"".join(self.value(item, one) for one in items)
            return self.pack("IQ", item, len(items)) + body
        return self.pack(LETTERS[kind], value)

    def pair(self, key: bytes, kind: int, value: object) -> Gguf:
        return self.raw_pair(self.string(key) + self.pack("I", kind) + self.value(kind, value))

    def raw_pair(self, pair: bytes) -> Gguf:
        self.pairs.append(pair)
        return self

    def info(self, name: bytes, dims: tuple[int, ...], kind: int, offset: int) -> Gguf:
        """Add a tensor; ``dims`` in the file's order, fastest-varying first."""
        body = self.string(name) + self.pack("I", len(dims))
        body += self.pack(f"{len(dims)}Q", *dims) + self.pack("IQ", kind, offset)
        return self.raw_info(body)

    def raw_info(self, info: bytes) -> Gguf:
        self.infos.append(info)
        return self

    def header(self, *, tensors: int | None = None, pairs: int | None = None) -> bytes:
        counts = (
            len(self.infos) if tensors is None else tensors,
            len(self.pairs) if pairs is None else pairs,
        )
        start = self.magic + self.pack("IQQ", self.version, *counts)
        return start + b"".join(self.pairs) + b"".join(self.infos)

    def file(self, data: bytes = b"", *, alignment: int = 32, **counts: int) -> bytes:
        """The header, padding to ``alignment``, and the data."""
        header = self.header(**counts)
        return header + bytes(-len(header) % alignment) + data
