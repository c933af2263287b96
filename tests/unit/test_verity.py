# SPDX-License-Identifier: Apache-2.0
"""The fs-verity digest: published vectors, and Debian's tool at the edges of blocks, levels."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import reference

from pyhash import errors, files, verity
from pyhash.hashing import Options
from pyhash.verity import hash_verity, hash_verity_listing

VECTORS = [
    (b"", "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
    (b"hello\n", "9c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa"),
    (bytes(1 << 20), "feb19a23e72cb1b8f935d668a09ecaad0bf7c5b9cdfa6dbba7c88a9998ed2b87"),
    (
        bytes((i % 11 + i % 439 + i % 1103) % 256 for i in range(1_000_000)),
        "48df0c462329cd879661bd05b39aa81b05cc16afd27a7196a559da83531d39d9",
    ),
]
SIZES = [1, 4095, 4096, 4097, 8192, 128 * 4096, 128 * 4096 + 1, (1 << 20) + 5, 128 * 128 * 4096 + 1]


@pytest.mark.parametrize(("data", "digest"), VECTORS, ids=["empty", "hello", "zeros", "upstream"])
def test_published_vectors(tmp_path: Path, data: bytes, digest: str) -> None:
    (tmp_path / "f").write_bytes(data)
    assert hash_verity(tmp_path / "f").hex() == digest
    assert reference.verity_digest(data).hex() == digest


def test_fsverity_utils_agree(tmp_path: Path) -> None:
    tool = shutil.which("fsverity")
    if tool is None:
        pytest.skip("fsverity is not installed: apt-get install fsverity")
    for size in SIZES:
        path = tmp_path / str(size)
        path.write_bytes(os.urandom(size))
        done = subprocess.run(
            [tool, "digest", "--compact", path], capture_output=True, text=True, check=True
        )
        assert hash_verity(path, options=Options(threads=2)).hex() == done.stdout.strip()


def test_directory_is_none(tmp_path: Path) -> None:
    with pytest.raises(errors.ReadError, match="a directory"):
        hash_verity(tmp_path)


@pytest.mark.parametrize("threads", [1, 3])
def test_files_of_a_listing_in_their_order(tmp_path: Path, threads: int) -> None:
    for number, (data, _) in enumerate(VECTORS):
        (tmp_path / f"{number}").write_bytes(data)
    listing = files.list_checkpoint(tmp_path, lambda _: False)
    found = hash_verity_listing(listing, options=Options(threads=threads))
    assert [one.hex() for one in found] == [digest for _, digest in VECTORS]


def test_a_piece_boundary_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, digest = VECTORS[3]
    (tmp_path / "f").write_bytes(data)
    monkeypatch.setattr(verity, "PIECE_BYTES", verity.NODE_BYTES)
    monkeypatch.setattr(verity, "READ_BYTES", 3 * 4096)
    assert hash_verity(tmp_path / "f", options=Options(threads=2)).hex() == digest


@pytest.mark.parametrize("threads", [1, 2])
def test_what_cannot_be_read_ends_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    (tmp_path / "f").write_bytes(bytes(64 << 20))
    calls: list[int] = []

    def end(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        calls.append(offset)
        return 0

    monkeypatch.setattr(os, "preadv", end)
    with pytest.raises(errors.TruncatedError, match="ends at byte"):
        hash_verity(tmp_path / "f", options=Options(threads=threads))
    assert len(calls) <= threads


def test_short_reads_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, digest = VECTORS[3]
    (tmp_path / "f").write_bytes(data)
    real = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda one, buffers, offset: real(one, [buffers[0][:5000]], offset)
    )
    assert hash_verity(tmp_path / "f").hex() == digest


def test_changed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    real = os.preadv

    def change(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        path.write_bytes(b"behind the back")
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", change)
    with pytest.raises(errors.ChangedWhileReadError):
        hash_verity(path)
