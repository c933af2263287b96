# SPDX-License-Identifier: Apache-2.0
"""Each kernel on one core, chunks in the cache and from memory; baseline: hashlib."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from pyhash import _native

CACHED_BYTES = 256 << 10  # half of the smallest second-level cache in use
KERNELS = [kernel.name for kernel in _native.kernels() if kernel.supported]


def messages(where: str, request: pytest.FixtureRequest) -> tuple[bytes, int]:
    if where == "cache":
        return os.urandom(CACHED_BYTES), CACHED_BYTES // 16
    size = request.config.getoption("--size-mib") << 20
    return os.urandom(1 << 20) * (size >> 20), _native.CHUNK_BYTES


@pytest.mark.parametrize("where", ["cache", "memory"])
@pytest.mark.parametrize("kernel", [*KERNELS, "hashlib"])
def test_kernel(kernel: str, where: str, measure: Any, request: pytest.FixtureRequest) -> None:
    data, size = messages(where, request)
    view = memoryview(data)
    starts = range(0, len(data), size)

    def by_hashlib() -> bytes:
        return b"".join(hashlib.sha256(view[at : at + size]).digest() for at in starts)

    def by_kernel() -> bytes:
        return _native.hash_messages(data, size, kernel=kernel)

    action = by_hashlib if kernel == "hashlib" else by_kernel
    found = measure(action, size=len(data), kernel=kernel, cache=where, threads=1)
    assert found == by_hashlib()
