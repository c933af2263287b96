# SPDX-License-Identifier: Apache-2.0
"""Whole-file digests: against the libraries' own one-shot functions, and file by file errors."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest
import xxhash

from pyhash import digests, errors, files
from pyhash.hashing import Options

MIB = 1 << 20
SIZES = (0, 1, 63, 64, 65, 65_536, MIB - 1, MIB, MIB + 1, 3 * MIB + 5)

ORACLES: dict[str, Callable[[bytes], bytes]] = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "blake3": lambda data: blake3.blake3(data).digest(),
    "xxh3-128": lambda data: xxhash.xxh3_128(data).digest(),
}


def content(size: int) -> bytes:
    return (b"0123456789abcdef%d" % size * (size // 16 + 1))[:size]


@pytest.fixture
def sized(tmp_path: Path) -> dict[str, bytes]:
    found = {}
    for size in SIZES:
        path = tmp_path / f"file-{size}"
        path.write_bytes(content(size))
        found[str(path)] = content(size)
    return found


def test_every_algorithm_has_an_oracle() -> None:
    assert list(digests.ALGORITHMS) == list(ORACLES)


@pytest.mark.parametrize("threads", [None, 1, 3])
@pytest.mark.parametrize("algorithm", ORACLES)
def test_digests_equal_those_of_the_library(
    algorithm: str, threads: int | None, sized: dict[str, bytes]
) -> None:
    found = digests.hash_files(list(sized), algorithm, options=Options(threads=threads))
    assert [one.path for one in found] == list(sized)
    assert [one.digest for one in found] == [ORACLES[algorithm](data) for data in sized.values()]
    length = digests.ALGORITHMS[algorithm].digest_bytes
    assert all(one.error is None and len(one.digest or b"") == length for one in found)


@pytest.mark.parametrize("algorithm", ORACLES)
def test_nothing_to_hash(algorithm: str) -> None:
    assert digests.hash_files([], algorithm) == []


@pytest.mark.parametrize("algorithm", ORACLES)
def test_links_are_followed_and_a_file_may_come_twice(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    names = [tmp_path / "link", tmp_path / "file", tmp_path / "link"]
    found = digests.hash_files(names, algorithm)
    assert [one.digest for one in found] == [ORACLES[algorithm](b"content")] * 3


@pytest.mark.parametrize("algorithm", ORACLES)
def test_a_file_that_cannot_be_read_costs_only_itself(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"content")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff\n")
    Path(odd).write_bytes(b"odd")
    names = [tmp_path / "missing", odd, tmp_path, tmp_path / "good"]
    names += [tmp_path / "loop", tmp_path / "pipe"]
    found = digests.hash_files(names, algorithm)
    oracle = ORACLES[algorithm]
    digest_list = [None, oracle(b"odd"), None, oracle(b"content"), None, None]
    assert [one.digest for one in found] == digest_list
    assert [isinstance(one.error, errors.ReadError) for one in found] == [
        digest is None for digest in digest_list
    ]
    assert [one.path for one in found] == [os.fspath(name) for name in names]


def test_no_such_algorithm() -> None:
    with pytest.raises(errors.UsageError, match="there are sha256, blake3, xxh3-128"):
        digests.hash_files([], "md5")


@pytest.mark.parametrize("options", [Options(kernel="portable"), Options(reader="mmap")])
@pytest.mark.parametrize("algorithm", ["blake3", "xxh3-128"])
def test_kernel_and_reader_are_for_sha256(algorithm: str, options: Options) -> None:
    with pytest.raises(errors.UsageError, match=algorithm):
        digests.hash_files([], algorithm, options=options)


@pytest.mark.parametrize(("algorithm", "library"), [("blake3", "blake3"), ("xxh3-128", "xxhash")])
def test_a_library_that_is_not_installed(
    algorithm: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(errors.DependencyError, match=f"pip install {library}"):
        digests.hash_files([tmp_path / "file"], algorithm)


@pytest.mark.parametrize("algorithm", ORACLES)
def test_progress_ends_at_the_sum_of_all_sizes(algorithm: str, sized: dict[str, bytes]) -> None:
    told: list[tuple[int, int]] = []
    options = Options(progress=lambda done, total: told.append((done, total)))
    digests.hash_files(list(sized), algorithm, options=options)
    assert told[-1] == (sum(SIZES), sum(SIZES))
    assert told == sorted(told)


@pytest.mark.parametrize("algorithm", ["blake3", "xxh3-128"])
def test_progress_that_raises_leaves_nothing_running(algorithm: str, tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(8)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # would take minutes

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digests.hash_files(paths, algorithm, options=Options(threads=2, progress=interrupt))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrunk(path: Path) -> None:
    os.truncate(path, 3)


@pytest.mark.parametrize("change", [grown, shrunk])
@pytest.mark.parametrize("algorithm", ORACLES)
def test_a_file_that_changes_meanwhile_has_no_digest(
    algorithm: str,
    change: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file changes right after it was found to be the one that was listed."""
    changing, other = tmp_path / "changing", tmp_path / "other"
    changing.write_bytes(content(2 * MIB))
    other.write_bytes(b"content")
    check = files.check_unchanged
    checks: list[str] = []

    def check_then_change(file: files.CheckpointFile, descriptor: int) -> None:
        check(file, descriptor)
        if file.identity.size == 2 * MIB:
            checks.append(file.path)
            if len(checks) == 2:  # the first time is while the files are looked through
                change(changing)

    monkeypatch.setattr(files, "check_unchanged", check_then_change)
    first, second = digests.hash_files([changing, other], algorithm)
    assert first.digest is None
    assert isinstance(first.error, (errors.ChangedWhileReadError, errors.TruncatedError))
    assert second.digest == ORACLES[algorithm](b"content")


@pytest.mark.parametrize("algorithm", ["blake3", "xxh3-128"])
def test_a_read_that_the_system_refuses(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"content")

    def refuse(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", refuse)
    (found,) = digests.hash_files([tmp_path / "file"], algorithm)
    assert isinstance(found.error, errors.ReadError)
    assert (found.error.errno, found.error.offset) == (5, 0)


def test_a_file_above_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large").write_bytes(b"1234")
    (tmp_path / "small").write_bytes(b"123")
    monkeypatch.setattr("pyhash.limits.MAX_SHARD_BYTES", 3)
    large, small = digests.hash_files([tmp_path / "large", tmp_path / "small"])
    assert isinstance(large.error, errors.LimitError)
    assert small.digest == hashlib.sha256(b"123").digest()
