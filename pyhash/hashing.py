# SPDX-License-Identifier: Apache-2.0
"""Hash a file, a buffer or a whole checkpoint: open descriptors to the engine, roots back.

Nothing here knows signatures. A file that changes while it is hashed ends in an error, never in
a digest of a mixture.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyhash import _native, errors, files, limits, locations, merkle, serial_hashing
from pyhash.frozen import frozen
from pyhash.paths import DEFAULT_IGNORED
from pyhash.processors import usable_processors

# What is never part of a checkpoint: what stands beside it by our own hand or version control.
IGNORED = (*DEFAULT_IGNORED, *locations.OWN_NAMES)

# Descriptors that a call leaves for the rest of the process.
SPARE_DESCRIPTORS = 64
# What a process is taken to have open where there is no /proc to ask.
BUSY_PROCESS_DESCRIPTORS = 256

Progress = Callable[[int, int], None]


@frozen
class Options:
    """How to hash; never what comes out.

    Attributes:
        threads: Threads of the engine; None: the processors that this process may use, by its
            cpuset and the quota of its cgroup.
        reader: ``auto``, ``mmap``, ``buffered`` or ``direct``.
        kernel: Name of a kernel; None: the fastest here, as measured.
        progress: Called with (bytes done, bytes in all) about 20 times a second, on the calling
            thread; None: nobody is told.
        note: Called with a sentence when something was done another, slower way than was asked
            for, such as reading without O_DIRECT; None: nobody is told.
    """

    threads: int | None = None
    reader: str = "auto"
    kernel: str | None = None
    progress: Progress | None = None
    note: Callable[[str], None] | None = None

    def thread_count(self) -> int:
        """Return the number of threads to use.

        Raises:
            UsageError: Fewer than one were asked for.
        """
        if self.threads is None:
            return usable_processors()
        if self.threads < 1:
            raise errors.UsageError(f"{self.threads} threads cannot hash anything")
        return self.threads


@frozen
class ShardDigest:
    """What one shard hashed to.

    Attributes:
        size: Bytes.
        root: Shard root of format v1, 32 bytes.
        span_nodes: 32 bytes for each span of 1 MiB.
        file_digest: Plain SHA-256 of the whole file, 32 bytes, or None if not asked for.
    """

    size: int
    root: bytes
    span_nodes: bytes
    file_digest: bytes | None = None


@frozen
class CheckpointDigest:
    """What a checkpoint hashed to.

    Attributes:
        root: Checkpoint root of format v1, 32 bytes.
        shards: (path, digest) of each shard, in byte order of their paths.
    """

    root: bytes
    shards: tuple[tuple[str, ShardDigest], ...]


def hash_buffer(data: Any, *, options: Options | None = None) -> ShardDigest:
    """Hash bytes in memory as one shard, without copying them.

    Args:
        data: One contiguous buffer: bytes, memoryview, numpy array, anything with the buffer
            protocol. It must not change during the call.
        options: How to hash; the reader plays no part.

    Raises:
        UsageError: Not one contiguous buffer.
        EngineError: Out of memory, or an unknown kernel.
    """
    options = options or Options()
    try:
        view = memoryview(data)
    except TypeError as error:
        raise errors.UsageError(f"cannot hash {type(data).__name__}: {error}") from error
    whole = _native.Range("buffer", view, 0, view.nbytes)
    (result,) = _call([whole], options, 0, view.nbytes, file_digests=False)
    return ShardDigest(view.nbytes, merkle.shard_root(result.span_nodes), result.span_nodes)


def hash_file(
    path: str | os.PathLike[str], *, file_digest: bool = False, options: Options | None = None
) -> ShardDigest:
    """Hash one file as one shard.

    Args:
        path: A regular file; a link is followed.
        file_digest: Compute the plain SHA-256 of the whole file from the same read.
        options: How to hash.

    Raises:
        ReadError: The file cannot be read, is no regular file, or ended early.
        ChangedWhileReadError: It changed meanwhile.
        LimitError: It is larger than a shard may be.
        EngineError: Out of memory, or an unknown kernel.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    listing = files.list_checkpoint(path, lambda _: False)
    if not listing.is_single_file:
        raise errors.ReadError(f"{path}: a directory; hash_checkpoint takes those", str(path))
    return hash_listing(listing, file_digests=file_digest, options=options or Options())[0]


