# SPDX-License-Identifier: Apache-2.0
"""The fs-verity digest of a file: SHA-256, blocks of 4096 bytes, no salt, hashed in lanes.

What Linux computes when it seals a file. Computes only: seals nothing and asks the kernel nothing.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

from pyhash import _native, errors, files
from pyhash.hashing import Options, open_groups

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

BLOCK_BYTES = 4096
DIGEST_BYTES = 32
READ_BYTES = 1 << 20  # what a thread reads at once: 256 blocks
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
    from concurrent.futures import ThreadPoolExecutor  # here: who only needs the sizes waits less

    options = options or Options()
    found = []
    with ThreadPoolExecutor(options.thread_count(), "pyhash-verity") as pool:
        for group in open_groups(listing.files):
            with files.open_files(listing, group) as descriptors:
                found += [
                    _hash_open(pool, file, descriptor, options.kernel)
                    for file, descriptor in zip(group, descriptors, strict=True)
                ]
    return found


def _hash_open(
    pool: ThreadPoolExecutor, file: files.CheckpointFile, descriptor: int, kernel: str | None
) -> bytes:
    read = files.read_at(file.path, descriptor)
    size = file.identity.size

    def level(start: int) -> bytes:
        return _hash_blocks(read(start, min(READ_BYTES, size - start)), kernel)

    digests = b"".join(pool.map(level, range(0, size, READ_BYTES)))
    files.check_unchanged(file, descriptor)
    return verity_digest(size, _fold(digests, kernel))


def verity_digest(size: int, root: bytes) -> bytes:
    """Return the digest over fs-verity's descriptor. Pure; raises nothing.

    Args:
        size: Bytes of the file.
        root: Root of its tree of blocks, 32 bytes; zeros for an empty file.
    """
    head = (_VERSION, _SHA256, _LOG_BLOCK, 0, 0, size)
    return hashlib.sha256(_DESCRIPTOR.pack(*head, root, b"")).digest()


def _fold(digests: bytes, kernel: str | None) -> bytes:
    while len(digests) > DIGEST_BYTES:
        digests = _hash_blocks(digests, kernel)
    return digests or bytes(DIGEST_BYTES)


def _hash_blocks(data: bytes, kernel: str | None) -> bytes:
    """Hash each block, the last one filled up with zeros."""
    whole = data.ljust(-(-len(data) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")
    return _native.hash_messages(whole, BLOCK_BYTES, kernel=kernel)
