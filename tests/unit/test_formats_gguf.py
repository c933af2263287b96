# SPDX-License-Identifier: Apache-2.0
"""GGUF: the real writer and reader, caps, bounded reading, and random files.

The samples for each rule are in tests/vectors/formats and run by test_formats_vectors.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _formats import VECTORS, Reader, build, parse, samples
from gguf import GGUFEndian, GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGUFValueType
from hypothesis import given, settings
from hypothesis import strategies as st

from pyhash.errors import FormatError, LimitError
from pyhash.formats import Layout, _cursor
from pyhash.formats import gguf as ours
from pyhash.limits import MAX_GGUF_HEADER_BYTES

FITS = {"derandomize": True, "deadline": None}
Gguf = build.Gguf


def test_ggml_types_are_those_of_the_package() -> None:
    for kind, (elements, size) in GGML_QUANT_SIZES.items():
        assert ours._GGML_TYPES[int(kind)] == (kind.name, elements, size)


def test_value_types_are_those_of_the_package() -> None:
    assert {int(kind) for kind in GGUFValueType} == set(ours._TYPE_NAMES)
    for name, letter, size in ours._NUMBERS.values():
        assert struct.calcsize("<" + letter) == size == int(name[1:]) // 8


def write(path: Path, *, endian: GGUFEndian, alignment: int | None) -> dict[str, Any]:
    """Write a file with the real writer; return its arrays by name."""
    writer = GGUFWriter(path, "llama", endianess=endian)
    writer.add_name("größe")
    writer.add_block_count(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_token_list([f"token {index}" for index in range(5000)])
    writer.add_token_scores([0.5] * 5000)
    writer.add_array("some.flags", [True, False])
    writer.add_chat_template("{{ message }}" * 10_000)
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    arrays = {
        "token_embd.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "blk.0.attn_norm.weight": np.arange(5, dtype=np.float16),
        "blk.0.ids": np.arange(7, dtype=np.int8).reshape(7, 1),
        "blk.1.output": np.arange(6, dtype=np.float64).reshape(1, 2, 3),
    }
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return arrays


@pytest.mark.parametrize("alignment", [None, 8, 4096])
@pytest.mark.parametrize("endian", list(GGUFEndian))
def test_real_writer(tmp_path: Path, endian: GGUFEndian, alignment: int | None) -> None:
    path = tmp_path / "model.gguf"
    arrays = write(path, endian=endian, alignment=alignment)
    data = path.read_bytes()
    layout = parse("gguf", data)
    assert [one.name for one in layout.tensors] == list(arrays)
    for one in layout.tensors:
        array = arrays[one.name]
        assert one.shape == array.shape
        swapped = array.byteswap() if endian is GGUFEndian.BIG else array
        assert data[one.start : one.end] == swapped.tobytes()
        assert one.start % (alignment or 32) == 0
    assert [one.dtype for one in layout.tensors] == ["F32", "F16", "I8", "F64"]
    pairs = dict(layout.metadata)
    assert pairs["general.architecture"] == "llama"
    assert pairs["general.name"] == "größe"
    assert pairs["llama.block_count"] == "2"
    assert pairs["llama.rope.freq_base"] == "10000.0"
    assert pairs["tokenizer.ggml.tokens"] == "[5000 x string]"
    assert pairs["tokenizer.ggml.scores"] == "[5000 x f32]"
    assert pairs["some.flags"] == "[2 x bool]"
    assert pairs["tokenizer.chat_template"] == "{{ message }}" * 10_000
    agree_with_reference(layout, path)


def agree_with_reference(layout: Layout, path: Path) -> None:
    """The package's reader must accept the file as well, and see the same tensors."""
    reader = GGUFReader(path)
    theirs = {
        one.name: (
            one.tensor_type.name,
            tuple(int(dimension) for dimension in reversed(one.shape)),
            int(one.data_offset),
            int(one.n_bytes),
        )
        for one in reader.tensors
    }
    assert theirs == {
        one.name: (one.dtype, one.shape, one.start, one.end - one.start) for one in layout.tensors
    }
    keys = [key for key in reader.fields if not key.startswith("GGUF.")]
    assert keys == [key for key, _ in layout.metadata]
    del reader


@pytest.mark.parametrize("file", samples("gguf", "valid"))
def test_valid_samples_against_the_reference(file: str) -> None:
    path = VECTORS / "gguf" / "valid" / file
    agree_with_reference(parse("gguf", path.read_bytes()), path)


# --- caps and bounded reading ---------------------------------------------------------------


