# SPDX-License-Identifier: Apache-2.0
"""A file system that turns: it shows good bytes first and evil ones later, under the same metadata.

A FUSE server in one file: it speaks the kernel's protocol (linux/fuse.h) itself, so it needs root
and /dev/fuse, and no library. It shows the files of one directory, flat and read-only. A file named
by ``--evil`` gives other bytes from its middle on once ``--flag`` exists, or once it has given
``--after`` bytes; and none at all from ``--lost`` on, like a drive that fails. Also a script, which
serves until it is unmounted:

    python _turning_fs.py SOURCE MOUNTPOINT --evil NAME [--flag FILE] [--after BYTES]
        [--lost OFFSET] [--direct]
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 14, 15, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 26, 27, 28, 29, 36, 38, 42
SILENT = {FORGET, INTERRUPT, BATCH_FORGET}
IN_HEADER = struct.Struct("<IIQQIIIHH")
OUT_HEADER = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQ10I")
REQUEST_BYTES = 1 << 20
DIRECT_IO = 1
FOR_A_DAY = 86_400
TIME = 1_700_000_000  # of every file, always
ROOT = 1
MNT_DETACH = 2


class TurningFs:
    """Answers requests of one mount."""

    def __init__(
        self,
        source: Path,
        evil: str,
        is_evil: Callable[[int], bool],
        flags: int,
        lost: int | None = None,
    ) -> None:
        self._files = sorted(path for path in source.iterdir() if path.is_file())
        self._evil = evil
        self._is_evil = is_evil
        self._flags = flags
        self._lost = lost
        self._given = 0

    def answer(self, opcode: int, node: int, body: bytes) -> bytes | int:
        """The body of the answer, or an error number."""
        if opcode == INIT:
            _, minor, readahead, _ = struct.unpack_from("<IIII", body)
            return struct.pack(
                "<IIIIHHIIHHII24x", 7, minor, readahead, 0, 8, 8, 4096, 1, 0, 0, 0, 0
            )[:64]
        if opcode == LOOKUP:
            return self._look_up(body.rstrip(b"\0").decode())
        if opcode == GETATTR:
            return struct.pack("<QII", FOR_A_DAY, 0, 0) + self._attributes(node)
        if opcode in (OPEN, OPENDIR):
            return struct.pack("<QIi", node, self._flags if opcode == OPEN else 0, 0)
        if opcode in (READ, READDIR):
            _, offset, size = struct.unpack_from("<QQI", body)
            return self._read(node, offset, size) if opcode == READ else self._list(offset)
        if opcode == STATFS:
            return bytes(80)
        return b"" if opcode in (RELEASE, RELEASEDIR, FLUSH, DESTROY) else errno.ENOSYS

    def _look_up(self, name: str) -> bytes | int:
        for number, path in enumerate(self._files, ROOT + 1):
            if path.name == name:
                entry = struct.pack("<QQQQII", number, 0, FOR_A_DAY, FOR_A_DAY, 0, 0)
                return entry + self._attributes(number)
        return errno.ENOENT

    def _attributes(self, node: int) -> bytes:
        is_root = node == ROOT
        size = 0 if is_root else self._files[node - ROOT - 1].stat().st_size
        mode = stat.S_IFDIR | 0o755 if is_root else stat.S_IFREG | 0o444
        times = (TIME, TIME, TIME, 0, 0, 0)
        return ATTRIBUTES.pack(node, size, size // 512, *times, mode, 1, 0, 0, 0, 4096, 0)

    def _list(self, offset: int) -> bytes:
        found = b""
        for number, path in enumerate(self._files, 1):
            if number > offset:
                name = path.name.encode()
                entry = struct.pack("<QQII", number + ROOT, number, len(name), stat.S_IFREG >> 12)
                found += (entry + name).ljust(-(-(24 + len(name)) // 8) * 8, b"\0")
        return found

    def _read(self, node: int, offset: int, size: int) -> bytes | int:
        path = self._files[node - ROOT - 1]
        if path.name == self._evil and self._lost is not None and offset + size > self._lost:
            return errno.EIO
        with path.open("rb") as file:
            file.seek(offset)
            data = bytearray(file.read(size))
        if path.name == self._evil:
            if self._is_evil(self._given):
                start = max(path.stat().st_size // 2 - offset, 0)
                data[start:] = bytes(byte ^ 0xFF for byte in data[start:])
            self._given += len(data)
        return bytes(data)


def mount(mountpoint: Path) -> int:
    """Mount; the descriptor of the connection."""
    connection = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={connection},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"pyhash-test", bytes(mountpoint), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "cannot mount")
    return connection


def unmount(mountpoint: Path) -> None:
    """Unmount, whoever still has it open."""
    ctypes.CDLL(None).umount2(bytes(mountpoint), MNT_DETACH)


def serve(connection: int, system: TurningFs) -> None:
    """Answer until the mount is gone."""
    while True:
        try:
            request = os.read(connection, REQUEST_BYTES)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                continue
            return  # ENODEV: unmounted
        _, opcode, unique, node, *_ = IN_HEADER.unpack_from(request)
        if opcode in SILENT:
            continue
        answer = system.answer(opcode, node, request[IN_HEADER.size :])
        body = b"" if isinstance(answer, int) else answer
        code = -answer if isinstance(answer, int) else 0
        os.write(connection, OUT_HEADER.pack(OUT_HEADER.size + len(body), code, unique) + body)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("mountpoint", type=Path)
    parser.add_argument("--evil", required=True)
    parser.add_argument("--flag", type=Path)
    parser.add_argument("--after", type=int)
    parser.add_argument("--lost", type=int)
    parser.add_argument("--direct", action="store_true")
    given = parser.parse_args()

    def is_evil(bytes_given: int) -> bool:
        if given.after is not None and bytes_given >= given.after:
            return True
        return given.flag is not None and given.flag.exists()

    flags = DIRECT_IO if given.direct else 0
    system = TurningFs(given.source, given.evil, is_evil, flags, given.lost)
    connection = mount(given.mountpoint)
    print("mounted", flush=True)
    serve(connection, system)


if __name__ == "__main__":
    main()
