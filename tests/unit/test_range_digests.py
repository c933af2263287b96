# SPDX-License-Identifier: Apache-2.0
"""Digests of whole files and of ranges, by every algorithm, against the libraries themselves."""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest
import xxhash

from pyhash import errors, files, hashing, range_digests
from pyhash.range_digests import ALGORITHMS, BUFFER_BYTES, Message, hash_messages

NAMESPACE = uuid.UUID("ef001206-dadc-5f6d-a15f-3359e577d4e5")
ORACLES: dict[str, Callable[[bytes], bytes]] = {
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "blake2b": lambda data: hashlib.blake2b(data).digest(),
    "blake3": lambda data: blake3.blake3(data).digest(),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "git-sha1": lambda data: hashlib.sha1(b"blob %d\0" % len(data) + data).digest(),
    "llama-uuid": lambda data: (
        uuid.UUID(bytes=hashlib.sha1(NAMESPACE.bytes + data).digest()[:16], version=5).bytes
    ),
    "xxh64": lambda data: xxhash.xxh64(data).digest(),
    "xxh3": lambda data: xxhash.xxh3_64(data).digest(),
}
SIZES = (0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for size in SIZES:
        (tmp_path / f"{size:09}").write_bytes(os.urandom(size))
    return tmp_path


def listing_of(home: Path) -> files.Listing:
    return files.list_checkpoint(home, lambda _: False)


def options(**named: object) -> hashing.Options:
    return hashing.Options(threads=2, **named)  # type: ignore[arg-type]


def test_the_table() -> None:
    assert set(ALGORITHMS) == set(ORACLES)
    for name, algorithm in ALGORITHMS.items():
        assert algorithm.name == name
        assert algorithm.digest_bytes == len(ORACLES[name](b""))
    assert {name for name, one in ALGORITHMS.items() if one.strength == "rot"} == {"xxh64", "xxh3"}


def test_whole_files_by_every_algorithm(home: Path) -> None:
    listing = listing_of(home)
    messages = [Message(index, (name,)) for index in range(len(SIZES)) for name in ALGORITHMS]
    found = hash_messages(listing, messages, options=options())
    for message, digests in zip(messages, found, strict=True):
        data = (home / listing.files[message.file].path).read_bytes()
        (name,) = message.algorithms
        assert digests == {name: ORACLES[name](data)}


def test_ranges_are_one_message_for_all_algorithms(home: Path) -> None:
    listing = listing_of(home)
    data = (home / listing.files[-1].path).read_bytes()
    ranges = ((5, 5), (BUFFER_BYTES - 1, 2 * BUFFER_BYTES + 7), (0, 3))
    message = b"".join(data[start:end] for start, end in ranges)
    last = len(SIZES) - 1
    (found,) = hash_messages(listing, [Message(last, tuple(ALGORITHMS), ranges)], options=options())
    assert found == {name: oracle(message) for name, oracle in ORACLES.items()}


def test_no_ranges_at_all_are_the_empty_message(home: Path) -> None:
    (found,) = hash_messages(listing_of(home), [Message(5, ("sha1",), ())], options=options())
    assert found == {"sha1": ORACLES["sha1"](b"")}


def test_nothing_to_hash(home: Path) -> None:
    assert hash_messages(listing_of(home), [], options=options()) == []


@pytest.mark.parametrize("ranges", [None, ((0, 10),)])
@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_a_file_that_became_shorter(
    home: Path, algorithm: str, ranges: tuple[tuple[int, int], ...] | None
) -> None:
    listing = listing_of(home)
    os.truncate(home / listing.files[-1].path, 5)
    with pytest.raises(errors.ChangedWhileReadError) as caught:
        hash_messages(listing, [Message(5, (algorithm,), ranges)], options=options())
    assert caught.value.findings[0].path == listing.files[-1].path


def test_a_file_that_becomes_shorter_while_it_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = listing_of(home)
    monkeypatch.setattr(files, "check_unchanged", lambda *_: None)
    os.truncate(home / listing.files[-1].path, 5)
    for message in (Message(5, ("blake2b",)), Message(5, ("sha256",))):
        with pytest.raises(errors.ChangedWhileReadError, match="became shorter"):
            hash_messages(listing, [message], options=options())


def test_a_file_that_changed(home: Path) -> None:
    listing = listing_of(home)
    (home / listing.files[1].path).write_bytes(b"y")
    with pytest.raises(errors.ChangedWhileReadError):
        hash_messages(listing, [Message(1, ("xxh64",))], options=options())


def test_a_read_that_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", refuse)
    with pytest.raises(errors.ReadError, match="Input/output error at byte 0") as caught:
        hash_messages(listing_of(home), [Message(5, ("sha1",))], options=options())
    assert (caught.value.errno, caught.value.offset) == (5, 0)


def test_progress_adds_up(home: Path) -> None:
    seen: list[tuple[int, int]] = []
    messages = [Message(index, ("sha1",)) for index in range(len(SIZES))]
    progress = options(progress=lambda done, total: seen.append((done, total)))
    hash_messages(listing_of(home), messages, options=progress)
    assert seen[-1] == (sum(SIZES), sum(SIZES))
    assert seen == sorted(seen)


def test_an_interruption_leaves_nothing_running(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(range_digests, "POLL_SECONDS", 0.0)
    messages = [Message(5, ("blake2b", "sha1"))] * 50
    with pytest.raises(KeyboardInterrupt):
        hash_messages(listing_of(home), messages, options=options(progress=interrupt))


@pytest.mark.parametrize(("algorithm", "library"), [("blake3", "blake3"), ("xxh3", "xxhash")])
def test_a_library_that_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(errors.DependencyError, match=f"pip install {library}"):
        hash_messages(listing_of(home), [Message(1, (algorithm,))], options=options())
