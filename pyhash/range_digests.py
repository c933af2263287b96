# SPDX-License-Identifier: Apache-2.0
"""Digests, by any algorithm of the field, of whole files or of runs of bytes inside them.

For what other tools list or sign: OMS bundles with BLAKE digests or with ranges, git blobs, tensors
of a GGUF file. No tree, no format v1. SHA-256 of whole files goes through the engine; everything
else is read once, on several threads, and fed to all hashers that want it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from pyhash import errors, files, hashing
from pyhash.errors import Finding

BUFFER_BYTES = 1 << 20  # what a thread reads at once
POLL_SECONDS = 0.05  # how often progress is reported
# Name-based UUIDs that llama-gguf-hash prints are SHA-1 in this name space (RFC 9562, 5.5).
LLAMA_NAMESPACE = bytes.fromhex("ef001206dadc5f6da15f3359e577d4e5")


class Hasher(Protocol):
    """What takes bytes and gives a digest; hashlib's objects are such."""

    def update(self, data: memoryview, /) -> object:
        """Take more bytes. Raises nothing."""

    def digest(self) -> bytes:
        """Return the digest of all bytes so far. Raises nothing."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One line of the table.

    Attributes:
        name: Stable word for it.
        digest_bytes: Length of a digest.
        strength: ``attackers``: nobody can make other bytes with this digest; ``forgers``: the
            same, but whoever made the file could have made two with one digest; ``rot``: finds
            damage by accident only.
        new: Bytes of the message -> a hasher.
    """

    name: str
    digest_bytes: int
    strength: str
    new: Callable[[int], Hasher]


@dataclass(frozen=True, slots=True)
class Message:
    """What is hashed as one message.

    Attributes:
        file: Index into ``Listing.files``.
        algorithms: Names of ``ALGORITHMS``; the bytes are read once for all of them.
        ranges: [start, end) inside the file, hashed one after the other; None: the whole file.
    """

    file: int
    algorithms: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...] | None = None


