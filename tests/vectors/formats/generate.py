# SPDX-License-Identifier: Apache-2.0
"""Write the samples of checkpoint formats next to this file: ``python generate.py [FOLDER]``.

For each format a folder with ``valid/``, ``invalid/`` and ``samples.json``. The latter says what
a reader must make of each file: the layout of a valid one; of an invalid one the rule that it
breaks, the kind of refusal and a word of the message. Standard library only.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import _build
from _build import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    STRING,
    U8,
    U16,
    U32,
    U64,
    Gguf,
    entry,
)

Layout = dict[str, object]
Valid = tuple[str, bytes, Layout]
Invalid = tuple[str, bytes, str, str, str]  # name, bytes, rule, error, word of the message

# dtype -> (shape, bytes) for one small tensor of each
DTYPES = {
    "BOOL": ([3], 3), "F4": ([2, 3], 3), "F6_E2M3": ([4], 3), "F6_E3M2": ([2, 4], 6),
    "U8": ([1], 1), "I8": ([2], 2), "F8_E5M2": ([3], 3), "F8_E4M3": ([1, 1], 1),
    "F8_E8M0": ([2], 2), "F8_E4M3FNUZ": ([1], 1), "F8_E5M2FNUZ": ([1], 1), "I16": ([2], 4),
    "U16": ([1], 2), "F16": ([3], 6), "BF16": ([2, 2], 8), "I32": ([1], 4), "U32": ([2], 8),
    "F32": ([], 4), "C64": ([1], 8), "F64": ([1], 8), "I64": ([2], 16), "U64": ([1, 1, 1], 8),
}  # fmt: skip


def layout(header_end: int, tensors: list[tuple], metadata: list[tuple[str, str]] = ()) -> Layout:
    """What a reader must say of a valid file; tensors as (name, dtype, shape, start, end)."""
    keys = ("name", "dtype", "shape", "start", "end")
    return {
        "header_end": header_end,
        "metadata": [list(pair) for pair in metadata],
        "tensors": [dict(zip(keys, tensor, strict=True)) for tensor in tensors],
    }


def safetensors_valid() -> list[Valid]:
    samples: list[Valid] = []

    def add(
        name: str,
        header: dict[str, object] | bytes,
        tensors: list[tuple],
        metadata: list[tuple[str, str]] = (),
    ) -> None:
        """``tensors`` as (name, dtype, shape, begin, end), by their place in the data."""
        data = bytes(range(tensors[-1][4] if tensors else 0))
        file = _build.safetensors(header, data)
        base = len(file) - len(data)
        placed = [(n, d, s, base + b, base + e) for n, d, s, b, e in tensors]
        samples.append((f"{name}.safetensors", file, layout(base, placed, metadata)))

    add("no_tensors", {}, [])
    add("one_tensor", {"w": entry("F32", [2, 2], 0, 16)}, [("w", "F32", [2, 2], 0, 16)])
    add("scalar", {"s": entry("F64", [], 0, 8)}, [("s", "F64", [], 0, 8)])
    add(
        "empty_tensors",
        {"a": entry("F32", [0], 0, 0), "b": entry("U8", [2], 0, 2), "c": entry("I8", [0, 9], 2, 2)},
        [("a", "F32", [0], 0, 0), ("b", "U8", [2], 0, 2), ("c", "I8", [0, 9], 2, 2)],
    )
    add(
        "header_order_is_not_data_order",
        {"last": entry("U8", [1], 5, 6), "first": entry("U8", [5], 0, 5)},
        [("first", "U8", [5], 0, 5), ("last", "U8", [1], 5, 6)],
    )
    add(
        "metadata",
        {"__metadata__": {"format": "pt", "": "é\n"}, "w": entry("U8", [1], 0, 1)},
        [("w", "U8", [1], 0, 1)],
        [("format", "pt"), ("", "é\n")],
    )
    text = json.dumps({"w": entry("U8", [1], 0, 1)}).encode()
    add("padded", text + b" " * (-len(text) % 8 + 8), [("w", "U8", [1], 0, 1)])
    spaced = b'{\n\t"w" :\r{"shape":[ 1 ],"data_offsets":[0 , 1],"dtype":"U8"}}'
    add("space_inside", spaced, [("w", "U8", [1], 0, 1)])
    add(
        "escaped_names",
        b'{"\\u0077te\\/\\"\\\\":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"\\ud83d\\ude00":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},'
        b'"\xc3\xa9":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},'
        b'"":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}',
        [
            ('wte/"\\', "U8", [1], 0, 1),
            ("\U0001f600", "U8", [1], 1, 2),
            ("é", "U8", [1], 2, 3),
            ("", "U8", [1], 3, 4),
        ],
    )
    header, tensors, begin = {}, [], 0
    for dtype, (shape, size) in DTYPES.items():
        header[f"t.{dtype}"] = entry(dtype, shape, begin, begin + size)
        tensors.append((f"t.{dtype}", dtype, shape, begin, begin + size))
        begin += size
    add("every_dtype", header, tensors)
    return samples


def safetensors_invalid() -> list[Invalid]:
    samples: list[Invalid] = []

    def add(name: str, file: bytes, rule: str, says: str, error: str = "FormatError") -> None:
        samples.append((f"{name}.safetensors", file, rule, error, says))

    def header(
        name: str, header: object, rule: str, says: str, *, error: str = "FormatError",
        data: int = 4,
    ) -> None:  # fmt: skip
        add(name, _build.safetensors(header, bytes(data)), rule, says, error)

    good = entry("U8", [4], 0, 4)
    text = json.dumps({"w": good}).encode()
    add("empty_file", b"", "a length of 8 bytes comes first", "too few")
    add("seven_bytes", bytes(7), "a length of 8 bytes comes first", "too few")
    add("length_zero", bytes(8), "the header is an object", "not one JSON object")
    add("length_behind_end", _build.safetensors({"w": good}, b"", length=4096),
        "the header lies inside the file", "behind the end")
    add("length_above_cap", _build.safetensors({"w": good}, bytes(4), length=100_000_001),
        "at most 100,000,000 bytes of header", "above the cap", "LimitError")
    add("length_all_ones", _build.safetensors({"w": good}, bytes(4), length=(1 << 64) - 1),
        "at most 100,000,000 bytes of header", "above the cap", "LimitError")
    header("space_before", b" " + text, "the header begins with {", "not one JSON object")
    header("newline_behind", text + b"\n", "only spaces behind the header", "not one JSON object")
    header("nul_behind", text + b"\0", "only spaces behind the header", "not one JSON object")
    header("byte_order_mark", b"\xef\xbb\xbf" + text, "the header begins with {", "not one JSON")
    header("array", b"[]", "the header is an object", "not one JSON object", data=0)
    header("two_objects", text + b" {}", "one object only", "not JSON")
    header("cut_short", text[:-1], "the header is JSON", "not JSON")
    header("not_utf8", b'{"w\xff":{}}', "the header is UTF-8", "not UTF-8")
    header("nan", b'{"w":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}', "JSON has no NaN",
           "NaN")
    header("deep", b'{"w":' + b"[" * 80 + b"]" * 80 + b"}", "nesting is capped", "deeper",
           error="LimitError")
    header("lone_surrogate", text.replace(b'"w"', b'"\\ud800"'), "strings are text", "surrogate")
    one = b'{"dtype":"U8","shape":[2],"data_offsets":[%d,%d]}'
    header("same_name_twice", b'{"w":' + one % (0, 2) + b',"w":' + one % (2, 4) + b"}",
           "names are unique", "twice")
    header("same_name_escaped", b'{"w":' + one % (0, 2) + b',"\\u0077":' + one % (2, 4) + b"}",
           "names are unique after unescaping", "twice")
    header("same_field_twice", text.replace(b'"dtype"', b'"dtype": "U8", "dtype"'),
           "fields are unique", "twice")
    header("metadata_twice", b'{"__metadata__":{},"__metadata__":{},"w":' + text[6:],
           "one __metadata__", "twice")
    header("metadata_null", {"__metadata__": None, "w": good}, "__metadata__ is an object",
           "null, not an object")
    header("metadata_number", {"__metadata__": {"a": 1}, "w": good}, "__metadata__ holds strings",
           "an integer, not a string")
    header("entry_array", {"w": ["U8", [4], [0, 4]]}, "an entry is an object", "not an object")
    header("unknown_field", {"w": good | {"x": 1}}, "three fields, no others", "unknown field")
    for field in ("dtype", "shape", "data_offsets"):
        rest = {key: value for key, value in good.items() if key != field}
        header(f"no_{field}", {"w": rest}, "three fields", f"no field '{field}'")
    header("dtype_unknown", {"w": entry("F7", [4], 0, 4)}, "dtypes are listed", "unknown dtype")
    header("dtype_lower_case", {"w": entry("u8", [4], 0, 4)}, "dtypes are listed", "unknown dtype")
    header("dtype_number", {"w": entry(8, [4], 0, 4)}, "dtype is a string", "not a string")
    header("shape_number", {"w": entry("U8", 4, 0, 4)}, "shape is an array", "not an array")
    header("shape_negative", {"w": entry("U8", [-2, -2], 0, 4)}, "dimensions count", "below 0")
    header("shape_float", {"w": entry("U8", [4.0], 0, 4)}, "dimensions are integers",
           "not an integer")
    header("shape_true", {"w": entry("U8", [4, True], 0, 4)}, "dimensions are integers",
           "not an integer")
    header("shape_minus_zero", text.replace(b"[4]", b"[-0]"), "dimensions are integers",
           "not an integer")
    header("shape_huge_integer", {"w": entry("U8", [1 << 53], 0, 4)}, "integers below 2**53",
           "out of range")
    header("shape_overflow", {"w": entry("U8", [1 << 52, 1 << 12, 4], 0, 4)},
           "products do not overflow", "overflows")
    header("shape_overflow_times_zero", {"w": entry("U8", [1 << 52, 1 << 52, 0], 0, 0)},
           "products do not overflow, whatever the order", "overflows", data=0)
    header("rank_above_cap", {"w": entry("U8", [1] * 65, 0, 1)}, "rank is capped",
           "more than 64 dimensions", error="LimitError", data=1)
    header("offsets_one", {"w": good | {"data_offsets": [0]}}, "two offsets", "not 2")
    header("offsets_three", {"w": good | {"data_offsets": [0, 4, 4]}}, "two offsets", "not 2")
    header("offsets_reversed", {"w": entry("U8", [4], 4, 0)}, "end is not before begin", "takes -4")
    header("offsets_negative", {"w": entry("U8", [4], -4, 0)}, "offsets count", "below 0")
    header("offsets_too_short", {"w": entry("U8", [4], 0, 3)}, "size fits shape", "needs 4", data=3)
    header("offsets_too_long", {"w": entry("U8", [3], 0, 4)}, "size fits shape", "needs 3")
    header("half_byte", {"w": entry("F4", [3], 0, 2)}, "whole bytes", "whole bytes", data=2)
    header("hole_at_start", {"w": entry("U8", [3], 1, 4)}, "no holes", "hole of 1")
    header("hole_between", {"a": entry("U8", [1], 0, 1), "b": entry("U8", [2], 2, 4)}, "no holes",
           "hole of 1")
    header("overlap", {"a": entry("U8", [3], 0, 3), "b": entry("U8", [2], 2, 4)}, "no overlap",
           "overlaps")
    header("alias", {"a": good, "b": good}, "no overlap", "overlaps")
    header("empty_inside_other", {"a": good, "b": entry("U8", [0], 2, 2)}, "no overlap", "overlaps")
    header("trailing_byte", {"w": good}, "tensors end with the file", "1 bytes at the end", data=5)
    header("data_missing", {"w": good}, "tensors end with the file", "behind the end", data=3)
    header("no_tensors_but_data", {}, "tensors end with the file", "4 bytes at the end")
    return samples


def gguf_valid() -> list[Valid]:
    samples: list[Valid] = []

    def add(
        name: str,
        gguf: Gguf,
        tensors: list[tuple],
        metadata: list[tuple[str, str]] = (),
        *,
        alignment: int = 32,
        data: int = 0,
    ) -> None:
        """``tensors`` as (name, dtype, shape, offset, size), by their place in the data."""
        file = gguf.file(bytes(data), alignment=alignment)
        end = len(gguf.header())
        base = len(file) - data
        placed = [(n, d, s, base + o, base + o + b) for n, d, s, o, b in tensors]
        samples.append((f"{name}.gguf", file, layout(end, placed, metadata)))

    def typical(**how: object) -> Gguf:
        made = Gguf(**how).pair(b"general.architecture", STRING, b"llama")
        return made.info(b"w", (4, 2), 0, 0).info(b"b", (3,), 1, 32)

    expected = [("w", "F32", [2, 4], 0, 32), ("b", "F16", [3], 32, 6)]
    llama = [("general.architecture", "llama")]
    add("version_3", typical(), expected, llama, data=64)
    add("version_2", typical(version=2), expected, llama, data=64)
    add("big_endian", typical(order=">"), expected, llama, data=64)
    add("last_padding_missing", typical(), expected, llama, data=38)
    add("nothing_inside", Gguf(), [])
    file = Gguf().pair(b"a", U8, 1)
    samples.append(
        ("header_only_unpadded.gguf", file.header(), layout(len(file.header()), [], [("a", "1")]))
    )
    values = Gguf()
    metadata = []
    for kind, value, text in (
        (U8, 255, "255"), (I8, -1, "-1"), (U16, 65535, "65535"), (I16, -2, "-2"),
        (U32, 1 << 31, "2147483648"), (I32, -3, "-3"), (F32, 0.5, "0.5"), (BOOL, 1, "true"),
        (STRING, "é\n".encode(), "é\n"), (U64, (1 << 64) - 1, "18446744073709551615"),
        (I64, -4, "-4"), (F64, 1e300, "1e+300"),
        (ARRAY, (STRING, [b"a", b"", b"\xff not UTF-8"]), "[3 x string]"),
        (ARRAY, (BOOL, [0, 1, 1]), "[3 x bool]"), (ARRAY, (F64, [1.0, 2.0]), "[2 x f64]"),
        (ARRAY, (U8, []), "[0 x u8]"),
        (ARRAY, (ARRAY, [(I32, [1, 2]), (STRING, [b"x"])]), "[2 x array]"),
    ):  # fmt: skip
        key = f"k.{len(metadata)}"
        values.pair(key.encode(), kind, value)
        metadata.append((key, text))
    values.pair(b"k.false", BOOL, 0)
    add("every_value", values, [], [*metadata, ("k.false", "false")])
    for alignment in (1, 64):
        made = Gguf().pair(b"general.alignment", U32, alignment)
        made.info(b"a", (3,), 24, 0).info(b"b", (2,), 24, 3 if alignment == 1 else 64)
        tensors = [("a", "I8", [3], 0, 3), ("b", "I8", [2], 3 if alignment == 1 else 64, 2)]
        add(f"alignment_{alignment}", made, tensors, [("general.alignment", str(alignment))],
            alignment=alignment, data=tensors[1][3] + 2)  # fmt: skip
    made = Gguf().info(b"late", (32,), 2, 288).info(b"k", (256, 2), 12, 0).info(b"e", (0,), 0, 288)
    add(
        "quantized",
        made,
        [("k", "Q4_K", [2, 256], 0, 288), ("e", "F32", [0], 288, 0), ("late", "Q4_0", [32], 288, 18)],
        data=320,
    )
    add("scalar", Gguf().info(b"s", (), 28, 0), [("s", "F64", [], 0, 8)], data=8)
    return samples


def gguf_invalid() -> list[Invalid]:
    samples: list[Invalid] = []

    def add(name: str, file: bytes, rule: str, says: str, error: str = "FormatError") -> None:
        samples.append((f"{name}.gguf", file, rule, error, says))

    def infos(name: str, *tensors: tuple, rule: str, says: str, data: int = 64,
              error: str = "FormatError") -> None:  # fmt: skip
        made = Gguf()
        for tensor in tensors:
            made.info(*tensor)
        add(name, made.file(bytes(data)), rule, says, error)

    def value(name: str, kind: int, body: bytes, rule: str, says: str,
              error: str = "FormatError") -> None:  # fmt: skip
        made = Gguf()
        add(name, made.raw_pair(made.string(b"k") + made.pack("I", kind) + body).file(), rule, says,
            error)  # fmt: skip

    pack = Gguf().pack
    limit = "LimitError"
    add("empty_file", b"", "a header of 24 bytes comes first", "too few")
    add("magic_only", b"GGUF", "a header of 24 bytes comes first", "too few")
    add("magic_wrong", Gguf(magic=b"GGML").file(), "the magic", "magic")
    add("magic_swapped", Gguf(magic=b"FUGG", order=">").file(), "the magic", "magic")
    for version in (0, 1, 4):
        add(f"version_{version}", Gguf(version=version).file(), "versions 2 and 3",
            f"version {version} ")
    add("version_1_big_endian", Gguf(version=1, order=">").file(), "versions 2 and 3", "version 1 ")
    huge = (1 << 64) - 1
    add("pairs_above_cap", Gguf().file(pairs=huge), "pairs are capped", "above the cap", limit)
    add("tensors_above_cap", Gguf().file(tensors=huge), "tensors are capped", "above the cap",
        limit)
    add("pairs_without_room", Gguf().file(pairs=1000), "counts fit the file", "room for")
    add("tensors_without_room", Gguf().file(tensors=1000), "counts fit the file", "room for")
    one = Gguf().pair(b"key", U32, 7)
    add("cut_in_pair", one.header()[:-1], "the header lies inside the file", "behind the end")
    add("pair_missing", one.file(bytes(32), pairs=2), "counts are true", "is empty")
    cut = Gguf().info(b"w", (4,), 0, 0).header()[:-1]
    add("cut_in_info", cut, "the header lies inside the file", "behind the end")
    add("key_length_all_ones", Gguf().raw_pair(pack("Q", huge) + bytes(32)).file(),
        "keys are capped", "above the cap", limit)
    add("key_above_cap", Gguf().raw_pair(pack("Q", 65536) + bytes(32)).file(), "keys are capped",
        "above the cap", limit)
    add("key_behind_end", Gguf().raw_pair(pack("Q", 65535) + bytes(32)).file(),
        "strings lie inside the file", "behind the end")
    add("key_empty", Gguf().pair(b"", U8, 1).file(), "keys are not empty", "is empty")
    add("key_not_utf8", Gguf().pair(b"\xff", U8, 1).file(), "keys are UTF-8", "not UTF-8")
    add("key_twice", Gguf().pair(b"a", U8, 1).pair(b"a", U8, 1).file(), "keys are unique", "twice")
    value("type_unknown", 13, bytes(16), "value types are listed", "unknown type 13")
    value("bool_two", BOOL, b"\2", "booleans are 0 or 1", "boolean")
    value("string_length_all_ones", STRING, pack("Q", huge), "strings are capped", "above the cap",
          limit)
    value("string_behind_end", STRING, pack("Q", 1 << 20), "strings lie inside the file",
          "behind the end")
    value("string_not_utf8", STRING, pack("Q", 2) + b"\xc3(", "strings are UTF-8", "not UTF-8")
    value("array_type_unknown", ARRAY, pack("IQ", 99, 0), "value types are listed",
          "unknown type 99")
    value("array_count_all_ones", ARRAY, pack("IQ", U8, huge), "items are capped", "above the cap",
          limit)
    value("array_behind_end", ARRAY, pack("IQ", F64, 1 << 20), "arrays lie inside the file",
          "behind the end")
    value("array_strings_behind_end", ARRAY, pack("IQ", STRING, 1 << 20) + bytes(64),
          "arrays lie inside the file", "behind the end")
    value("array_string_length_all_ones", ARRAY, pack("IQQ", STRING, 1, huge), "strings are capped",
          "above the cap", limit)
    value("array_bool_two", ARRAY, pack("IQ", BOOL, 3) + b"\0\1\2", "booleans are 0 or 1",
          "boolean")
    nested = b"".join(pack("IQ", ARRAY, 1) for _ in range(5)) + pack("IQ", U8, 0)
    value("array_too_deep", ARRAY, nested, "nesting is capped", "nested deeper than 4", limit)
    for kind, number in ((U32, 0), (U32, 24), (U64, 32), (I32, 32)):
        made = Gguf().pair(b"general.alignment", kind, number)
        name = f"alignment_{number}_{'u32' if kind == U32 else 'u64' if kind == U64 else 'i32'}"
        add(name, made.file(), "alignment is a power of two in a u32", "power of two")
    infos("name_twice", (b"w", (8,), 0, 0), (b"w", (8,), 0, 32), rule="names are unique",
          says="twice")
    infos("name_empty", (b"", (8,), 0, 0), rule="names are not empty", says="is empty")
    infos("name_not_utf8", (b"\xc0\x80", (8,), 0, 0), rule="names are UTF-8", says="not UTF-8")
    infos("type_removed", (b"w", (32,), 4, 0), rule="types are listed", says="ggml type 4")
    infos("type_above", (b"w", (32,), 1 << 31, 0), rule="types are listed", says="ggml type 2147")
    infos("rank_above_cap", (b"w", (1,) * 65, 0, 0), rule="rank is capped", says="more than 64",
          error=limit)
    add("rank_all_ones",
        Gguf().raw_info(pack("Q", 1) + b"w" + pack("I", 0xFFFFFFFF) + bytes(64)).file(),
        "rank is capped", "more than 64", limit)
    infos("dims_overflow", (b"w", (1 << 63, 2), 0, 0), rule="products do not overflow",
          says="overflows")
    infos("dims_overflow_to_zero", (b"w", (1 << 32, 1 << 32), 0, 0), data=0,
          rule="products do not overflow", says="overflows")
    infos("dims_overflow_times_zero", (b"w", (1 << 63, 2, 0), 0, 0), data=0,
          rule="products do not overflow", says="overflows")
    infos("row_not_whole_blocks", (b"w", (16, 2), 2, 0), rule="rows are whole blocks", says="rows")
    infos("offset_unaligned", (b"w", (8,), 0, 4), rule="offsets are aligned", says="not aligned")
    infos("offset_all_ones", (b"w", (8,), 0, huge - 31), rule="tensors lie inside the file",
          says="behind the end")
    infos("tensor_behind_end", (b"w", (17,), 0, 0), rule="tensors lie inside the file",
          says="behind the end")
    infos("empty_tensor_behind_end", (b"w", (0,), 0, 32), data=0,
          rule="tensors lie inside the file", says="behind the end")
    infos("overlap", (b"a", (9,), 0, 0), (b"b", (8,), 0, 32), rule="no overlap", says="overlaps")
    infos("alias", (b"a", (8,), 0, 0), (b"b", (8,), 0, 0), rule="no overlap", says="overlaps")
    infos("hole_at_start", (b"w", (8,), 0, 32), rule="no holes", says="hole of 32")
    infos("hole_between", (b"a", (8,), 0, 0), (b"b", (8,), 0, 64), data=96, rule="no holes",
          says="hole of 32")
    infos("trailing", (b"w", (8,), 0, 0), data=33, rule="tensors end with the file",
          says="1 bytes at the end")
    infos("no_tensors_but_data", data=1, rule="tensors end with the file",
          says="1 bytes at the end")
    return samples


FORMATS = {
    "safetensors": (safetensors_valid, safetensors_invalid),
    "gguf": (gguf_valid, gguf_invalid),
}


def generate(folder: Path) -> None:
    """Write every sample under ``folder``."""
    for name, (valid, invalid) in FORMATS.items():
        index: dict[str, dict[str, object]] = {"valid": {}, "invalid": {}}
        for kind in index:
            (folder / name / kind).mkdir(parents=True, exist_ok=True)
        for file, data, expected in valid():
            (folder / name / "valid" / file).write_bytes(data)
            index["valid"][file] = expected
        for file, data, rule, error, says in invalid():
            (folder / name / "invalid" / file).write_bytes(data)
            index["invalid"][file] = {"rule": rule, "error": error, "says": says}
        text = json.dumps(index, indent=1) + "\n"
        (folder / name / "samples.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
