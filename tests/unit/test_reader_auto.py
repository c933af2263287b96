# SPDX-License-Identifier: Apache-2.0
"""The default reader hashes what a loader would get: cached pages, whatever the drive holds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pyhash.hashing import Options, hash_file
from tests.support.loop_image import Unavailable, loop_image

SIZE = 8 << 20
PAGE = 4096
# Kept in the page cache together with the page in question: next to nothing of a piece of 4 MiB.
CACHED = 16 * PAGE


def test_cached_page_that_differs_from_the_drive(tmp_path: Path) -> None:
    signed, other = os.urandom(PAGE), os.urandom(PAGE)
    try:
        with loop_image(tmp_path) as image:
            path = image.root / "weights"
            path.write_bytes(other + os.urandom(SIZE - PAGE))
            expected = hashlib.sha256(path.read_bytes()).digest()
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.sync()
                os.posix_fadvise(file.fileno(), CACHED, 0, os.POSIX_FADV_DONTNEED)
                _write_below(image.backing, other, signed)
                found = hash_file(path, file_digest=True, options=Options(threads=1))
                assert os.pread(file.fileno(), PAGE, 0) == other, "the page was not cached"
            assert found.file_digest == expected
            assert found.root == hash_file(path, options=Options(reader="buffered")).root
    except Unavailable as error:
        pytest.skip(str(error))


def _write_below(image: Path, old: bytes, new: bytes) -> None:
    """Replace a page on the drive, without the file system knowing."""
    at = image.read_bytes().index(old)
    with image.open("r+b") as file:
        file.seek(at)
        file.write(new)
        file.flush()
        os.fsync(file.fileno())
