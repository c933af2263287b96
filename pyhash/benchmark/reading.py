# SPDX-License-Identifier: Apache-2.0
"""The roof of reading: threads that read and do nothing else, past the page cache and out of it.

None of the engine's readers is used, so that they can be judged by it. Where fio is installed, it
reads the same files too (``fio``).
"""

from __future__ import annotations

import mmap
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from pyhash.benchmark import page_cache
from pyhash.benchmark.measuring import SEED
from pyhash.benchmark.sample import Sample

DIRECT_BYTES = 1 << 20  # of one read from the drive
CACHED_BYTES = 256 << 10  # of one read out of it: stays in the second-level cache
DEPTHS = (1, 2, 4, 8, 16, 32)  # reads under way at once
LIMIT_SECONDS = 1.0  # of one measurement


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of reading.

    Attributes:
        cold: From the drive: the files' pages are dropped first.
        direct: Past the page cache (O_DIRECT).
        depth: Reads under way at once, each by a thread of its own.
    """

    cold: bool
    direct: bool
    depth: int

    @property
    def name(self) -> str:
        """What it is called in results. Raises nothing."""
        way = "direct" if self.direct else "cold" if self.cold else "cached"
        return f"{way} x{self.depth}"


def cold_readings(sample: Sample) -> list[Reading]:
    """Return the ways to read from the drive, at rising depth: direct where that is possible.

    Raises nothing.
    """
    direct = can_read_direct(sample)
    return [Reading(True, direct, depth) for depth in DEPTHS]


def cached_readings(processors: int) -> list[Reading]:
    """Return the ways to read out of the page cache, by rising numbers of threads.

    Raises nothing.
    """
    return [Reading(False, False, depth) for depth in sorted({1, processors, 2 * processors})]


def can_read_direct(sample: Sample) -> bool:
    """Does the file system read past its page cache? Raises nothing."""
    try:
        with _open(sample, direct=True) as descriptors, mmap.mmap(-1, DIRECT_BYTES) as buffer:
            return os.preadv(descriptors[0], [buffer], 0) > 0
    except OSError:
        return False


class Reader:
    """Reads a sample once each time it is called; returns bytes per second."""

    def __init__(self, sample: Sample, reading: Reading) -> None:
        self.sample, self.reading = sample, reading
        self.random = random.Random(SEED)  # noqa: S311 - protects nothing

    @property
    def name(self) -> str:
        """What it is called in results. Raises nothing."""
        return self.reading.name

    def __call__(self) -> float:
        """Read all of the sample, or for LIMIT_SECONDS, from a new place each time.

        Raises:
            OSError: The system refused a read.
            KeyboardInterrupt: Ctrl-C; no thread is left.
        """
        if self.reading.cold:
            page_cache.drop_pages(self.sample.paths)
        with _open(self.sample, direct=self.reading.direct) as descriptors:
            pieces = _Pieces(self.sample, self.reading, self.random)
            began = time.perf_counter()
            try:
                with ThreadPoolExecutor(self.reading.depth, "pyhash-bench") as pool:
                    work = [
                        pool.submit(_read, pieces, descriptors) for _ in range(self.reading.depth)
                    ]
                    done = sum(one.result() for one in work)
            finally:
                pieces.stop()
            return done / (time.perf_counter() - began)


class _Pieces:
    """Hands out pieces of the sample from a random one on, until all or the time is spent."""

    def __init__(self, sample: Sample, reading: Reading, order: random.Random) -> None:
        self.bytes = DIRECT_BYTES if reading.cold else CACHED_BYTES
        self.all = [
            (file, offset)
            for file, size in enumerate(sample.sizes)
            for offset in range(0, size, self.bytes)
        ]
        start = order.randrange(len(self.all))
        self.all = self.all[start:] + self.all[:start]
        self.next = 0
        self.until = time.perf_counter() + LIMIT_SECONDS
        self.lock = threading.Lock()

    def take(self) -> tuple[int, int] | None:
        with self.lock:
            if self.next == len(self.all) or time.perf_counter() > self.until:
                return None
            self.next += 1
            return self.all[self.next - 1]

    def stop(self) -> None:
        self.until = 0.0


def _read(pieces: _Pieces, descriptors: list[int]) -> int:
    done = 0
    with mmap.mmap(-1, pieces.bytes) as buffer:  # begins at a page, as O_DIRECT asks
        while piece := pieces.take():
            file, offset = piece
            done += os.preadv(descriptors[file], [buffer], offset)
    return done


@contextmanager
def _open(sample: Sample, *, direct: bool) -> Iterator[list[int]]:
    flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECT if direct else 0)
    descriptors: list[int] = []
    try:
        for path in sample.paths:
            descriptors.append(os.open(path, flags))
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
