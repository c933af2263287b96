# SPDX-License-Identifier: Apache-2.0
"""One stream through hashlib: the same digests and errors as the engine's, and only when faster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyhash import _native, errors, hashing, serial_hashing
from pyhash._native import Kernel, Range
from pyhash.hashing import Options
from tests import reference

MIB = 1 << 20
SLOW = ((Kernel("portable", 1, True), 1.0), (Kernel("avx512_x16", 16, True), 3.0))


class Files:
    """Files of given sizes, open."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.stack = directory, stack

    def make(self, *sizes: int) -> list[Range]:
        ranges = []
        for number, size in enumerate(sizes):
            path = self.directory / f"{number}"
            path.write_bytes(
                (b"%d" % number * 7 + b"," * 4089) * (size // 4096) + b"x" * (size % 4096)
            )
            os.truncate(path, size)
            descriptor = os.open(path, os.O_RDONLY)
            self.stack.callback(os.close, descriptor)
            ranges.append(Range(path.name, descriptor, 0, size))
        return ranges

    def digests(self, ranges: list[Range]) -> list[bytes]:
        return [
            reference.sha256((self.directory / item.path).read_bytes()).digest() for item in ranges
        ]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Files]:
    with ExitStack() as stack:
        yield Files(tmp_path, stack)


@pytest.fixture
def slow_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "measure_kernels", lambda: SLOW)


def is_better(ranges: list[Range], threads: int) -> bool:
    return serial_hashing.is_hashlib_better(
        [item.source for item in ranges], [item.end for item in ranges], threads
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_digests(threads: int, opened: Files) -> None:
    block = serial_hashing.READ_BYTES
    ranges = opened.make(3 * block + 1, block, block - 1, 64, 1, 0, 0)
    seen: list[int] = []
    found = serial_hashing.hash_serially(ranges, threads=threads, progress=seen.append)
    assert found == opened.digests(ranges)
    assert seen[-1] == sum(item.end for item in ranges)


def test_no_files() -> None:
    assert serial_hashing.hash_serially([], threads=2) == []


def test_file_that_ends_early(opened: Files) -> None:
    ranges = opened.make(3 * MIB, 2 * MIB)
    os.truncate(opened.directory / "1", MIB)
    with pytest.raises(errors.TruncatedError, match=f"1: the file ended early at byte {MIB}"):
        serial_hashing.hash_serially(ranges, threads=2)


def test_read_that_the_system_refuses(opened: Files) -> None:
    ranges = opened.make(2 * MIB)
    directory = os.open(opened.directory, os.O_RDONLY)
    opened.stack.callback(os.close, directory)
    with pytest.raises(errors.ReadError, match=r"bad: Is a directory \(errno 21\) at byte 0"):
        serial_hashing.hash_serially([Range("bad", directory, 0, 5), *ranges], threads=1)


def test_interruption_ends_every_thread(opened: Files) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    sparse = opened.make(1)[0]
    os.truncate(opened.directory / "0", 1 << 40)
    with pytest.raises(KeyboardInterrupt):
        serial_hashing.hash_serially(
            [Range("0", sparse.source, 0, 1 << 40)], threads=2, progress=interrupt
        )


# --- which way ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("slow_kernels")
def test_few_long_cached_files_are_better_off(opened: Files) -> None:
    ranges = opened.make(9 * MIB, 9 * MIB, 100, 0)
    assert is_better(ranges, 2)
    assert not is_better(ranges, 1), "two streams for one thread: the lanes of a kernel are better"
    assert not is_better(opened.make(4 * MIB), 2), "measuring would take longer"
    assert not is_better([], 2)


def test_kernels_that_are_fast_enough_are_kept(
    opened: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = opened.make(9 * MIB)
    monkeypatch.setattr(serial_hashing, "_hashlib_rate", lambda: 1.05)
    monkeypatch.setattr(_native, "measure_kernels", lambda: SLOW)
    assert not is_better(ranges, 2)
    monkeypatch.setattr(serial_hashing, "_hashlib_rate", lambda: 1.15)
    assert is_better(ranges, 2)


@pytest.mark.usefixtures("slow_kernels")
def test_cold_files_are_left_to_the_engine(opened: Files) -> None:
    (item,) = opened.make(32 * MIB)
    os.fsync(item.source)
    os.posix_fadvise(item.source, 24 * MIB, 0, os.POSIX_FADV_DONTNEED)
    assert not is_better([item], 2)


@pytest.mark.usefixtures("slow_kernels")
def test_a_pipe_cannot_tell_what_it_has() -> None:
    reading, writing = os.pipe()
    try:
        assert not serial_hashing.is_hashlib_better([reading], [9 * MIB], 1)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.usefixtures("slow_kernels")
def test_hash_file_goes_that_way(opened: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    serially = serial_hashing.hash_serially

    def spy(ranges: list[Range], **others: object) -> list[bytes]:
        taken.append(len(ranges))
        return serially(ranges, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(serial_hashing, "hash_serially", spy)
    # What is said to be fastest need not run here.
    monkeypatch.setattr(_native, "kernels_by_count", lambda: ("portable",) * _native.MOST_LANES)
    (item,) = opened.make(9 * MIB + 5)
    path = opened.directory / item.path
    listing = hashing.files.list_checkpoint(path, lambda _: False)
    wanted = opened.digests([item])
    for options, way in (
        (Options(), 1),
        (Options(progress=lambda *_: None), 1),
        (Options(kernel="portable"), 0),
        (Options(reader="mmap"), 0),
    ):
        taken.clear()
        found = hashing.hash_listing(listing, options=options, span_nodes=False, file_digests=True)
        assert [one.file_digest for one in found] == wanted
        assert len(taken) == way
    taken.clear()
    assert hashing.hash_file(path, file_digest=True).file_digest == wanted[0]
    assert not taken, "its spans are hashed too, in one read"
