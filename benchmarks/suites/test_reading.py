# SPDX-License-Identifier: Apache-2.0
"""The engine's readers, page cache warm and cold; baseline: reading the same files and no more."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyhash import Options, _native
from pyhash.benchmark.page_cache import drop_pages, resident_share
from pyhash.hashing import hash_file


@pytest.mark.parametrize("cache", ["warm", "cold"])
@pytest.mark.parametrize("reader", [*_native.READERS, "read() alone"])
def test_reader(reader: str, cache: str, files: Any, measure: Any) -> None:
    names = [str(path) for path in files.paths]
    sizes = [path.stat().st_size for path in files.paths]
    left: list[float | None] = []

    def make_cold() -> None:
        drop_pages(names)
        left.append(resident_share(names, sizes))

    def read_alone() -> int:
        return sum(count_bytes(name) for name in names)

    def by_reader() -> list[bytes]:
        options = Options(reader=reader)
        return [hash_file(name, options=options).root for name in names]

    conditions: dict[str, Any] = {"cache": cache, "reader": reader}
    if cache == "cold":
        conditions["setup"] = make_cold
    found = measure(
        read_alone if reader == "read() alone" else by_reader, size=files.size, **conditions
    )
    if reader == "read() alone":
        assert found == files.size
    else:
        options = Options(reader="buffered", kernel="portable", threads=1)
        assert found == [hash_file(name, options=options).root for name in names]
    if left and left[-1]:
        pytest.skip(f"not cold: {left[-1]:.0%} of the pages stayed in the page cache")


def count_bytes(name: str) -> int:
    buffer, total = bytearray(1 << 20), 0
    with open(name, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := file.readinto(buffer):
            total += count
    return total