def refuse(data: bytes, says: str) -> Reader:
    reader = Reader(data)
    with pytest.raises(LimitError, match=says) as caught:
        ours.parse(reader, len(data), "x.gguf")
    assert caught.value.path == "x.gguf"
    assert caught.value.offset is not None
    return reader


CAPS: list[tuple[str, int, Callable[[], bytes], str]] = [
    ("MAX_GGUF_PAIRS", 2, lambda: Gguf().pair(b"a", 0, 1).pair(b"b", 0, 1).file(), "pairs"),
    (
        "MAX_TENSORS",
        2,
        lambda: Gguf().info(b"a", (0,), 0, 0).info(b"b", (0,), 0, 0).file(),
        "2 tensors",
    ),
    ("MAX_TENSOR_RANK", 3, lambda: Gguf().info(b"a", (1, 0, 1), 0, 0).file(), "dimensions"),
    ("MAX_GGUF_STRING_BYTES", 5, lambda: Gguf().pair(b"a", 8, b"12345").file(), "string of 5"),
    (
        "MAX_GGUF_STRING_BYTES",
        5,
        lambda: Gguf().pair(b"a", 9, (8, [b"", b"12345"])).file(),
        "string of 5",
    ),
    ("MAX_GGUF_ARRAY_ITEMS", 3, lambda: Gguf().pair(b"a", 9, (0, [1, 2, 3])).file(), "3 items"),
    (
        "MAX_GGUF_ARRAY_DEPTH",
        2,
        lambda: Gguf().pair(b"a", 9, (9, [(0, [1])])).pair(b"b", 9, (0, [1])).file(),
        "nested deeper than 1",
    ),
    ("_MAX_NAME_BYTES", 3, lambda: Gguf().pair(b"abc", 0, 1).file(), "string of 3"),
    ("_MAX_NAME_BYTES", 3, lambda: Gguf().info(b"abc", (0,), 0, 0).file(), "string of 3"),
    ("MAX_GGUF_HEADER_BYTES", 38, lambda: Gguf().pair(b"a", 0, 1).file(), "cap of 37 bytes"),
]


@pytest.mark.parametrize(("cap", "value", "make", "says"), CAPS)
def test_at_cap_and_above(
    monkeypatch: pytest.MonkeyPatch, cap: str, value: int, make: Callable[[], bytes], says: str
) -> None:
    data = make()
    monkeypatch.setattr(ours, cap, value)
    parse("gguf", data)
    monkeypatch.setattr(ours, cap, value - 1)
    refuse(data, says)


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<IIQ", 9, 0, 1 << 26),
        struct.pack("<IIQ", 9, 7, 1 << 26),
        struct.pack("<IIQ", 9, 8, 1 << 26) + struct.pack("<Q", 1 << 26),
        struct.pack("<IIQ", 9, 9, 1 << 26),
        struct.pack("<IQ", 8, 1 << 26),
    ],
)
def test_declared_sizes_are_not_allocated(body: bytes) -> None:
    data = Gguf().raw_pair(struct.pack("<Q", 1) + b"k" + body + bytes(100)).file()
    reader = Reader(data)
    with pytest.raises(FormatError, match=r"behind the end of the file|unknown type 0|is empty"):
        ours.parse(reader, len(data), "x.gguf")
    assert sum(length for _, length in reader.reads) <= 2 * len(data) + 8


def test_a_huge_file_is_read_in_windows() -> None:
    """An array of 64 KiB strings in a file of 8 TiB: read window by window, up to the cap."""
    head = Gguf().header(pairs=1) + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 1 << 26)
    string = struct.pack("<Q", 1 << 16) + bytes(1 << 16)
    longest = 0

    def read_at(offset: int, length: int) -> bytes:
        nonlocal longest
        longest = max(longest, length)
        assert offset + length <= MAX_GGUF_HEADER_BYTES
        if offset < len(head):
            return (head + string)[offset : offset + length]
        begin = (offset - len(head)) % len(string)
        return (string * 2)[begin : begin + length]

    with pytest.raises(LimitError, match="above the cap"):
        ours.parse(read_at, 1 << 43, "x.gguf")
    assert longest <= 1 << 16


