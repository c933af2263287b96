# SPDX-License-Identifier: Apache-2.0
"""Whole-file SHA-256, one serial digest for each file; baseline: hashlib on one thread a file."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyhash import _native
from pyhash.digests import hash_files
from pyhash.hashing import Options
from pyhash.processors import usable_processors

KERNELS = [kernel.name for kernel in _native.kernels() if kernel.supported]


@pytest.mark.parametrize("kernel", [None, *KERNELS])
def test_whole_file(kernel: str | None, files: Any, measure: Any) -> None:
    options = Options(kernel=kernel)
    found = measure(
        lambda: hash_files(files.paths, options=options),
        size=files.size,
        cache="warm",
        kernel=kernel or "chosen by pyhash",
    )
    assert tuple(one.digest for one in found) == files.digests


def test_hashlib(files: Any, measure: Any) -> None:
    threads = usable_processors()
    with ThreadPoolExecutor(threads) as pool:
        found = measure(
            lambda: tuple(pool.map(file_digest, files.paths)),
            size=files.size,
            cache="warm",
            kernel="hashlib",
            threads=threads,
        )
    assert found == files.digests


def file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
