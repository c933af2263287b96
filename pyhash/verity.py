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
from pyhash.hashing import Options, open_groups

BLOCK_BYTES = 4096
DIGEST_BYTES = 32
NODE_BYTES = BLOCK_BYTES // DIGEST_BYTES * BLOCK_BYTES  # what one block of digests stands for
READ_BYTES = NODE_BYTES  # at once, into a buffer that stays in a core's cache
PIECE_BYTES = 16 * NODE_BYTES  # what a thread takes: its blocks of digests fill sixteen lanes
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

    def work() -> None:
        buffer = memoryview(bytearray(min(READ_BYTES, pieces.most_bytes)))
        with pieces:
            for index, start in pieces:
                own = _hash_piece(group[index], descriptors[index], start, buffer, options.kernel)
                first = start // NODE_BYTES * DIGEST_BYTES
                nodes[index][first : first + len(own)] = own

    count = min(options.thread_count(), pieces.count)
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
        self.most_bytes = -(-max(sizes, default=0) // BLOCK_BYTES) * BLOCK_BYTES
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
    file: files.CheckpointFile, descriptor: int, start: int, buffer: memoryview, kernel: str | None
) -> bytes:
    size = file.identity.size
    end = min(start + PIECE_BYTES, size)
    digests = bytearray()
    for offset in range(start, end, READ_BYTES):
        length = min(READ_BYTES, end - offset)
        whole = -(-length // BLOCK_BYTES) * BLOCK_BYTES
        _read(file.path, descriptor, offset, buffer[:length])
        buffer[length:whole] = bytes(whole - length)  # fs-verity fills up the last block with zeros
        digests += _native.hash_messages(buffer[:whole], BLOCK_BYTES, kernel=kernel)
    return bytes(digests) if size <= BLOCK_BYTES else _hash_blocks(bytes(digests), kernel)


def _read(path: str, descriptor: int, offset: int, into: memoryview) -> None:
    """Fill some memory from an open file.

    Raises:
        ReadError: The system refused.
        TruncatedError: The file ends before.
    """
    done = 0
    with files.reading(path):
        while done < len(into):
            more = os.preadv(descriptor, [into[done:]], offset + done)
            if not more:
                place = offset + done
                raise errors.TruncatedError(f"{path}: ends at byte {place}", path, None, place)
            done += more


def _fold(digests: bytes, kernel: str | None) -> bytes:
    while len(digests) > DIGEST_BYTES:
        digests = _hash_blocks(digests, kernel)
    return digests or bytes(DIGEST_BYTES)


def _hash_blocks(data: bytes, kernel: str | None) -> bytes:
    """Hash each block, the last one filled up with zeros."""
    whole = data.ljust(-(-len(data) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")
    return _native.hash_messages(whole, BLOCK_BYTES, kernel=kernel)