def hash_checkpoint(
    path: str | os.PathLike[str],
    *,
    ignore: Sequence[str] = IGNORED,
    options: Options | None = None,
) -> CheckpointDigest:
    """Hash every file of a checkpoint; the root is the one that ``sign`` would sign.

    Args:
        path: A directory, or one file.
        ignore: Paths inside the checkpoint to leave out, with everything below them; the default
            is what ``sign`` leaves out by default.
        options: How to hash.

    Raises:
        UnexpectedFileError: There is a link, pipe, device, or a name that is not UTF-8.
        ReadError, ChangedWhileReadError, LimitError, EngineError, KeyboardInterrupt: As
            for ``hash_file``.
        UsageError: There is no file at all.
    """
    listing = files.list_checkpoint(path, ignorer(ignore))
    if listing.strange:
        first = listing.strange[0]
        raise errors.UnexpectedFileError(f"{first.path}: {first.message}", listing.strange)
    digests = hash_listing(listing, file_digests=False, options=options or Options())
    shards = tuple((file.path, digest) for file, digest in zip(listing.files, digests, strict=True))
    root = merkle.checkpoint_root((path, one.size, one.root) for path, one in shards)
    return CheckpointDigest(root, shards)


def ignorer(ignored: Sequence[str]) -> Callable[[str], bool]:
    """Return a predicate: is this path one of ``ignored``? (A directory covers what is below.)

    Raises nothing.
    """
    exact = frozenset(ignored)
    return exact.__contains__


def hash_listing(
    listing: files.Listing,
    *,
    options: Options,
    span_nodes: bool = True,
    file_digests: bool = False,
) -> list[ShardDigest]:
    """Hash every file of a listing, each through one descriptor.

    Files are opened in groups that fit the process's limit of open files; a group is hashed over
    all threads at once and compared with the listing again before its digests count.

    Args:
        listing: What to hash.
        options: How to hash.
        span_nodes: Compute the trees. Without, each root is empty bytes.
        file_digests: Compute whole-file digests from the same read.

    Returns:
        One digest for each of ``listing.files``, in their order.

    Raises:
        As ``hash_file``.
    """
    for file in listing.files:
        if file.identity.size > limits.MAX_SHARD_BYTES:
            raise errors.LimitError(
                f"{file.path}: {file.identity.size} bytes; a shard has at most"
                f" {limits.MAX_SHARD_BYTES}",
                file.path,
            )
    total = sum(file.identity.size for file in listing.files)
    done = 0
    found: list[ShardDigest] = []
    for group in open_groups(listing.files):
        with files.open_files(listing, group) as descriptors:
            found += _hash_group(
                group,
                descriptors,
                options,
                (done, total),
                span_nodes=span_nodes,
                file_digests=file_digests,
            )
        done += sum(file.identity.size for file in group)
    return found


def open_groups(
    listed: tuple[files.CheckpointFile, ...],
) -> Iterator[tuple[files.CheckpointFile, ...]]:
    """Cut a list of files into groups that can be open at once. Raises nothing."""
    size = files_at_once()
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def files_at_once() -> int:
    """Return how many files a call may open and leave some for the rest of the process.

    At least 1; raises nothing.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - _open_descriptors() - SPARE_DESCRIPTORS)


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return BUSY_PROCESS_DESCRIPTORS


def _hash_group(
    group: tuple[files.CheckpointFile, ...],
    descriptors: list[int],
    options: Options,
    done_of: tuple[int, int],
    *,
    span_nodes: bool,
    file_digests: bool,
) -> list[ShardDigest]:
    # Longest first: a serial digest cannot be shared out, so the last to start must be short.
    order = sorted(range(len(group)), key=lambda i: -group[i].identity.size)
    ranges = [
        _native.Range(group[i].path, descriptors[i], 0, group[i].identity.size) for i in order
    ]
    results = _call(ranges, options, *done_of, span_nodes=span_nodes, file_digests=file_digests)
    digests: list[ShardDigest | None] = [None] * len(group)
    for i, result in zip(order, results, strict=True):
        files.check_unchanged(group[i], descriptors[i])
        files.check_end(group[i], descriptors[i])
        root = merkle.shard_root(result.span_nodes) if span_nodes else b""
        digests[i] = ShardDigest(
            group[i].identity.size, root, result.span_nodes, result.file_digest
        )
    return [digest for digest in digests if digest is not None]


def _call(
    ranges: list[_native.Range],
    options: Options,
    done: int,
    total: int,
    *,
    span_nodes: bool = True,
    file_digests: bool,
) -> list[_native.RangeDigest]:
    report, threads = options.progress, options.thread_count()
    progress = None if report is None else lambda bytes_done: report(done + bytes_done, total)
    if file_digests and not span_nodes and _is_serial_better(ranges, options):
        found = serial_hashing.hash_serially(ranges, threads=threads, progress=progress)
        return [_native.RangeDigest(b"", digest) for digest in found]
    return _native.hash_ranges(
        ranges,
        span_nodes=span_nodes,
        file_digests=file_digests,
        threads=threads,
        reader=options.reader,
        kernel=options.kernel,
        note=options.note,
        progress=progress,
    )


def _is_serial_better(ranges: list[_native.Range], options: Options) -> bool:
    """Only where neither the kernel nor how to read was asked for."""
    return (
        options.kernel is None
        and options.reader == "auto"
        and serial_hashing.is_hashlib_better(
            [item.source for item in ranges], [item.end for item in ranges], options.thread_count()
        )
    )