def test_long_header_through_small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the window changes nothing, whatever it cuts through."""
    data = (VECTORS / "gguf" / "valid" / "every_value.gguf").read_bytes()
    whole = parse("gguf", data)
    for window in (1, 2, 7, 8, 9, 13, 64):
        monkeypatch.setattr(_cursor, "_WINDOW_BYTES", window)
        assert parse("gguf", data) == whole


def test_booleans_are_checked_in_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_BOOLEANS_AT_ONCE", 4)
    good = Gguf().pair(b"k", 9, (7, [0, 1] * 5)).file()
    assert parse("gguf", good).metadata == (("k", "[10 x bool]"),)
    with pytest.raises(FormatError, match="boolean"):
        parse("gguf", Gguf().pair(b"k", 9, (7, [0, 1] * 4 + [2])).file())


# --- properties -----------------------------------------------------------------------------

TYPES = list(ours._GGML_TYPES.items())
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SCALARS = st.sampled_from(
    [
        (0, 200),
        (1, -5),
        (2, 9),
        (3, -9),
        (4, 1 << 31),
        (5, -7),
        (6, 0.25),
        (7, 1),
        (8, b"text"),
        (8, b""),
        (10, 1 << 63),
        (11, -1),
        (12, 0.1),
    ]
)
ARRAYS = st.sampled_from([(0, [1, 2]), (7, [1]), (8, [b"a", b"\xff", b""]), (12, [])])


@st.composite
def valid_files(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str, tuple[int, ...], int, int]]]:
    """A file by our own writer, and its tensors as (name, dtype, shape, start, end)."""
    made = Gguf(version=draw(st.sampled_from([2, 3])), order=draw(st.sampled_from(["<", ">"])))
    alignment = draw(st.sampled_from([None, 1, 8, 32, 64]))
    for key in draw(st.lists(NAMES, unique=True, max_size=4)):
        if draw(st.booleans()):
            made.pair(key.encode(), *draw(SCALARS))
        else:
            made.pair(key.encode(), 9, draw(ARRAYS))
    if alignment is not None:
        made.pair(b"general.alignment", 4, alignment)
    alignment = alignment or 32
    expected = []
    reached = 0
    for name in draw(st.lists(NAMES, unique=True, max_size=5)):
        kind, (dtype, elements, size) = draw(st.sampled_from(TYPES))
        rows = draw(st.lists(st.integers(0, 3), max_size=3))
        dims = (draw(st.integers(0, 2)) * elements, *rows)
        length = int(np.prod(dims, dtype=np.int64)) // elements * size
        expected.append((name, dtype, dims[::-1], reached, reached + length))
        reached += length + -length % alignment
    for one in draw(st.permutations(expected)):
        kind = next(number for number, (dtype, _, _) in TYPES if dtype == one[1])
        made.info(one[0].encode(), one[2][::-1], kind, one[3])
    data = made.file(bytes(reached), alignment=alignment)
    start = len(data) - reached
    placed = [(n, d, s, start + b, start + e) for n, d, s, b, e in expected]
    return data, sorted(placed, key=lambda one: one[3:])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "model.gguf"


@settings(max_examples=100, **FITS)
@given(sample=valid_files())
def test_valid_files_are_read_as_they_were_written(
    scratch: Path, sample: tuple[bytes, list[Any]]
) -> None:
    data, expected = sample
    layout = parse("gguf", data)
    found = [(one.name, one.dtype, one.shape, one.start, one.end) for one in layout.tensors]
    assert sorted(found) == sorted(expected)
    assert [one[3:] for one in found] == [one[3:] for one in expected]
    scratch.unlink(missing_ok=True)
    scratch.write_bytes(data)
    agree_with_reference(layout, scratch)


SEEDS = [
    (VECTORS / "gguf" / kind / file).read_bytes()
    for kind in ("valid", "invalid")
    for file in samples("gguf", kind)
]
EDGES = [0, 1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 255, 1 << 16, 1 << 31, (1 << 63) - 1, (1 << 64) - 1]


@settings(max_examples=200, **FITS)
@given(draw=st.data())
def test_what_we_accept_the_reference_accepts(scratch: Path, draw: st.DataObject) -> None:
    """Samples with numbers put over other bytes, or cut."""
    data = bytearray(draw.draw(st.sampled_from(SEEDS)))
    for _ in range(draw.draw(st.integers(0, 2))):
        at = draw.draw(st.integers(0, max(0, len(data) - 1)))
        width = draw.draw(st.sampled_from([1, 4, 8]))
        number = draw.draw(st.sampled_from(EDGES)) & ((1 << 8 * width) - 1)
        data[at : at + width] = number.to_bytes(width, "little")
    changed = bytes(data[: draw.draw(st.none() | st.integers(0, len(data)))])
    try:
        layout = parse("gguf", changed)
    except FormatError:
        return
    scratch.unlink(missing_ok=True)
    scratch.write_bytes(changed)
    agree_with_reference(layout, scratch)
