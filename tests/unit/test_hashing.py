# SPDX-License-Identifier: Apache-2.0
"""Hashing of buffers, files and checkpoints: against the reference, in every way it can be done.

The published vectors are in test_vectors.py; the engine itself has its tests in tests/native.
"""

from __future__ import annotations

import array
import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyhash
from pyhash import _native, errors, files, hashing, limits
from pyhash.hashing import Options, hash_buffer, hash_checkpoint, hash_file
from tests import reference

CHUNK, SPAN = 65_536, 1 << 20
SIZES = (0, 1, 63, 64, 65, CHUNK - 1, CHUNK, CHUNK + 1, SPAN - 1, SPAN, SPAN + 1, 3 * SPAN + 5)
KERNELS = [kernel.name for kernel in _native.kernels() if kernel.supported]


def content(size: int) -> bytes:
    return (b"%d;" % size * (size // 2 + 1))[:size]


def expected(data: bytes, *, file_digest: bool = False) -> hashing.ShardDigest:
    digest = hashlib.sha256(data).digest() if file_digest else None
    nodes = b"".join(reference.span_nodes(data))
    return hashing.ShardDigest(len(data), reference.shard_root(data), nodes, digest)


# --- buffers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_buffer(size: int) -> None:
    assert hash_buffer(content(size)) == expected(content(size))


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=200), repeat=st.integers(1, 2000))
def test_any_buffer(data: bytes, repeat: int) -> None:
    assert hash_buffer(data * repeat) == expected(data * repeat)


def test_every_kind_of_buffer() -> None:
    data = content(4096)
    wanted = expected(data)
    for one in (
        bytearray(data),
        memoryview(data),
        memoryview(data).cast("B", (64, 64)),
        array.array("I", data),
        np.frombuffer(data, np.float32).reshape(8, 128),
        np.frombuffer(data, np.uint8)[:],
    ):
        assert hash_buffer(one) == wanted
    assert hash_buffer(memoryview(data)[100:200]) == expected(data[100:200])
    assert hash_buffer(np.zeros((0, 4))) == expected(b"")


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2], object()])
def test_no_buffer(data: object) -> None:
    with pytest.raises(errors.UsageError, match="cannot hash"):
        hash_buffer(data)


def test_buffer_with_gaps() -> None:
    for data in (memoryview(b"0123456789")[::2], np.zeros((8, 8), np.uint8).T[1:]):
        with pytest.raises(errors.UsageError, match="contiguous"):
            hash_buffer(data)


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    root = tmp_path_factory.mktemp("sized")
    found = {}
    for size in SIZES:
        found[size] = root / str(size)
        found[size].write_bytes(content(size))
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reader", _native.READERS)
def test_file(size: int, reader: str, sized: dict[int, Path]) -> None:
    options = Options(reader=reader)
    assert hash_file(sized[size], options=options) == expected(content(size))
    assert hash_file(str(sized[size]), file_digest=True, options=options) == expected(
        content(size), file_digest=True
    )


def test_some_kernel_is_tested() -> None:
    assert "portable" in KERNELS
    assert KERNELS


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_kernels_and_threads_change_nothing(
    kernel: str, threads: int, sized: dict[int, Path]
) -> None:
    options = Options(threads=threads, kernel=kernel)
    for size in (SPAN + 1, 3 * SPAN + 5):
        assert hash_file(sized[size], file_digest=True, options=options) == expected(
            content(size), file_digest=True
        )


