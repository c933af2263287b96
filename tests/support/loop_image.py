# SPDX-License-Identifier: Apache-2.0
"""A disk that loses blocks: ext4 in an image file, of which the end is cut off while it is mounted.

The kernel then gives real errors: EIO from reads, SIGBUS from mappings. Needs root and loop
devices. Where they are missing it raises Unavailable, for the test to skip with that reason.
Sees whole files only; for faults at the n-th read there is faults.py.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 4096
PROGRAMS = ("mkfs.ext4", "mount", "umount")

# linux/fiemap.h: ioctl number, FIEMAP_FLAG_SYNC, struct fiemap and struct fiemap_extent.
FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC = 1
FIEMAP_HEAD = struct.Struct("=QQLLLL")
FIEMAP_EXTENT = struct.Struct("=QQQ16xL12x")
MAX_EXTENTS = 64


class Unavailable(Exception):
    """This machine cannot mount an image; the message says why."""


@dataclass(frozen=True, slots=True)
class LoopImage:
    """A mounted image.

    Attributes:
        root: Where it is mounted; write files below it.
        backing: The image file.
    """

    root: Path
    backing: Path

    def lose_from(self, path: Path, offset: int) -> None:
        """Lose every block of a file from an offset on; reads of them fail from now on.

        Blocks of other files that lie behind the first lost one are lost too: write the file
        that is to break last. There is no way back; make another image.

        Args:
            path: A file below ``root``, completely written.
            offset: First byte that is lost, a multiple of BLOCK_BYTES.

        Raises:
            ValueError: The offset is none of the file's, or the file system scattered the file
                so that earlier bytes would be lost too.
        """
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.sync()
            extents = _extents(file.fileno())
            first_lost = _disk_offset(extents, offset)
            for logical, physical, length in extents:
                kept = max(0, min(offset - logical, length))
                if kept and physical + kept > first_lost:
                    raise ValueError(f"{path} is scattered: cannot lose it from {offset} on alone")
            os.truncate(self.backing, first_lost)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def rot(self, path: Path, offset: int) -> None:
        """Change one bit of a file on the disk: no time, no size and no number of it changes, and
        the file system knows of nothing.

        Args:
            path: A file below ``root``, completely written.
            offset: Which byte, in a block that the file has on disk.
        """
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.sync()
            start = offset // BLOCK_BYTES * BLOCK_BYTES
            at = _disk_offset(_extents(file.fileno()), start) + offset - start
            with self.backing.open("r+b") as backing:
                backing.seek(at)
                byte = backing.read(1)[0]
                backing.seek(at)
                backing.write(bytes([byte ^ 4]))
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def loop_image(directory: Path, *, size_bytes: int = 64 << 20) -> Iterator[LoopImage]:
    """Make, mount and, however the block ends, unmount and remove a small ext4 image.

    Args:
        directory: For the image and the mount point; must exist.
        size_bytes: Of the image, at least 8 MiB; ext4 itself takes about a MiB of it.

    Raises:
        Unavailable: Not root, or no loop devices, or a program is missing.
    """
    _check_available()
    backing = directory / "loop.img"
    root = directory / "loop"
    root.mkdir()
    with backing.open("wb") as file:
        file.truncate(size_bytes)
    try:
        # No journal and nothing written lazily: the kernel has no reason to touch lost blocks.
        _run(
            *("mkfs.ext4", "-q", "-F", "-b", str(BLOCK_BYTES), "-O", "^has_journal"),
            *("-E", "lazy_itable_init=0,nodiscard", str(backing)),
        )
        _run("mount", "-o", "loop,noatime,errors=continue", str(backing), str(root))
        try:
            yield LoopImage(root, backing)
        finally:
            _unmount(root)
    finally:
        backing.unlink()
        root.rmdir()


def _check_available() -> None:
    if os.geteuid() != 0:
        raise Unavailable("loop images need root")
    if not Path("/dev/loop-control").exists():
        raise Unavailable("loop images need loop devices: there is no /dev/loop-control")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Unavailable(f"loop images need {program}, which is not installed")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def _unmount(root: Path) -> None:
    """Unmount, at once or, while somebody still has a file open there, as soon as possible.

    ``mount -o loop`` made the loop device so that it frees itself with the mount.
    """
    if subprocess.run(["umount", str(root)], capture_output=True, check=False).returncode != 0:
        subprocess.run(["umount", "--lazy", str(root)], capture_output=True, check=True)


def _extents(descriptor: int) -> list[tuple[int, int, int]]:
    """(logical, physical, length) in bytes of every extent of an open file."""
    request = bytearray(FIEMAP_HEAD.size + MAX_EXTENTS * FIEMAP_EXTENT.size)
    FIEMAP_HEAD.pack_into(request, 0, 0, 2**64 - 1, FIEMAP_FLAG_SYNC, 0, MAX_EXTENTS, 0)
    fcntl.ioctl(descriptor, FS_IOC_FIEMAP, request)
    count = FIEMAP_HEAD.unpack_from(request)[3]
    end = FIEMAP_HEAD.size + count * FIEMAP_EXTENT.size
    found = range(FIEMAP_HEAD.size, end, FIEMAP_EXTENT.size)
    return [FIEMAP_EXTENT.unpack_from(request, at)[:3] for at in found]


def _disk_offset(extents: list[tuple[int, int, int]], offset: int) -> int:
    for logical, physical, length in extents:
        if logical <= offset < logical + length and offset % BLOCK_BYTES == 0:
            return physical + offset - logical
    raise ValueError(f"{offset} is not the start of a block that the file has on disk")
