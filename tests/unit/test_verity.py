# SPDX-License-Identifier: Apache-2.0
"""The fs-verity digest: published vectors, and Debian's tool at the edges of blocks, levels."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reference

from pyhash import errors, files, verity
from pyhash._native import READERS, Range
from pyhash._native._pieces import hash_verity_blocks
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
SPAN = 1 << 20
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


@pytest.mark.parametrize("size", [SPAN - 1, SPAN, SPAN + 1, 3 * SPAN + 4095, 9 * SPAN + 4097])
@pytest.mark.parametrize("reader", READERS)
def test_pieces_and_readers_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, reader: str
) -> None:
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    monkeypatch.setattr(verity, "PIECE_BYTES", 2 * verity.NODE_BYTES)
    for threads in (1, 2):
        found = hash_verity(tmp_path / "f", options=Options(threads=threads, reader=reader))
        assert found == reference.verity_digest(data)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("reader", READERS)
def test_what_cannot_be_read_ends_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, reader: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(64 << 20))
    pieces: list[int] = []

    def cut(piece: Range, **how: Any) -> bytes:
        os.truncate(path, 0)
        pieces.append(piece.start)
        return hash_verity_blocks(piece, **how)

    monkeypatch.setattr(verity, "hash_verity_blocks", cut)
    with pytest.raises(errors.TruncatedError, match="f: the file ended early at byte 0"):
        hash_verity(path, options=Options(threads=threads, reader=reader))
    assert len(pieces) <= threads


def test_changed_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")

    def change(piece: Range, **how: Any) -> bytes:
        path.write_bytes(b"behind the back")
        return hash_verity_blocks(piece, **how)

    monkeypatch.setattr(verity, "hash_verity_blocks", change)
    with pytest.raises(errors.ChangedWhileReadError):
        hash_verity(path)


# --- the engine's call ----------------------------------------------------------------------------


@pytest.fixture
def piece(tmp_path: Path) -> Iterator[Range]:
    (tmp_path / "f").write_bytes(bytes(5000))
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    yield Range("f", descriptor, 0, 5000)
    os.close(descriptor)


def test_pieces_that_make_no_sense(piece: Range) -> None:
    for start, end in ((4096, 5000), (0, -1), (SPAN, 5), (0, 1 << 63)):
        with pytest.raises(errors.UsageError, match="no piece"):
            hash_verity_blocks(Range("f", piece.source, start, end))
    with pytest.raises(errors.UsageError, match="no reader 'telepathy'"):
        hash_verity_blocks(piece, reader="telepathy")
    with pytest.raises(errors.EngineError, match="kernel"):
        hash_verity_blocks(piece, kernel="none")
    assert hash_verity_blocks(Range("f", piece.source, 0, 0)) == b""


def test_what_is_no_file(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(errors.ReadError, match="d: "):
            hash_verity_blocks(Range("d", descriptor, 0, 5))
    finally:
        os.close(descriptor)
    with pytest.raises(errors.ReadError, match=r"gone: .*errno 9"):
        hash_verity_blocks(Range("gone", descriptor, 0, 5))
