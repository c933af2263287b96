# SPDX-License-Identifier: Apache-2.0
"""Cold data without O_DIRECT, and without io_uring: the same digests, and a note that says so."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import pyhash

# Files of the kernel's own file system are regular, have a size, and cannot be read with O_DIRECT.
WITHOUT_DIRECT = Path("/sys/kernel/btf/vmlinux")

# A seccomp filter as container runtimes install it: io_uring_setup(2) is not permitted.
WITHOUT_URING = """
import ctypes, struct, sys
import pyhash

libc = ctypes.CDLL(None, use_errno=True)
load_number = struct.pack("HBBI", 0x20, 0, 0, 0)              # A = system call number
is_setup = struct.pack("HBBI", 0x15, 0, 1, 425)               # io_uring_setup, on every machine
refuse = struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | 1)      # SECCOMP_RET_ERRNO, EPERM
allow = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)           # SECCOMP_RET_ALLOW
program = ctypes.create_string_buffer(load_number + is_setup + refuse + allow)
filter_ = struct.pack("HxxxxxxP", 4, ctypes.addressof(program))
assert libc.prctl(38, 1, 0, 0, 0) == 0                         # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.c_char_p(filter_), 0, 0) == 0  # PR_SET_SECCOMP, filter
assert libc.syscall(425, 1, None) == -1 and ctypes.get_errno() == 1

notes = []
for reader in ("buffered", "direct"):
    options = pyhash.Options(threads=2, reader=reader, note=notes.append)
    print(pyhash.hash_file(sys.argv[1], options=options).root.hex())
print(*notes, sep="\\n")
"""


def test_no_direct() -> None:
    if not WITHOUT_DIRECT.exists():
        pytest.skip(f"{WITHOUT_DIRECT} is not there: no file without O_DIRECT at hand")
    notes: list[str] = []
    direct = pyhash.hash_file(
        WITHOUT_DIRECT, options=pyhash.Options(reader="direct", note=notes.append)
    )
    assert direct.root == pyhash.hash_buffer(WITHOUT_DIRECT.read_bytes()).root
    assert any("O_DIRECT" in note for note in notes)


def test_no_uring(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"the filter was not written for {platform.machine()}")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(9_000_001))
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_URING, str(file)], capture_output=True, text=True, check=True
    )
    buffered, direct, *notes = result.stdout.splitlines()
    assert buffered == direct == pyhash.hash_buffer(file.read_bytes()).root.hex()
    assert any("io_uring" in note for note in notes)


def test_nothing_to_note(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3_000_001))
    notes: list[str] = []
    options = pyhash.Options(reader="mmap", note=notes.append)
    assert pyhash.hash_file(file, options=options).size == 3_000_001
    assert notes == []


def test_cold_data_stays_cold(tmp_path: Path) -> None:
    """`auto` leaves the page cache as it was: what was not in it is not in it afterwards."""
    file = tmp_path / "file"
    data = os.urandom(16 << 20)
    file.write_bytes(data)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if resident_bytes(file):
            pytest.skip("this file system does not let go of its pages (tmpfs does not)")
        notes: list[str] = []
        digest = pyhash.hash_file(file, options=pyhash.Options(note=notes.append))
        assert digest.root == pyhash.hash_buffer(data).root
        if notes:
            pytest.skip(f"this system: {notes}")
        assert resident_bytes(file) == 0
        pyhash.hash_file(file, options=pyhash.Options(reader="buffered"))
        assert resident_bytes(file) == len(data)
    finally:
        os.close(descriptor)


def resident_bytes(file: Path) -> int:
    """Bytes of a file in the page cache, as util-linux counts them."""
    result = subprocess.run(
        ["fincore", "--bytes", "--noheadings", "--output", "RES", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(result.stdout)