def hash_messages(
    listing: files.Listing, messages: Sequence[Message], *, options: hashing.Options
) -> list[dict[str, bytes]]:
    """Hash messages out of the files of a listing. May be called from several threads.

    Args:
        listing: The files; each is compared with what was listed when opened and when read.
        messages: What to hash.
        options: How; kernel and reader are for SHA-256 of whole files.

    Returns:
        Algorithm -> digest for each message, in their order.

    Raises:
        ChangedWhileReadError: A file changed meanwhile, or ends before a range does.
        ReadError, EngineError: It could not be read or hashed.
        DependencyError: The library for an algorithm is not installed.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    for_engine = [index for index, one in enumerate(messages) if _is_for_engine(one)]
    others = [index for index in range(len(messages)) if index not in set(for_engine)]
    found: list[dict[str, bytes]] = [{} for _ in messages]
    if for_engine:
        chosen = tuple(listing.files[messages[index].file] for index in for_engine)
        digests = _whole_files(files.subset(listing, chosen), options)
        for index, digest in zip(for_engine, digests, strict=True):
            found[index] = {"sha256": digest}
    if others:
        results = _hash_in_threads(listing, [messages[index] for index in others], options)
        for index, result in zip(others, results, strict=True):
            found[index] = result
    return found


def _is_for_engine(message: Message) -> bool:
    return message.algorithms == ("sha256",) and message.ranges is None


def _whole_files(listing: files.Listing, options: hashing.Options) -> list[bytes]:
    try:
        digests = hashing.hash_listing(
            listing, options=options, span_nodes=False, file_digests=True
        )
    except errors.TruncatedError as error:
        raise became_shorter(error.path or "") from error
    return [digest.file_digest or b"" for digest in digests]


def became_shorter(path: str) -> errors.ChangedWhileReadError:
    """Return the refusal of a file that ended before the bytes that it had. Raises nothing."""
    finding = Finding("changed", path, "became shorter while it was being read")
    return errors.ChangedWhileReadError(f"{path}: {finding.message}", (finding,))


def _size(listing: files.Listing, message: Message) -> int:
    if message.ranges is None:
        return listing.files[message.file].identity.size
    return sum(end - start for start, end in message.ranges)


def _hash_in_threads(
    listing: files.Listing, messages: Sequence[Message], options: hashing.Options
) -> list[dict[str, bytes]]:
    """Hash each message on one thread, several at a time; this thread reports and listens."""
    total = sum(_size(listing, message) for message in messages)
    done = [0] * len(messages)
    stop = threading.Event()

    def hash_one(index: int) -> dict[str, bytes]:
        def report(count: int) -> None:
            if stop.is_set():
                raise errors.CancelledError("stopped")
            done[index] += count

        return _hash_message(listing, messages[index], report)

    # Longest first: the last to start must be short.
    order = sorted(range(len(messages)), key=lambda i: -_size(listing, messages[i]))
    pool = ThreadPoolExecutor(options.thread_count(), "pyhash-ranges")
    try:
        futures = {index: pool.submit(hash_one, index) for index in order}
        _wait(
            list(futures.values()), lambda: options.progress and options.progress(sum(done), total)
        )
        return [futures[index].result() for index in range(len(messages))]
    finally:
        # Also when Ctrl-C came, a file failed or progress() raised: leave nothing running.
        stop.set()
        pool.shutdown(cancel_futures=True)


def _wait(futures: Sequence[Future[dict[str, bytes]]], report: Callable[[], object]) -> None:
    """Wait for all, or for the first that failed, which is raised."""
    pending = True
    while pending:
        state = wait(futures, timeout=POLL_SECONDS, return_when=FIRST_EXCEPTION)
        for future in state.done:
            future.result()
        pending = bool(state.not_done)
        report()


def _hash_message(
    listing: files.Listing, message: Message, report: Callable[[int], None]
) -> dict[str, bytes]:
    file = listing.files[message.file]
    length = _size(listing, message)
    hashers = {name: ALGORITHMS[name].new(length) for name in message.algorithms}
    view = memoryview(bytearray(min(length, BUFFER_BYTES)))
    with files.open_files(listing, (file,)) as (descriptor,):
        ranges = ((0, length),) if message.ranges is None else message.ranges
        for start, end in ranges:
            while start < end:
                count = _read(file.path, descriptor, view[: end - start], start)
                for hasher in hashers.values():
                    hasher.update(view[:count])
                start += count
                report(count)
        files.check_unchanged(file, descriptor)
        files.check_end(file, descriptor)
    return {name: hasher.digest() for name, hasher in hashers.items()}


def _read(path: str, descriptor: int, view: memoryview, offset: int) -> int:
    try:
        count = os.preadv(descriptor, [view], offset)
    except OSError as error:
        message = f"{path}: {error.strerror} at byte {offset}"
        raise errors.ReadError(message, path, error.errno, offset) from error
    if count == 0:
        raise became_shorter(path)
    return count


def _git_blob(size: int) -> Hasher:
    """A git object's name: SHA-1 over a header and the content."""
    hasher = hashlib.sha1(usedforsecurity=False)
    hasher.update(b"blob %d\0" % size)
    return hasher


class _LlamaUuid:
    """A UUID of version 5 over all bytes, as llama-gguf-hash makes it."""

    def __init__(self, _: int) -> None:
        self._sha1 = hashlib.sha1(LLAMA_NAMESPACE, usedforsecurity=False)

    def update(self, data: memoryview, /) -> None:
        self._sha1.update(data)

    def digest(self) -> bytes:
        value = bytearray(self._sha1.digest()[:16])
        value[6] = value[6] & 0x0F | 0x50  # version 5
        value[8] = value[8] & 0x3F | 0x80  # variant of the RFC
        return bytes(value)


def _blake3(_: int) -> Hasher:
    try:
        from blake3 import blake3
    except ImportError as error:
        raise errors.DependencyError("blake3 is not installed: pip install blake3") from error
    hasher: Hasher = blake3()
    return hasher


def _xxhash(name: str) -> Callable[[int], Hasher]:
    def new(_: int) -> Hasher:
        try:
            import xxhash
        except ImportError as error:
            raise errors.DependencyError("xxhash is not installed: pip install xxhash") from error
        hasher: Hasher = getattr(xxhash, name)()
        return hasher

    return new


ALGORITHMS = {
    one.name: one
    for one in (
        Algorithm("sha256", 32, "attackers", lambda _: hashlib.sha256()),
        Algorithm("blake2b", 64, "attackers", lambda _: hashlib.blake2b()),
        Algorithm("blake3", 32, "attackers", _blake3),
        Algorithm("sha1", 20, "forgers", lambda _: hashlib.sha1(usedforsecurity=False)),
        Algorithm("git-sha1", 20, "forgers", _git_blob),
        Algorithm("llama-uuid", 16, "forgers", _LlamaUuid),
        Algorithm("xxh64", 8, "rot", _xxhash("xxh64")),
        Algorithm("xxh3", 8, "rot", _xxhash("xxh3_64")),
    )
}
