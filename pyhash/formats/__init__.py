# SPDX-License-Identifier: Apache-2.0
"""Checkpoint formats: the list of them, and which tensors own which bytes of a file.

A new format is a module with ``NAME``, ``detect`` and ``parse`` (see ``_base.Format``) and one
line in FORMATS. Opening files is not done here.
"""

from __future__ import annotations

from bisect import bisect_right

from pyhash.formats import gguf, raw, safetensors
from pyhash.formats._base import HEAD_BYTES, Format, Layout, ReadAt, TensorRange

__all__ = [
    "FORMATS",
    "Format",
    "Layout",
    "ReadAt",
    "TensorRange",
    "has_tensors",
    "layout_of",
    "tensors_in",
]

# The first that claims a file gets it; raw claims everything.
FORMATS: tuple[Format, ...] = (
    safetensors,
    gguf,
    raw,
)


# Endings, in any case, of the files that tensors are loaded from.
TENSOR_SUFFIXES = (".safetensors", ".gguf")


def layout_of(read_at: ReadAt, size: int, path: str) -> Layout:
    """Find out a file's format and read its header.

    Safe to call from several threads if ``read_at`` is.

    Args:
        read_at: Gives bytes of the file; asked only for ranges inside ``size``.
        size: Size of the file in bytes.
        path: Path inside the checkpoint: its ending takes part in the choice of the format, and
            messages name it.

    Returns:
        The layout; without tensors for a file of no known format.

    Raises:
        FormatError: The file says that it is of some format and does not follow it.
        LimitError: A size or count in the header is above its cap.
        ReadError: ``read_at`` could not give the bytes.
    """
    head = read_at(0, min(size, HEAD_BYTES))
    chosen = next(candidate for candidate in FORMATS if candidate.detect(path, head))
    return chosen.parse(read_at, size, path)


def has_tensors(path: str) -> bool:
    """Tell by its name whether a file is one that tensors are loaded from. Raises nothing."""
    return path.lower().endswith(TENSOR_SUFFIXES)


def tensors_in(layout: Layout, start: int, end: int) -> tuple[str, ...]:
    """Name the tensors that own bytes of a range.

    Takes time by the logarithm of the number of tensors, and by that of the names returned.

    Args:
        layout: Layout of the file.
        start: First byte of the range, as a file offset.
        end: One past its last byte.

    Returns:
        Names in order of the file; empty for a range that only covers header or padding.
        Raises nothing.
    """
    names: list[str] = []
    first = bisect_right(layout.tensors, start, key=lambda tensor: tensor.end)
    for index in range(first, len(layout.tensors)):
        tensor = layout.tensors[index]
        if tensor.start >= end:
            break
        if max(start, tensor.start) < min(end, tensor.end):
            names.append(tensor.name)
    return tuple(names)
