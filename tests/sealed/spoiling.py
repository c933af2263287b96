# SPDX-License-Identifier: Apache-2.0
"""Flips bytes of a file on the machine's disk, behind the back of its file system."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.loop_image import _extents

DISK = "/dev/vda"


def spoil(path: Path, offset: int, *, behind: bool = False) -> None:
    """Flip a byte of a file on the disk, under the file system, which is not mounted meanwhile:
    whatever of it was in memory is forgotten.

    Args:
        path: The file.
        offset: Of the byte; with ``behind``, counted in the tree of digests behind the end.
        behind: In what fs-verity keeps behind the end of the file.
    """
    mount = next(str(one) for one in path.parents if os.path.ismount(one))
    os.sync()
    with path.open("rb") as file:
        extents = _extents(file.fileno())
        if behind:  # ext4 keeps it from the next multiple of 65536 on
            offset += -(-os.fstat(file.fileno()).st_size // 65536) * 65536
    physical = next(
        start + offset - logical
        for logical, start, length in extents
        if logical <= offset < logical + length
    )
    subprocess.run(["umount", mount], check=True)
    with open(DISK, "r+b", buffering=0) as disk:
        byte = os.pread(disk.fileno(), 1, physical)
        os.pwrite(disk.fileno(), bytes([byte[0] ^ 1]), physical)
        os.fsync(disk.fileno())
    subprocess.run(["mount", "-t", "ext4", DISK, mount], check=True)
