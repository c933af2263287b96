# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint format is to pyhash: a way to say which tensor owns which bytes of a file.

A format reads headers only, through a function that it is given. It opens nothing, hashes
nothing and never looks at tensor data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pyhash.errors import FormatError
from pyhash.frozen import frozen
from pyhash.limits import MAX_SHARD_BYTES
from pyhash.strict_json import show

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""(offset, length) -> exactly that many bytes of the file, or ReadError; lengths in bytes."""

MAX_ELEMENTS = MAX_SHARD_BYTES * 8  # of one tensor: no element is smaller than a bit


@dataclass(frozen=True, slots=True)
class TensorRange:
    """One tensor and the bytes that it owns.

    Attributes:
        name: Name as the file has it. Untrusted text: escape it before showing it.
        dtype: The format's own name of the element type.
        shape: Dimensions, slowest-varying first, whatever the file's order.
        start: First byte, counted from the start of the file.
        end: One past the last byte; equal to ``start`` for a tensor without elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@frozen
class Layout:
    """Where everything lies in one file.

    Attributes:
        format: Name of the format.
        tensors: Tensors by ascending start. They do not overlap and lie inside the file.
        header_end: One past the last byte of the header, padding behind it not counted; 0 for a
            file without any.
        metadata: The header's own key-value pairs in file order, values as text.
    """

    format: str
    tensors: tuple[TensorRange, ...]
    header_end: int
    metadata: tuple[tuple[str, str], ...]


class Format(Protocol):
    """One checkpoint format. A module with these three names is one."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """Word for the format, as in ``Layout.format``."""

    def detect(self, path: str, head: bytes) -> bool:
        """Tell whether a file is to be read as this format.

        Args:
            path: Path inside the checkpoint; only its ending matters.
            head: The first HEAD_BYTES of the file, fewer where the file is shorter.

        Returns:
            True when the file says that it is of this format. It may still be damaged.
        """

    def parse(self, read_at: ReadAt, size: int, path: str) -> Layout:
        """Read the header.

        Args:
            read_at: Gives bytes of the file; asked only for ranges inside ``size``.
            size: Size of the file in bytes.
            path: Path for messages.

        Returns:
            The layout.

        Raises:
            FormatError: The header does not follow the format.
            LimitError: A size or count in it is above its cap.
            ReadError: ``read_at`` could not give the bytes.
        """


HEAD_BYTES = 16  # what ``Format.detect`` is given


def arrange_tensors(
    tensors: Iterable[TensorRange], *, start: int, end: int, alignment: int, path: str
) -> tuple[TensorRange, ...]:
    """Put tensors in order of their bytes, and refuse overlaps and holes.

    Each tensor must begin at the first multiple of ``alignment`` at or behind the end of the one
    before it, and the file must not go on behind the multiple that follows the last one.

    Args:
        tensors: The tensors, in any order.
        start: Where the data begins, as a file offset; a multiple of ``alignment``.
        end: Where the data ends: the size of the file.
        alignment: In bytes; 1 for no padding at all.
        path: Path for messages.

    Returns:
        The tensors by ascending start, then end.

    Raises:
        FormatError: Two tensors overlap, one lies outside [start, end), or there are bytes that
            belong to none and are no padding.
    """
    arranged = tuple(sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)))
    reached = start
    for tensor in arranged:
        where = f"{path}: tensor {show(tensor.name)}"
        if tensor.start < reached:
            raise FormatError(f"{where} overlaps the bytes before it", path, tensor.start)
        if tensor.end > end:
            raise FormatError(f"{where} ends behind the end of the file", path, tensor.start)
        if tensor.start > align_up(reached, alignment):
            hole = tensor.start - reached
            raise FormatError(f"{where} leaves a hole of {hole} bytes before it", path, reached)
        reached = tensor.end
    if end > align_up(reached, alignment):
        message = f"{path}: {end - reached} bytes at the end belong to no tensor"
        raise FormatError(message, path, reached)
    return arranged


def align_up(offset: int, alignment: int) -> int:
    """Return the first multiple of ``alignment`` at or behind ``offset``; both in bytes.

    Args:
        offset: Where to begin.
        alignment: At least 1.

    Returns:
        The multiple. Raises nothing.
    """
    return -(-offset // alignment) * alignment


def count_elements(shape: Iterable[int], where: str, path: str) -> int:
    """Multiply dimensions within bounds.

    A shape whose other dimensions overflow is refused even where one of them is zero: readers
    with 64-bit products disagree about it, by the order in which they multiply.

    Args:
        shape: Dimensions, none negative.
        where: Which tensor, for messages.
        path: Path for messages.

    Returns:
        The number of elements; 1 for no dimensions.

    Raises:
        FormatError: The product of the dimensions other than zero is above MAX_ELEMENTS.
    """
    product = 1
    empty = False
    for dimension in shape:
        empty = empty or dimension == 0
        product *= dimension or 1
        if product > MAX_ELEMENTS:
            raise FormatError(f"{path}: {where} has a shape that overflows", path)
    return 0 if empty else product
