# SPDX-License-Identifier: Apache-2.0
"""Plain SHA-256 of one file after the other through hashlib, where that beats the engine.

On a processor without SHA instructions one serial stream is bound by latency, and sixteen lanes are
no use to it: OpenSSL's assembler is half again as fast as the engine's portable kernel there. Which
is the better one is measured. Nothing here knows trees, and cold data is left to the engine, which
reads it without filling the page cache.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence

from pyhash import _native, errors

# By how much hashlib must be faster: within it, one reader fewer is worth more.
WORTH = 1.1
# Read at a time: fits the second-level cache, and is long enough to hash without the interpreter.
READ_BYTES = 256 << 10
# Where a file is asked for its pages, evenly spread.
PROBES = 16
MEASURED_BYTES, MEASURED_ROUNDS = 128 << 10, 5


def is_hashlib_better(descriptors: Sequence[int], sizes: Sequence[int], threads: int) -> bool:
    """Tell whether ``hash_serially`` is the faster way to these files' digests.

    Args:
        descriptors: Open files.
        sizes: Their sizes, bytes.
        threads: How many threads would work.

    Returns:
        True only where every file is in the page cache, the files are many bytes and so few that
        each thread follows one, and hashlib's one stream was measured to be the fastest.
        Raises nothing.
    """
    total, longest = sum(sizes), max(sizes, default=0)
    if total < _native.CALIBRATED_BYTES or round(total / longest) > threads:
        return False
    return _hashlib_rate() > WORTH * _kernel_rate() and all(map(_is_cached, descriptors, sizes))


@functools.cache
def _hashlib_rate() -> float:
    """Bytes per second of one stream, data in cache."""
    data = bytes(MEASURED_BYTES)
    best = float("inf")
    for _ in range(MEASURED_ROUNDS):
        start = time.perf_counter()
        hashlib.sha256(data).digest()
        best = min(best, time.perf_counter() - start)
    return len(data) / max(best, 1e-9)


def _kernel_rate() -> float:
    """Bytes per second of the engine's best kernel for one message."""
    return max(rate / kernel.lanes for kernel, rate in _native.measure_kernels())


def _is_cached(descriptor: int, size: int) -> bool:
    for probe in range(PROBES):
        offset = size * probe // PROBES
        try:
            os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
        except OSError:  # it would have to wait, or the file system cannot tell
            return False
    return True


def hash_serially(
    ranges: Sequence[_native.Range], *, threads: int, progress: _native.Progress | None = None
) -> list[bytes]:
    """Return the plain SHA-256 of whole files, each by one thread through hashlib.

    Args:
        ranges: Open files from byte 0 to their ends; the longest should come first.
        threads: At least 1.
        progress: Called on the calling thread with the bytes done, about 20 times a second
            and once at the end.

    Returns:
        32 bytes for each, in their order.

    Raises:
        ReadError: The system refused a read.
        TruncatedError: A file ended before its range did.
        KeyboardInterrupt: Ctrl-C; every thread has ended.
    """
    work = _Work(ranges)
    workers = [
        threading.Thread(target=work.run, name="pyhash-serial", daemon=True)
        for _ in range(min(threads, len(ranges)))
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(_native.POLL_SECONDS)
                if progress:
                    progress(sum(work.done))
    finally:
        work.stop.set()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
    if work.failures:
        raise work.failures[0]
    if progress:
        progress(sum(work.done))
    return work.digests


class _Work:
    """What the threads of one call share."""

    def __init__(self, ranges: Sequence[_native.Range]) -> None:
        self.ranges = ranges
        self.next: Iterator[int] = iter(range(len(ranges)))
        self.done = [0] * len(ranges)
        self.digests = [b""] * len(ranges)
        self.failures: list[errors.PyhashError] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Hash files until none is left, or until somebody failed."""
        buffer = bytearray(READ_BYTES)
        for index in self.next:  # one step of the iterator holds the interpreter lock
            try:
                self._hash(index, buffer)
            except errors.PyhashError as error:
                self.failures.append(error)
                self.stop.set()
            if self.stop.is_set():
                return

    def _hash(self, index: int, buffer: bytearray) -> None:
        item, state, view = self.ranges[index], hashlib.sha256(), memoryview(buffer)
        while self.done[index] < item.end and not self.stop.is_set():
            offset = self.done[index]
            try:
                got = os.preadv(item.source, [view[: min(len(view), item.end - offset)]], offset)
            except OSError as error:
                raise errors.ReadError(
                    f"{item.path}: {error.strerror} (errno {error.errno}) at byte {offset}",
                    item.path,
                    error.errno,
                    offset,
                ) from error
            if got == 0:
                raise errors.TruncatedError(
                    f"{item.path}: the file ended early at byte {offset}", item.path, None, offset
                )
            state.update(view[:got])
            self.done[index] = offset + got
        self.digests[index] = state.digest()
