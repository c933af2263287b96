# SPDX-License-Identifier: Apache-2.0
"""Whole-file digests by other algorithms: a table of them, and one function that hashes files.

For lists such as those of ``sha256sum``, not for checkpoints: no tree, no manifest, no format v1.
A file that cannot be read costs its own digest and no other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pyhash import errors, files
from pyhash.paths import decode_name

if TYPE_CHECKING:
    from pyhash.hashing import Options

BUFFER_BYTES = 1 << 20  # what a thread reads at once
POLL_SECONDS = 0.05  # how often progress is reported

# What costs one file its digest. Anything else (no memory, no such kernel) ends the whole call.
FILE_ERRORS = (errors.ReadError, errors.LimitError, errors.ChangedWhileReadError)


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What one file hashed to, or why it did not.

    Attributes:
        path: As the caller named it.
        digest: The digest; None exactly where ``error`` is not.
        error: One of ``FILE_ERRORS``, or None.
    """

    path: str
    digest: bytes | None
    error: errors.PyhashError | None = None


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One line of the table.

    Attributes:
        name: As on the command line.
        digest_bytes: Length of a digest.
        hash_listings: (single-file listings, options) -> one result for each, in their order.
    """

    name: str
    digest_bytes: int
    hash_listings: Callable[[Sequence[files.Listing], Options], list[FileDigest]]


class _Hasher(Protocol):
    def update(self, data: memoryview, /) -> object: ...
    def digest(self) -> bytes: ...


def hash_files(
    paths: Sequence[str | os.PathLike[str]],
    algorithm: str = "sha256",
    *,
    options: Options | None = None,
) -> list[FileDigest]:
    """Hash every file as one message. May be called from several threads.

    Args:
        paths: Regular files; links are followed.
        algorithm: A name of ``ALGORITHMS``. Of them, ``xxh3-128`` finds rot, not attackers.
        options: How to hash; kernel and reader are for ``sha256`` only.

    Returns:
        One result for each path, in their order; ``error`` says which could not be hashed.

    Raises:
        UsageError: No such algorithm, or options that it has no use for.
        DependencyError: The library for this algorithm is not installed.
        EngineError: Out of memory, or an unknown kernel.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    from pyhash.hashing import Options

    chosen = ALGORITHMS.get(algorithm)
    options = options or Options()
    if chosen is None:
        raise errors.UsageError(f"no algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}")
    if algorithm != "sha256" and (options.kernel is not None or options.reader != "auto"):
        raise errors.UsageError(f"kernel and reader are for sha256, not for {algorithm}")
    names = [os.fspath(path) for path in paths]
    found = [_list_file(name) for name in names]
    listings = [one for one in found if isinstance(one, files.Listing)]
    digests = iter(chosen.hash_listings(listings, options) if listings else ())
    return [next(digests) if isinstance(one, files.Listing) else one for one in found]


def _list_file(path: str) -> files.Listing | FileDigest:
    """Look whether a file is there, is one, and can be opened."""
    try:
        listing = files.list_checkpoint(path, lambda _: True)
        if not listing.is_single_file:
            raise errors.ReadError(f"{path}: a directory", path)
        with files.open_files(listing, listing.files):
            return listing
    except FILE_ERRORS as error:
        return FileDigest(path, None, error)


def _sha256(listings: Sequence[files.Listing], options: Options) -> list[FileDigest]:
    """All files in one call of the engine, one in each lane."""
    from pyhash import hashing

    # One listing of all of them, below "/": absolute paths need no common directory.
    everything = files.Listing(
        "/",
        "",
        False,
        tuple(
            files.CheckpointFile(decode_name(os.path.realpath(one.location)), one.files[0].identity)
            for one in listings
        ),
        (),
    )
    try:
        found = hashing.hash_listing(
            everything, options=options, span_nodes=False, file_digests=True
        )
    except FILE_ERRORS as error:
        if len(listings) == 1:
            return [FileDigest(listings[0].location, None, error)]
        # Rare, as all could be opened a moment ago: one by one, to find out which it is.
        return [_sha256([one], options)[0] for one in listings]
    return [
        FileDigest(one.location, result.file_digest)
        for one, result in zip(listings, found, strict=True)
    ]


def _blake3(listings: Sequence[files.Listing], options: Options) -> list[FileDigest]:
    try:
        from blake3 import blake3
    except ImportError as error:
        raise errors.DependencyError("blake3 is not installed: pip install blake3") from error
    # The library's own reading of files maps them: a file that shrinks would kill the process.
    threads = max(1, options.thread_count() // len(listings))
    return _hash_in_threads(listings, options, lambda: blake3(max_threads=threads))


def _xxh3_128(listings: Sequence[files.Listing], options: Options) -> list[FileDigest]:
    try:
        from xxhash import xxh3_128
    except ImportError as error:
        raise errors.DependencyError("xxhash is not installed: pip install xxhash") from error
    return _hash_in_threads(listings, options, xxh3_128)


def _hash_in_threads(
    listings: Sequence[files.Listing], options: Options, new_hasher: Callable[[], _Hasher]
) -> list[FileDigest]:
    """Hash each file on one thread, several files at a time; this thread reports and listens."""
    total = sum(listing.files[0].identity.size for listing in listings)
    done = [0] * len(listings)
    stop = threading.Event()

    def hash_one(index: int) -> FileDigest:
        def report(bytes_done: int) -> bool:
            done[index] = bytes_done
            return not stop.is_set()

        return _hash_file(listings[index], new_hasher(), report)

    pool = ThreadPoolExecutor(options.thread_count(), "pyhash-digests")
    try:
        futures = [pool.submit(hash_one, index) for index in range(len(listings))]
        _wait(futures, lambda: options.progress and options.progress(sum(done), total))
    finally:
        # Also when Ctrl-C came or progress() raised: leave nothing running.
        stop.set()
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _wait(futures: Sequence[Future[FileDigest]], report: Callable[[], object]) -> None:
    pending = True
    while pending:
        pending = bool(wait(futures, timeout=POLL_SECONDS).not_done)
        report()


def _hash_file(
    listing: files.Listing, hasher: _Hasher, report: Callable[[int], bool]
) -> FileDigest:
    path, (file,) = listing.location, listing.files
    size = file.identity.size
    view = memoryview(bytearray(min(size, BUFFER_BYTES)))
    offset = 0
    try:
        with files.open_files(listing, (file,)) as (descriptor,):
            while offset < size:
                if not report(offset):
                    raise errors.CancelledError(f"{path}: stopped", path)
                count = os.preadv(descriptor, [view], offset)
                if count == 0:
                    raise errors.TruncatedError(f"{path}: ends at byte {offset}", path)
                hasher.update(view[:count])
                offset += count
            files.check_unchanged(file, descriptor)
    except OSError as error:
        reason = f"{path}: {error.strerror} at byte {offset}"
        return FileDigest(path, None, errors.ReadError(reason, path, error.errno, offset))
    except FILE_ERRORS as error:
        return FileDigest(path, None, error)
    report(offset)
    return FileDigest(path, hasher.digest())


ALGORITHMS = {
    one.name: one
    for one in (
        Algorithm("sha256", 32, _sha256),
        Algorithm("blake3", 32, _blake3),
        Algorithm("xxh3-128", 16, _xxh3_128),
    )
}