def test_link_is_followed(sized: dict[int, Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(sized[65])
    assert hash_file(tmp_path / "link") == expected(content(65))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(errors.ReadError, match="a directory; hash_checkpoint takes those"):
        hash_file(tmp_path)
    with pytest.raises(errors.ReadError, match="No such file"):
        hash_file(tmp_path / "absent")
    with pytest.raises(errors.ReadError, match="neither"):
        hash_file("/dev/null")


def test_larger_than_a_shard_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    monkeypatch.setattr(limits, "MAX_SHARD_BYTES", 5)
    assert hash_file(path).size == 5
    monkeypatch.setattr(limits, "MAX_SHARD_BYTES", 4)
    with pytest.raises(errors.LimitError, match="5 bytes; a shard has at most 4") as caught:
        hash_file(path)
    assert caught.value.path == "a"


# --- options --------------------------------------------------------------------------------------


def test_default_threads_are_the_processors_of_the_process() -> None:
    assert Options().thread_count() == len(os.sched_getaffinity(0))
    assert Options(threads=3).thread_count() == 3


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads(threads: int) -> None:
    with pytest.raises(errors.UsageError, match=f"{threads} threads cannot hash"):
        hash_buffer(b"x", options=Options(threads=threads))


def test_unknown_reader_and_kernel(sized: dict[int, Path]) -> None:
    with pytest.raises(errors.UsageError, match="no reader 'magic'"):
        hash_file(sized[1], options=Options(reader="magic"))
    with pytest.raises(errors.EngineError):
        hash_file(sized[1], options=Options(kernel="magic"))


# --- checkpoints ----------------------------------------------------------------------------------

NAMES = ("w/a.bin", "w-1", "w.index", "caf\u00e9", "empty", "deep/er/still")


def make_checkpoint(root: Path) -> dict[str, bytes]:
    data = {name: content(1000 * i) for i, name in enumerate(NAMES, 1)}
    data["empty"] = b""
    data["large"] = content(2 * SPAN + 1)
    for name, one in data.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(one)
    return data


def test_checkpoint(tmp_path: Path) -> None:
    data = make_checkpoint(tmp_path)
    found = hash_checkpoint(tmp_path)
    assert found.root == reference.checkpoint_root(data)
    assert found.shards == tuple(
        (name, expected(data[name])) for name in sorted(data, key=lambda name: name.encode())
    )
    assert pyhash.format_root(found.root) == reference.format_root(found.root)


def test_checkpoint_leaves_out_what_sign_leaves_out(tmp_path: Path) -> None:
    data = make_checkpoint(tmp_path)
    for name in (".git/config", ".gitignore", ".gitattributes", ".github/x", "model.sig"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "model.tree").write_bytes(b"x")
    assert hash_checkpoint(tmp_path).root == reference.checkpoint_root(data)
    everything = hash_checkpoint(tmp_path, ignore=())
    assert {name for name, _ in everything.shards} >= {".git/config", "model.tree", "w-1"}


def test_checkpoint_that_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"x")
    found = hash_checkpoint(tmp_path / "model.gguf")
    assert found.root == reference.checkpoint_root({"model.gguf": b"x"})


def test_checkpoint_without_files(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="without files"):
        hash_checkpoint(tmp_path)


def test_checkpoint_with_a_link(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    (tmp_path / "link").symlink_to("w-1")
    with pytest.raises(errors.UnexpectedFileError, match="link: a symbolic link") as caught:
        hash_checkpoint(tmp_path)
    assert [one.path for one in caught.value.findings] == ["link"]


@contextmanager
def open_file_limit(count: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_files_than_can_be_open(tmp_path: Path) -> None:
    data = {f"{i:04}": b"%d" % i for i in range(300)}
    for name, one in data.items():
        (tmp_path / name).write_bytes(one)
    told: list[tuple[int, int]] = []
    options = Options(progress=lambda done, total: told.append((done, total)))
    with open_file_limit(len(os.listdir("/proc/self/fd")) + hashing.SPARE_DESCRIPTORS + 70):
        found = hash_checkpoint(tmp_path, options=options)
    assert found.root == reference.checkpoint_root(data)
    total = sum(map(len, data.values()))
    assert told[-1] == (total, total)
    assert len(told) > 3
    assert told == sorted(told)


def test_hardly_any_file_can_be_open(tmp_path: Path) -> None:
    data = make_checkpoint(tmp_path)
    with open_file_limit(len(os.listdir("/proc/self/fd")) + 16):
        assert hash_checkpoint(tmp_path).root == reference.checkpoint_root(data)


def test_without_a_place_to_ask_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> list[str]:
        raise FileNotFoundError

    data = make_checkpoint(tmp_path)
    monkeypatch.setattr(hashing.os, "listdir", refuse)
    assert hash_checkpoint(tmp_path).root == reference.checkpoint_root(data)


def test_only_file_digests(tmp_path: Path) -> None:
    data = make_checkpoint(tmp_path)
    listing = files.list_checkpoint(tmp_path, lambda _: False)
    found = hashing.hash_listing(listing, options=Options(), span_nodes=False, file_digests=True)
    assert [one.file_digest for one in found] == [
        hashlib.sha256(data[file.path]).digest() for file in listing.files
    ]
    assert {(one.root, one.span_nodes) for one in found} == {(b"", b"")}


def test_nothing_to_hash(tmp_path: Path) -> None:
    listing = files.list_checkpoint(tmp_path, lambda _: False)
    assert hashing.hash_listing(listing, options=Options()) == []


# --- progress -------------------------------------------------------------------------------------


def test_progress_ends_with_everything(sized: dict[int, Path]) -> None:
    told: list[tuple[int, int]] = []
    hash_file(sized[SPAN], options=Options(progress=lambda *done: told.append(done)))
    assert told[-1] == (SPAN, SPAN)


@pytest.mark.parametrize("size", [SPAN, 40 * SPAN])
def test_error_of_the_progress_callback_comes_through(size: int, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)
    with pytest.raises(Stop):
        hash_file(tmp_path / "a", options=Options(progress=stop))


def test_file_that_changes_is_no_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")

    def touch(done: int, total: int) -> None:
        os.utime(tmp_path / "a", ns=(0, 0))

    with pytest.raises(errors.ChangedWhileReadError):
        hash_file(tmp_path / "a", options=Options(progress=touch))
    with pytest.raises(errors.ChangedWhileReadError):
        hash_checkpoint(tmp_path, options=Options(progress=lambda *_: os.utime(tmp_path / "a")))
