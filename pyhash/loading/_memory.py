# SPDX-License-Identifier: Apache-2.0
"""Memory that only this process can write to: where checkpoint bytes are read, hashed and used.

A mapping of the file would show what others write to it later; private anonymous memory cannot.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress

from pyhash.errors import EngineError

HUGE_BYTES = 2 << 20  # a huge page: fewer faults, which otherwise cost as much as the hashing
PAGE_BYTES = 4096  # reads past the page cache need memory and file offset on a multiple of it
# Below this a mapping of its own costs more than it saves, bytes.
MIN_MAPPING_BYTES = 256 << 10


def allocate(size: int, *, skew: int = 0) -> memoryview:
    """Return zeroed writable memory, freed with the last view of it. Thread-safe.

    Args:
        size: Bytes.
        skew: How far behind a multiple of PAGE_BYTES it is to begin, at most PAGE_BYTES; small
            memory begins anywhere.

    Raises:
        EngineError: There is not so much.
    """
    if size < MIN_MAPPING_BYTES:
        return memoryview(bytearray(size))
    # Pages that are not touched cost nothing, so room for the alignment is free.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        area = mmap.mmap(-1, size + skew + HUGE_BYTES, flags=flags)
    except (OSError, OverflowError) as error:
        raise EngineError(f"no memory for {size} bytes: {error}") from error
    base = -_address(area) % HUGE_BYTES
    # Only where they are used to their last byte: else each tensor would take up to 2 MiB more.
    huge = (skew + size) // HUGE_BYTES * HUGE_BYTES
    if huge:
        with suppress(OSError):  # a kernel without huge pages: slower, never different
            area.madvise(mmap.MADV_HUGEPAGE, base, huge)
    start = base + skew
    return memoryview(area)[start : start + size]


def _address(area: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(area))
