# SPDX-License-Identifier: Apache-2.0
"""Slices of tensors: which bytes of the file they are, and reading those and little more.

Along the slowest dimension that is cut, a slice is one run of bytes, or several long ones, which
are read straight into place. Where the runs are short, blocks of whole rows are read beside it and
what is wanted is copied from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from pyhash.errors import UsageError
from pyhash.formats import TensorRange
from pyhash.loading._source import Piece, Source
from pyhash.loading._views import Tensor
from pyhash.merkle import SPAN_BYTES

# Rows that are read together when only a part of each is wanted, bytes.
BLOCK_BYTES = 8 << 20

Slices: TypeAlias = Sequence[slice]


@dataclass(frozen=True, slots=True)
class Want:
    """One tensor, or a slice of it, that is asked for.

    Attributes:
        index: Of its file in the listing.
        tensor: Where it lies.
        slices: One for each of the first dimensions; none: all of it. Steps are 1.
        big_endian: As the file says.
    """

    index: int
    tensor: TensorRange
    slices: Slices = ()
    big_endian: bool = False


@dataclass(frozen=True, slots=True)
class _Cut:
    """A slice as bytes: of each row of ``row`` bytes, [start, end) is wanted."""

    shape: tuple[int, ...]
    rows: tuple[int, ...]  # offsets of the rows within the tensor, in order
    row: int
    start: int
    end: int


def read_tensors(source: Source, wants: Iterable[Want], path_of: Sequence[str]) -> list[Tensor]:
    """Read and verify tensors and slices, and nothing else but what shares their spans.

    Args:
        source: The checkpoint.
        wants: What is asked for; best in order of the file.
        path_of: Path of each file of the listing.

    Returns:
        One tensor for each, in their order; each has its own memory.

    Raises:
        UsageError: A slice that makes no sense for its tensor.
        VerificationError, CheckError: As ``Source.ranges``.
    """
    found: list[Tensor] = []
    blocks: list[tuple[Want, _Cut, memoryview]] = []

    def pieces() -> Iterator[Piece]:
        for want in wants:
            cut = _cut(want)
            run = cut.end - cut.start
            start = want.tensor.start + (cut.rows[0] if cut.rows else 0) + cut.start
            place = source.place_for(start, run * len(cut.rows))
            tensor = want.tensor
            found.append(
                Tensor(
                    tensor.name,
                    tensor.dtype,
                    cut.shape,
                    place,
                    path_of[want.index],
                    want.big_endian,
                )
            )
            if _is_direct(cut):
                for number, row in enumerate(cut.rows):
                    begin = tensor.start + row + cut.start
                    part = place[number * run : (number + 1) * run]
                    yield Piece(want.index, begin, begin + run, part)
            else:
                blocks.append((want, cut, place))

    source.ranges(pieces())
    for want, cut, place in blocks:
        _read_blocks(source, want, cut, place)
    return found


def _is_direct(cut: _Cut) -> bool:
    """Whether each run is long enough, or far enough from the next, to be read by itself."""
    run = cut.end - cut.start
    return len(cut.rows) < 2 or run >= SPAN_BYTES or cut.row > BLOCK_BYTES or run == 0


def _read_blocks(source: Source, want: Want, cut: _Cut, place: memoryview) -> None:
    """Read whole rows, as many at a time as follow each other, and copy the wanted part of each."""
    import numpy as np

    run, at_once = cut.end - cut.start, max(1, BLOCK_BYTES // cut.row)
    target = np.frombuffer(place, dtype="uint8").reshape(len(cut.rows), run)
    done = 0
    while done < len(cut.rows):
        count = 1
        while (
            count < min(at_once, len(cut.rows) - done)
            and cut.rows[done + count] == cut.rows[done + count - 1] + cut.row
        ):
            count += 1
        start = want.tensor.start + cut.rows[done]
        block = source.place_for(start, count * cut.row)
        source.ranges([Piece(want.index, start, start + count * cut.row, block)])
        rows = np.frombuffer(block, dtype="uint8").reshape(count, cut.row)
        target[done : done + count] = rows[:, cut.start : cut.end]
        done += count


def _cut(want: Want) -> _Cut:
    tensor = want.tensor
    size = tensor.end - tensor.start
    if not want.slices:
        return _Cut(tensor.shape, (0,), size, 0, size)
    if len(want.slices) > len(tensor.shape):
        count = len(tensor.shape)
        raise UsageError(f"{tensor.name}: {len(want.slices)} slices of {count} dimensions")
    bounds = [
        _bounds(one, dimension, tensor.name)
        for one, dimension in zip(want.slices, tensor.shape, strict=False)
    ]
    shape = tuple(end - start for start, end in bounds) + tensor.shape[len(bounds) :]
    elements = math.prod(tensor.shape)
    if 0 in shape:
        return _Cut(shape, (), 0, 0, 0)
    if size % elements:
        raise UsageError(f"{tensor.name}: elements of {tensor.dtype} are no whole bytes: no slices")
    cut = max(
        (i for i, (start, end) in enumerate(bounds) if end - start != tensor.shape[i]), default=0
    )
    inner = math.prod(tensor.shape[cut + 1 :]) * (size // elements)
    row = tensor.shape[cut] * inner
    strides = [math.prod(tensor.shape[i + 1 : cut]) * row for i in range(cut)]
    rows = tuple(
        sum(index * stride for index, stride in zip(indexes, strides, strict=True))
        for indexes in product(*(range(start, end) for start, end in bounds[:cut]))
    )
    return _Cut(shape, rows, row, bounds[cut][0] * inner, bounds[cut][1] * inner)


def _bounds(one: slice, dimension: int, name: str) -> tuple[int, int]:
    if not isinstance(one, slice) or one.step not in (None, 1):
        raise UsageError(f"{name}: slices are slice(start, stop) with no step, not {one!r}")
    start, end, _ = one.indices(dimension)
    return start, max(start, end)
