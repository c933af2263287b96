# SPDX-License-Identifier: Apache-2.0
"""Asks the kernel to seal files with fs-verity, and what it measures of sealed ones.

Linux only; the numbers and structures are those of Documentation/filesystems/fsverity.rst. Computes
nothing itself: ``verity`` does, and compares here are with what the caller brings.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from pyhash import files
from pyhash._native._pieces import BLOCK_BYTES
from pyhash.errors import ChangedWhileReadError, Finding, SealError
from pyhash.hashing import Options, open_groups
from pyhash.verity import DIGEST_BYTES

SHA256 = 1  # FS_VERITY_HASH_ALG_SHA256
MAX_DIGEST_BYTES = 64  # of any algorithm that the kernel has
# struct fsverity_enable_arg: version, algorithm, bytes of a block; no salt and no signature.
_ENABLE_ARG = struct.Struct("=IIII Q I I Q 88x")
_DIGEST_HEAD = struct.Struct("=HH")  # struct fsverity_digest before the digest


def _request(direction: int, number: int, size: int) -> int:
    """Return a request's number as asm-generic/ioctl.h composes it, group ``f``."""
    return direction << 30 | size << 16 | ord("f") << 8 | number


FS_IOC_ENABLE_VERITY = _request(1, 133, _ENABLE_ARG.size)
FS_IOC_MEASURE_VERITY = _request(3, 134, _DIGEST_HEAD.size)

# What the kernel answers where the file system, or the kernel itself, has no fs-verity.
NOT_HERE = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS)
NOT_SEALED = errno.ENODATA
REASONS = {
    errno.ETXTBSY: "is open for writing somewhere; close it there and seal again",
    errno.EACCES: "sealing needs the right to write to it",
    errno.EPERM: "may not be changed by anybody (append-only or immutable)",
    errno.EROFS: "is on a file system that is mounted read-only",
    errno.ENOSPC: "there is no room for its tree of digests, about 1/127 of its size",
    errno.EDQUOT: "the quota has no room for its tree of digests, about 1/127 of its size",
}


def measure_listing(listing: files.Listing) -> list[bytes | None]:
    """Return what the kernel measures of each file of a listing: one system call per file.

    Args:
        listing: The files; each is opened, and is the very one that was listed.

    Returns:
        The digest of each, 32 bytes, in order; None: not sealed.

    Raises:
        SealError: There is no fs-verity there, or a file is sealed with another algorithm.
        ChangedWhileReadError: A file is not the one that was listed.
        ReadError: A file cannot be opened; a sealed one with a damaged seal cannot.
    """
    found = []
    for group in open_groups(listing.files):
        with files.open_files(listing, group) as descriptors:
            pairs = zip(group, descriptors, strict=True)
            found += [measure(file.path, descriptor) for file, descriptor in pairs]
    return found


def measure(path: str, descriptor: int) -> bytes | None:
    """Return what the kernel measures of one open file. Thread-safe.

    Args:
        path: For messages.
        descriptor: The open file; stays the caller's.

    Returns:
        32 bytes, or None: not sealed.

    Raises:
        SealError: There is no fs-verity there, or it is sealed with another algorithm.
    """
    buffer = bytearray(_DIGEST_HEAD.size + MAX_DIGEST_BYTES)
    _DIGEST_HEAD.pack_into(buffer, 0, 0, MAX_DIGEST_BYTES)
    try:
        fcntl.ioctl(descriptor, FS_IOC_MEASURE_VERITY, buffer)
    except OSError as error:
        if error.errno == NOT_SEALED:
            return None
        raise _refused(path, descriptor, error) from error
    algorithm, size = _DIGEST_HEAD.unpack_from(buffer)
    if (algorithm, size) != (SHA256, DIGEST_BYTES):
        raise SealError(
            f"{path}: is sealed with fs-verity's algorithm {algorithm}, and only SHA-256 is taken;"
            " a copy of it can be sealed anew",
            path,
        )
    return bytes(buffer[_DIGEST_HEAD.size :][:DIGEST_BYTES])


def seal_listing(
    listing: files.Listing, digests: Sequence[bytes], *, options: Options | None = None
) -> int:
    """Seal every file of a listing that is not sealed yet, and compare all with what is expected.

    Each file is sealed whole or not at all, whatever ends this process; what is sealed stays so,
    and sealing again goes on with the rest. The kernel reads and hashes each file.

    Args:
        listing: The files.
        digests: What the kernel must measure of each, in order.
        options: How many files at once.

    Returns:
        How many were sealed now; the others were before.

    Raises:
        SealError: The kernel refused one; the message says why and what to do.
        ChangedWhileReadError: A file is not the one that was listed, or was changed or sealed
            otherwise meanwhile.
        ReadError: A file cannot be opened.
    """
    from concurrent.futures import ThreadPoolExecutor  # here: measuring is to start in no time

    options = options or Options()
    measured: list[tuple[bool, bytes]] = []
    with ThreadPoolExecutor(options.thread_count(), "pyhash-seal") as pool:
        for group in open_groups(listing.files):
            with files.open_files(listing, group) as descriptors:
                measured += pool.map(_seal_one, [file.path for file in group], descriptors)
    found = tuple(
        _other_seal(file.path, expected, actual)
        for file, expected, (_, actual) in zip(listing.files, digests, measured, strict=True)
        if actual != expected
    )
    if found:
        raise ChangedWhileReadError(f"{found[0].path}: {found[0].message}", found)
    return sum(is_new for is_new, _ in measured)


def _seal_one(path: str, descriptor: int) -> tuple[bool, bytes]:
    """Seal one file unless it is; returns whether it was not, and what the kernel measures now."""
    before = measure(path, descriptor)
    if before is not None:
        return False, before
    argument = _ENABLE_ARG.pack(1, SHA256, BLOCK_BYTES, 0, 0, 0, 0, 0)
    try:
        fcntl.ioctl(descriptor, FS_IOC_ENABLE_VERITY, argument)
    except OSError as error:
        if error.errno != errno.EEXIST:  # somebody else has sealed it just now
            raise _refused(path, descriptor, error) from error
    after = measure(path, descriptor)
    if after is None:
        raise SealError(f"{path}: the system says it is sealed, and does not measure it", path)
    return True, after


def _other_seal(path: str, expected: bytes, actual: bytes) -> Finding:
    message = "sealed with other content or in another way (salt, size of blocks) than was hashed"
    return Finding("changed", path, message, expected.hex(), actual.hex())


def _refused(path: str, descriptor: int, error: OSError) -> SealError:
    if error.errno in NOT_HERE:
        reason = (
            f"no fs-verity on its file system ({file_system(descriptor)}); ext4 has it with the"
            " feature 'verity' (tune2fs -O verity), f2fs and btrfs too, where the kernel does"
        )
    else:
        reason = REASONS.get(error.errno or 0, error.strerror or str(error))
    return SealError(f"{path}: {reason}", path, error.errno)


def file_system(descriptor: int, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return what kind of file system an open file is on, as mounts name it.

    Args:
        descriptor: The open file; stays the caller's.
        mounts: Where the kernel lists what is mounted.

    Returns:
        The name, or that it is not known. Raises nothing.
    """
    try:
        device = os.fstat(descriptor).st_dev
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "not known"
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split(" ")[2:3] == [number]:
            return after.split(" ")[0]
    return "not known"
