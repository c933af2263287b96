# SPDX-License-Identifier: Apache-2.0
"""Sealing and measuring: the requests, what every answer of the kernel comes to, and this kernel's
own answer where there is no fs-verity.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyhash import files, sealing
from pyhash.errors import ChangedWhileReadError, SealError
from tests.support import verity_kernel
from tests.support.verity_kernel import VerityKernel

HELLO = bytes.fromhex("9c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa")
EMPTY = bytes.fromhex("3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> VerityKernel:
    return VerityKernel.in_place(monkeypatch)


@pytest.fixture
def listing(tmp_path: Path) -> files.Listing:
    (tmp_path / "a").write_bytes(b"hello\n")
    (tmp_path / "b").write_bytes(b"")
    return files.list_checkpoint(tmp_path, lambda _: False)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A file on tmpfs, which has no fs-verity under any kernel."""
    path = Path(f"/dev/shm/pyhash-test-{os.getpid()}")
    path.write_bytes(b"hello\n")
    yield path
    path.unlink()


def test_requests_are_those_of_the_header() -> None:
    assert sealing.FS_IOC_ENABLE_VERITY == verity_kernel.FS_IOC_ENABLE_VERITY
    assert sealing.FS_IOC_MEASURE_VERITY == verity_kernel.FS_IOC_MEASURE_VERITY


def test_this_kernel_says_that_tmpfs_has_none(memory: Path) -> None:
    listing = files.list_checkpoint(memory, lambda _: False)
    for attempt in (
        lambda: sealing.measure_listing(listing),
        lambda: sealing.seal_listing(listing, [HELLO]),
    ):
        with pytest.raises(SealError, match=r"no fs-verity on its file system \(tmpfs\)") as caught:
            attempt()
        assert caught.value.errno in (errno.ENOTTY, errno.EOPNOTSUPP)
        assert caught.value.path == memory.name


def test_seal_and_measure(listing: files.Listing, kernel: VerityKernel) -> None:
    assert sealing.measure_listing(listing) == [None, None]
    assert sealing.seal_listing(listing, [HELLO, EMPTY]) == 2
    assert sealing.measure_listing(listing) == [HELLO, EMPTY]
    assert sealing.seal_listing(listing, [HELLO, EMPTY]) == 0


def test_sealed_by_somebody_else_meanwhile(listing: files.Listing, kernel: VerityKernel) -> None:
    kernel.enable_error = errno.EEXIST
    assert sealing.seal_listing(listing, [HELLO, EMPTY]) == 2


def test_other_content_than_was_hashed(listing: files.Listing, kernel: VerityKernel) -> None:
    with pytest.raises(ChangedWhileReadError, match="a: sealed with other content") as caught:
        sealing.seal_listing(listing, [EMPTY, EMPTY])
    (finding,) = caught.value.findings
    assert (finding.code, finding.path) == ("changed", "a")
    assert (finding.expected, finding.actual) == (EMPTY.hex(), HELLO.hex())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ETXTBSY, "is open for writing somewhere"),
        (errno.EACCES, "the right to write"),
        (errno.EPERM, "append-only or immutable"),
        (errno.EROFS, "mounted read-only"),
        (errno.ENOSPC, "no room"),
        (errno.EDQUOT, "quota"),
        (errno.EOPNOTSUPP, "no fs-verity on its file system"),
        (errno.ENOTTY, "no fs-verity on its file system"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_refusals_name_file_and_cause(
    listing: files.Listing, kernel: VerityKernel, number: int, words: str
) -> None:
    kernel.enable_error = number
    with pytest.raises(SealError, match=f"^a: .*{words}") as caught:
        sealing.seal_listing(listing, [HELLO, EMPTY])
    assert (caught.value.errno, caught.value.path) == (number, "a")


def test_kernel_that_says_it_sealed_and_did_not(
    listing: files.Listing, kernel: VerityKernel
) -> None:
    kernel.forgetful = True
    with pytest.raises(SealError, match="does not measure it"):
        sealing.seal_listing(listing, [HELLO, EMPTY])


@pytest.mark.parametrize("sealed", [(2, bytes(64)), (2, bytes(32)), (1, bytes(64))])
def test_other_algorithm(
    listing: files.Listing, kernel: VerityKernel, sealed: tuple[int, bytes]
) -> None:
    status = os.stat(Path(listing.location, "b"))
    kernel.sealed[status.st_dev, status.st_ino] = sealed
    with pytest.raises(SealError, match=rf"^b: is sealed with .* algorithm {sealed[0]}"):
        sealing.measure_listing(listing)


def test_file_system_names(tmp_path: Path, memory: Path) -> None:
    mounts = tmp_path / "mounts"
    with memory.open("rb") as file:
        assert sealing.file_system(file.fileno()) == "tmpfs"
        device = os.fstat(file.fileno()).st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        mounts.write_text(f"1 1 0:999 / /x rw - ext4 a rw\n2 1 {number} / /y rw - odd b rw\n")
        assert sealing.file_system(file.fileno(), mounts) == "odd"
        mounts.write_text("nonsense\n")
        assert sealing.file_system(file.fileno(), mounts) == "not known"
        assert sealing.file_system(file.fileno(), tmp_path / "none") == "not known"
    assert sealing.file_system(-1) == "not known"
