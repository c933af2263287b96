# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a kernel with fs-verity, for machines whose kernel has none: it answers the two
requests that ``pyhash.sealing`` makes, and computes with the reference. It enforces nothing;
``make verity`` tries the real thing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import reference

if TYPE_CHECKING:  # a benchmark times a process that imports this
    import pytest

# linux/fsverity.h
FS_IOC_ENABLE_VERITY = 0x40806685
FS_IOC_MEASURE_VERITY = 0xC0046686
ENABLE_ARGUMENT = struct.pack("<IIII", 1, 1, 4096, 0) + bytes(112)


@dataclass
class VerityKernel:
    """What is sealed, and what to answer instead.

    Attributes:
        sealed: (device, inode) -> algorithm and digest.
        enable_error: Error number of every request to seal; 0: none.
        forgetful: Seals nothing, and says it did.
    """

    sealed: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)
    enable_error: int = 0
    forgetful: bool = False

    @classmethod
    def in_place(cls, monkeypatch: pytest.MonkeyPatch) -> VerityKernel:
        """Return one that answers for this process's kernel until the test ends."""
        kernel = cls()
        monkeypatch.setattr("fcntl.ioctl", kernel.ioctl)
        return kernel

    def ioctl(self, descriptor: int, request: int, argument: Any) -> Any:
        """Answer as the kernel does."""
        status = os.fstat(descriptor)
        key = status.st_dev, status.st_ino
        if request == FS_IOC_MEASURE_VERITY:
            return self._measure(key, argument)
        assert request == FS_IOC_ENABLE_VERITY and argument == ENABLE_ARGUMENT
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        if self.enable_error == errno.EEXIST:
            self.sealed[key] = self._seal(descriptor, status.st_size)
        if self.enable_error:
            raise OSError(self.enable_error, os.strerror(self.enable_error))
        assert key not in self.sealed
        if not self.forgetful:
            self.sealed[key] = self._seal(descriptor, status.st_size)
        return argument

    def _seal(self, descriptor: int, size: int) -> tuple[int, bytes]:
        return 1, reference.verity_digest(os.pread(descriptor, size, 0))

    def _measure(self, key: tuple[int, int], argument: bytearray) -> int:
        if key not in self.sealed:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        algorithm, digest = self.sealed[key]
        _, room = struct.unpack_from("<HH", argument)
        assert room >= len(digest)
        struct.pack_into("<HH", argument, 0, algorithm, len(digest))
        argument[4 : 4 + len(digest)] = digest
        return 0
