# SPDX-License-Identifier: Apache-2.0
"""The list of formats, the choice between them, and which tensors own a range of bytes."""

from __future__ import annotations

import pytest
from _formats import BY_NAME, Reader, build, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from pyhash.errors import FormatError
from pyhash.formats import FORMATS, Layout, TensorRange, layout_of, tensors_in
from pyhash.formats._base import MAX_ELEMENTS, align_up, arrange_tensors, count_elements

SAFETENSORS = build.safetensors({"w": build.entry("U8", [4], 0, 4)}, b"data")
GGUF = build.Gguf().info(b"w", (4,), 24, 0).file(b"data")


def test_names_are_unique_and_raw_is_last() -> None:
    assert list(BY_NAME) == [one.NAME for one in FORMATS]
    assert FORMATS[-1].NAME == "raw"


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("model.safetensors", SAFETENSORS, "safetensors"),
        ("dir/MODEL.SafeTensors", SAFETENSORS, "safetensors"),
        ("blob", SAFETENSORS, "safetensors"),
        ("blob", build.safetensors({}), "safetensors"),
        ("model.gguf", GGUF, "gguf"),
        ("blob", GGUF, "gguf"),
        ("config.json", b'{"architectures": ["X"]}', "raw"),
        ("empty", b"", "raw"),
        ("zeros", bytes(64), "raw"),
        ("brace", b"12345678{", "raw"),
        ("too_long", build.safetensors({"w": 1}, length=100_000_001), "raw"),
        ("short", b"GGU", "raw"),
    ],
)
def test_choice(path: str, data: bytes, expected: str) -> None:
    layout = layout_of(Reader(data), len(data), path)
    assert layout.format == expected
    assert [one.name for one in layout.tensors] == (["w"] if b"data" in data else [])


@pytest.mark.parametrize("path", ["model.safetensors", "model.GGUF"])
@pytest.mark.parametrize("data", [b"", b"not what the name says, but long enough", GGUF[:30]])
def test_a_name_is_a_claim(path: str, data: bytes) -> None:
    with pytest.raises(FormatError):
        layout_of(Reader(data), len(data), path)


def test_raw_reads_nothing() -> None:
    reader = Reader(b"abc")
    assert BY_NAME["raw"].parse(reader, 3, "x") == Layout("raw", (), 0, ())
    assert reader.reads == []


def test_tensors_in() -> None:
    layout = Layout(
        "some",
        (
            TensorRange("empty", "U8", (0,), 10, 10),
            TensorRange("a", "U8", (10,), 10, 20),
            TensorRange("also_empty", "U8", (0,), 20, 20),
            TensorRange("b", "U8", (5,), 24, 29),
        ),
        8,
        (),
    )
    assert tensors_in(layout, 0, 10) == ()
    assert tensors_in(layout, 0, 11) == ("a",)
    assert tensors_in(layout, 19, 20) == ("a",)
    assert tensors_in(layout, 20, 24) == ()
    assert tensors_in(layout, 19, 25) == ("a", "b")
    assert tensors_in(layout, 0, 1 << 40) == ("a", "b")
    assert tensors_in(layout, 29, 1 << 40) == ()
    assert tensors_in(layout, 12, 12) == ()
    assert tensors_in(layout, 15, 12) == ()
    assert tensors_in(Layout("raw", (), 0, ()), 0, 100) == ()


@settings(derandomize=True, max_examples=100)
@given(
    sizes=st.lists(st.integers(0, 5), max_size=8),
    start=st.integers(0, 45),
    length=st.integers(0, 20),
)
def test_tensors_in_equals_counting_bytes(sizes: list[int], start: int, length: int) -> None:
    header = {}
    owner: list[str] = []
    for index, size in enumerate(sizes):
        header[f"t{index}"] = build.entry("U8", [size], len(owner), len(owner) + size)
        owner += [f"t{index}"] * size
    layout = parse("safetensors", build.safetensors(header, bytes(len(owner))))
    begin = layout.header_end + start - 5
    inside = owner[max(0, start - 5) : max(0, start - 5 + length)]
    assert tensors_in(layout, begin, begin + length) == tuple(dict.fromkeys(inside))


def test_align_up() -> None:
    assert [align_up(n, 4) for n in (0, 1, 3, 4, 5)] == [0, 4, 4, 4, 8]
    assert align_up(1 << 63, 1) == 1 << 63


def test_count_elements_at_bound_and_above() -> None:
    assert count_elements((), "t", "p") == 1
    assert count_elements((MAX_ELEMENTS,), "t", "p") == MAX_ELEMENTS
    assert count_elements((0, MAX_ELEMENTS), "t", "p") == 0
    for shape in ((MAX_ELEMENTS + 1,), (MAX_ELEMENTS, 2), (0, MAX_ELEMENTS, 2), (2,) * 64):
        with pytest.raises(FormatError, match="t has a shape that overflows"):
            count_elements(shape, "t", "p")


def test_arrange_names_the_place() -> None:
    tensors = [TensorRange("b", "U8", (1,), 40, 41), TensorRange("a", "U8", (1,), 32, 33)]
    arranged = arrange_tensors(tensors, start=32, end=48, alignment=8, path="p")
    assert [one.name for one in arranged] == ["a", "b"]
    with pytest.raises(FormatError, match=r"^p: tensor 'b' leaves a hole of 7 bytes") as caught:
        arrange_tensors(tensors, start=32, end=41, alignment=1, path="p")
    assert caught.value.offset == 33
    with pytest.raises(FormatError, match="8 bytes at the end") as caught:
        arrange_tensors(tensors, start=32, end=49, alignment=8, path="p")
    assert caught.value.offset == 41
