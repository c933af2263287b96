# SPDX-License-Identifier: Apache-2.0
"""The fs-verity digest of a file: SHA-256, blocks of 4096 bytes, no salt, hashed in lanes.

What Linux computes when it seals a file. Computes only: seals nothing and asks the kernel nothing.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Iterator, Sequence

from pyhash import _native, errors, files
from pyhash._native._pieces import BLOCK_BYTES, hash_verity_blocks
from pyhash.hashing import Options, open_groups

DIGEST_BYTES = 32
NODE_BYTES = BLOCK_BYTES // DIGEST_BYTES * BLOCK_BYTES  # what one block of digests stands for
PIECE_BYTES = 32 * NODE_BYTES  # what a thread takes: its blocks of digests fill the lanes twice
_DESCRIPTOR = struct.Struct("<BBBBIQ64s32s144x")
_VERSION, _SHA256, _LOG_BLOCK = 1, 1, 12


def hash_verity(path: str | os.PathLike[str], *, options: Options | None = None) -> bytes:
    """Return the fs-verity digest of a file. May be called from several threads.

    Args:
        path: A regular file.
        options: Threads and kernel.

    Returns:
        32 bytes, as ``fsverity digest`` prints them.

    Raises:
        ReadError: The file cannot be read, or is no regular file.
        ChangedWhileReadError: It changed meanwhile.
        EngineError: No such kernel.
    """
    listing = files.list_checkpoint(path, lambda _: False)
    if not listing.is_single_file:
        raise errors.ReadError(f"{os.fspath(path)}: a directory", os.fspath(path))
    (digest,) = hash_verity_listing(listing, options=options)
    return digest


def hash_verity_listing(listing: files.Listing, *, options: Options | None = None) -> list[bytes]:
    """Return the fs-verity digest of each file of a listing, in order. Thread-safe.

    Args:
        listing: The files.
        options: Threads and kernel.

    Raises:
        ReadError: A file cannot be read.
        ChangedWhileReadError: A file is not the one that was listed, or changed meanwhile.
        EngineError: No such kernel.
    """
    options = options or Options()
    found = []
    for group in open_groups(listing.files):
        with files.open_files(listing, group) as descriptors:
            nodes = _hash_group(group, descriptors, options)
            for file, descriptor, own in zip(group, descriptors, nodes, strict=True):
                files.check_unchanged(file, descriptor)
                found.append(verity_digest(file.identity.size, _fold(own, options.kernel)))
    return found


def verity_digest(size: int, root: bytes) -> bytes:
    """Return the digest over fs-verity's descriptor. Pure; raises nothing.

    Args:
        size: Bytes of the file.
        root: Root of its tree of blocks, 32 bytes; zeros for an empty file.
    """
    head = (_VERSION, _SHA256, _LOG_BLOCK, 0, 0, size)
    return hashlib.sha256(_DESCRIPTOR.pack(*head, root, b"")).digest()


def _hash_group(
    group: Sequence[files.CheckpointFile], descriptors: Sequence[int], options: Options
) -> list[bytes]:
    """Return the lowest nodes of each open file above its blocks; of a single block its digest.

    The pieces of all files are one queue, so that no thread waits for the end of a file.
    """
    nodes = [bytearray(_node_count(file) * DIGEST_BYTES) for file in group]
    pieces = _Pieces(group)

    count = min(options.thread_count(), pieces.count)

    def work() -> None:
        with pieces:
            for index, start in pieces:
                own = _hash_piece(group[index], descriptors[index], start, options, count)
                first = start // NODE_BYTES * DIGEST_BYTES
                nodes[index][first : first + len(own)] = own

    if count < 2:
        work()
    else:
        from concurrent.futures import ThreadPoolExecutor  # here: who needs the sizes waits less

        with ThreadPoolExecutor(count, "pyhash-verity") as pool, pieces:
            for running in [pool.submit(work) for _ in range(count)]:
                running.result()
    return [bytes(own) for own in nodes]


def _node_count(file: files.CheckpointFile) -> int:
    return -(-file.identity.size // NODE_BYTES)


class _Pieces:
    """What is left to hash, handed out to threads one by one.

    Nothing is left when a block under ``with`` has ended, however it did: one thread that fails, or
    Ctrl-C, ends the work of all.
    """

    def __init__(self, group: Sequence[files.CheckpointFile]) -> None:
        sizes = [file.identity.size for file in group]
        self.count = sum(-(-size // PIECE_BYTES) for size in sizes)
        self._lock = threading.Lock()
        self._rest: Iterator[tuple[int, int]] = (
            (index, start)
            for index, size in enumerate(sizes)
            for start in range(0, size, PIECE_BYTES)
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._rest = iter(())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while True:
            with self._lock:
                one = next(self._rest, None)
            if one is None:
                return
            yield one


def _hash_piece(
    file: files.CheckpointFile, descriptor: int, start: int, options: Options, threads: int
) -> bytes:
    size = file.identity.size
    piece = _native.Range(file.path, descriptor, start, min(start + PIECE_BYTES, size))
    digests = hash_verity_blocks(
        piece, reader=options.reader, kernel=options.kernel, others=threads - 1
    )
    return digests if size <= BLOCK_BYTES else _hash_blocks(digests, options.kernel)


def _fold(digests: bytes, kernel: str | None) -> bytes:
    while len(digests) > DIGEST_BYTES:
        digests = _hash_blocks(digests, kernel)
    return digests or bytes(DIGEST_BYTES)


def _hash_blocks(data: bytes, kernel: str | None) -> bytes:
    """Hash each block, the last one filled up with zeros."""
    whole = data.ljust(-(-len(data) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")
    return _native.hash_messages(whole, BLOCK_BYTES, kernel=kernel)
