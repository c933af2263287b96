# SPDX-License-Identifier: Apache-2.0
"""Sizes above 32 bits, progress, Ctrl-C, and buffers that are not copied.

Large files here are sparse. Their expected digests come from hashlib, chunk by chunk, with each
distinct chunk and each distinct pair of nodes hashed once.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
import tracemalloc
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pyhash import errors, limits
from pyhash._native import READERS
from pyhash.files import list_checkpoint
from pyhash.hashing import Options, hash_buffer, hash_checkpoint, hash_file, hash_listing
from tests.native._child import PATIENCE_SECONDS, start

CHUNK, SPAN, GIB = 65_536, 1 << 20, 1 << 30

# A terminal's Ctrl-C must act at once for a person. Not a measurement: a bound for a hang, seconds.
SOON_SECONDS = 5


def sparse(path: Path, size: int, pieces: dict[int, bytes] | None = None) -> Path:
    """A file of zeros but for some pieces."""
    with path.open("wb") as file:
        for offset, data in (pieces or {}).items():
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path


@cache
def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def expected_root(path: Path, size: int, touched: set[int]) -> bytes:
    """The shard root, level by level; only the chunks in ``touched`` are not zeros."""
    zeros = hashlib.sha256(bytes(CHUNK)).digest()
    digests = [zeros] * (size // CHUNK)
    with path.open("rb") as file:
        for number in touched | {size // CHUNK}:
            file.seek(number * CHUNK)
            data = file.read(CHUNK)
            digests[number : number + 1] = [hashlib.sha256(data).digest()] if data else []
    level = [hashlib.sha256(b"\x00" + digest).digest() for digest in digests]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [node(*pair) for pair in pairs] + level[len(level) // 2 * 2 :]
    return level[0]


# --- large ----------------------------------------------------------------------------------------


def test_five_gibibytes(tmp_path: Path) -> None:
    size = 5 * GIB + 3 * CHUNK + 1
    pieces = {4 * GIB - 2: b"across", 4 * GIB + 77: b"beyond", 5 * GIB + 3 * CHUNK: b"!"}
    path = sparse(tmp_path / "large", size, pieces)
    touched = {offset // CHUNK for start in pieces for offset in (start, start + 5)}
    wanted = expected_root(path, size, touched - {size // CHUNK})
    told: list[tuple[int, int]] = []
    found = hash_file(path, options=Options(progress=lambda *done: told.append(done)))
    assert (found.size, found.root) == (size, wanted)
    assert len(found.span_nodes) == 32 * (5 * 1024 + 1)
    assert told == sorted(told)
    assert told[-1] == (size, size)
    assert len(told) > 2


def test_file_digest_of_more_than_four_gibibytes(tmp_path: Path) -> None:
    size = 4 * GIB + SPAN
    listing = list_checkpoint(sparse(tmp_path / "large", size, {size - 3: b"end"}), lambda _: False)
    wanted = hashlib.sha256()

    def digest() -> None:
        for _ in range(size // SPAN - 1):
            wanted.update(zeros)
        wanted.update(zeros[:-3] + b"end")

    zeros = bytes(SPAN)
    thread = threading.Thread(target=digest)
    thread.start()
    (found,) = hash_listing(listing, options=Options(), span_nodes=False, file_digests=True)
    thread.join()
    assert found.file_digest == wanted.digest()


@pytest.mark.parametrize("reader", READERS)
def test_larger_than_any_shard(reader: str, tmp_path: Path) -> None:
    """Refused by its size, in no time; on file systems that have room for such."""
    folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    path = folder / f"pyhash-test-{os.getpid()}-{reader}"
    try:
        sparse(path, limits.MAX_SHARD_BYTES + 1)
        with pytest.raises(errors.LimitError, match="a shard has at most"):
            hash_file(path, options=Options(reader=reader))
        sparse(path, (1 << 62) + 1)
        with pytest.raises(errors.LimitError):
            hash_checkpoint(path, options=Options(reader=reader))
    except OSError as error:
        pytest.skip(f"{folder} takes no file of that size: {error}")
    finally:
        path.unlink(missing_ok=True)


# --- progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("file_digest", [False, True])
def test_progress_grows_and_ends_at_the_total(
    reader: str, file_digest: bool, tmp_path: Path
) -> None:
    size = 80 * SPAN + 1
    path = sparse(tmp_path / "a", size)
    told: list[tuple[int, int]] = []
    options = Options(threads=2, reader=reader, progress=lambda *done: told.append(done))
    hash_file(path, file_digest=file_digest, options=options)
    assert told == sorted(told)
    assert {total for _, total in told} == {size}
    assert told[-1][0] == size


@pytest.mark.parametrize("reader", READERS)
def test_progress_that_raises_stops_the_engine(reader: str, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    path = sparse(tmp_path / "endless", 8 << 40)
    with pytest.raises(Enough):
        hash_file(path, options=Options(threads=2, reader=reader, progress=stop))
    assert [one for one in threading.enumerate() if one.name == "pyhash-engine"] == []


# --- Ctrl-C ---------------------------------------------------------------------------------------

INTERRUPTED = """
    import json, sys, threading, time
    from pyhash.hashing import Options, hash_file

    turns = 0
    hashing = True

    def count():
        global turns
        while hashing:
            turns += 1
            time.sleep(0)

    def progress(done, total):
        if done:
            print("hashing", flush=True)

    threading.Thread(target=count, daemon=True).start()
    before = turns
    try:
        hash_file(sys.argv[1], file_digest=sys.argv[3] == "digest",
                  options=Options(threads=2, reader=sys.argv[2], progress=progress))
    except KeyboardInterrupt:
        ended = time.monotonic()
        hashing = False
        alive = [one.name for one in threading.enumerate() if one.name == "pyhash-engine"]
        print(json.dumps({"ended": ended, "turns": turns - before, "alive": alive}), flush=True)
        sys.exit(130)
