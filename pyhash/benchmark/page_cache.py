# SPDX-License-Identifier: Apache-2.0
"""Makes files cold without being root, and finds out whether they are.

Only the pages of the files that are given are dropped: nobody else on the host is slowed down.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence

CACHESTAT = 451  # number of the system call, the same on every architecture; Linux 6.5 and later
LOOK_BYTES = 1 << 30  # how much is mapped at a time where there is no cachestat


class _CachestatRange(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _Cachestat(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("cache", "dirty", "back", "evicted", "recent")]


def drop_pages(paths: Sequence[str]) -> None:
    """Ask the system to forget the pages of files, which must not be dirty.

    Raises:
        OSError: A file cannot be opened.
    """
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def resident_share(paths: Sequence[str], sizes: Sequence[int]) -> float | None:
    """Return which share of the first bytes of files is in the page cache, 0 to 1.

    Args:
        paths: The files.
        sizes: How many bytes of each count; more than 0 in all.

    Returns:
        The share; None where the system does not say (another user's file on a new Linux).

    Raises:
        OSError: A file cannot be opened.
    """
    resident = 0
    for path, size in zip(paths, sizes, strict=True):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pages = _cached_pages(descriptor, size)
        finally:
            os.close(descriptor)
        if pages is None:
            return None
        resident += pages * mmap.PAGESIZE
    return min(1.0, resident / sum(sizes))


def _cached_pages(descriptor: int, size: int) -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    where, found = _CachestatRange(0, size), _Cachestat()
    status = libc.syscall(
        ctypes.c_long(CACHESTAT),
        ctypes.c_int(descriptor),
        ctypes.byref(where),
        ctypes.byref(found),
        ctypes.c_uint(0),
    )
    return int(found.cache) if status == 0 else mincore_pages(descriptor, size)


def mincore_pages(descriptor: int, size: int) -> int | None:
    """Count the resident pages of a file's first bytes through a mapping; None: not possible.

    Raises nothing. On Linux 5.2 and later a file that one may not write looks resident as a whole.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    found = 0
    for offset in range(0, size, LOOK_BYTES):
        length = min(LOOK_BYTES, size - offset)
        address = libc.mmap(
            None,
            ctypes.c_size_t(length),
            mmap.PROT_READ,
            mmap.MAP_SHARED,
            descriptor,
            ctypes.c_long(offset),
        )
        if address in (None, ctypes.c_void_p(-1).value):
            return None
        flags = ctypes.create_string_buffer(-(-length // mmap.PAGESIZE))
        status = libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(length), flags)
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(length))
        if status != 0:
            return None
        found += sum(byte & 1 for byte in flags.raw)
    return found
