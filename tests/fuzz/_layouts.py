# SPDX-License-Identifier: Apache-2.0
"""What must hold for every layout that a format's parser returns, whatever the bytes."""

from __future__ import annotations

from pyhash.formats import Format, tensors_in


def check_parse(chosen: Format, data: bytes, path: str) -> None:
    """Parse, and raise AssertionError where the layout does not fit the file."""

    def read_at(offset: int, length: int) -> bytes:
        if not 0 <= offset <= offset + length <= len(data):
            raise AssertionError(f"read of [{offset}, {offset + length}) outside {len(data)} bytes")
        return data[offset : offset + length]

    layout = chosen.parse(read_at, len(data), path)
    reached = layout.header_end
    for tensor in layout.tensors:
        if not reached <= tensor.start <= tensor.end <= len(data):
            raise AssertionError(f"{tensor!r} does not fit behind {reached}")
        reached = tensor.end
    names = [tensor.name for tensor in layout.tensors]
    if len(set(names)) != len(names):
        raise AssertionError(f"a name is there twice in {names!r}")
    owners = tuple(tensor.name for tensor in layout.tensors if tensor.start < tensor.end)
    if tensors_in(layout, 0, len(data)) != owners:
        raise AssertionError(f"the whole file does not have the tensors {owners!r}")