"""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("how", ["tree", "digest"])
def test_ctrl_c(reader: str, how: str, tmp_path: Path) -> None:
    path = sparse(tmp_path / "endless", 8 << 40)
    with start(INTERRUPTED, path, reader, how) as child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "hashing\n"
            sent = time.monotonic()
            child.send_signal(signal.SIGINT)
            rest, complaints = child.communicate(timeout=PATIENCE_SECONDS)
        finally:
            child.kill()
    found = json.loads(rest.splitlines()[-1])
    assert (child.returncode, complaints) == (130, "")
    assert found["ended"] - sent < SOON_SECONDS
    assert found["turns"] > 10
    assert found["alive"] == []


# --- buffers --------------------------------------------------------------------------------------


def test_buffers_are_not_copied() -> None:
    size = 48 * SPAN
    data = bytearray(size)
    wanted = hash_buffer(bytes(size)).root
    views = (
        data,
        bytes(data),
        memoryview(data).toreadonly(),
        memoryview(data).cast("d"),
        np.frombuffer(data, np.float32).reshape(-1, SPAN),
    )
    tracemalloc.start()
    try:
        for view in views:
            assert hash_buffer(view).root == wanted
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size // 4


def test_buffer_is_held_while_it_is_hashed() -> None:
    data = bytearray(64 * SPAN)
    refused: list[BufferError] = []

    def resize(done: int, total: int) -> None:
        try:
            data.append(1)
        except BufferError as error:
            refused.append(error)

    hash_buffer(data, options=Options(threads=1, kernel="portable", progress=resize))
    assert refused
    assert len(data) == 64 * SPAN


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((64, 64), np.uint8)[:, ::2],
        np.asfortranarray(np.zeros((8, 8))),
        np.zeros(100, np.uint8)[::-1],
        memoryview(bytes(10))[::3],
    ],
    ids=["columns", "fortran", "reversed", "strided"],
)
def test_buffer_with_gaps_is_refused(data: object) -> None:
    with pytest.raises(errors.UsageError, match="contiguous"):
        hash_buffer(data)
