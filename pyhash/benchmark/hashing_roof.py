# SPDX-License-Identifier: Apache-2.0
"""The roof of hashing: every kernel on 1 to n threads, and each kind of work, out of memory."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass

from pyhash import _native
from pyhash.benchmark.sample import MIB
from pyhash.errors import EngineError

MEMORY_BYTES = 256 * MIB  # more than a core's share of any cache; as one buffer
CHECK_BYTES = 256 << 10

# What each kind of work computes: (span nodes, whole-file digests).
MODES = {"verify": (True, False), "sign": (True, True), "whole-file": (False, True)}


@dataclass(frozen=True, slots=True)
class Hasher:
    """Hashes memory each time it is called; returns bytes per second.

    Attributes:
        mode: A key of ``MODES``.
        kernel: Name of a kernel.
        threads: How many.
        memory: What to hash.
        pieces: As how many files of equal size.
    """

    mode: str
    kernel: str
    threads: int
    memory: bytes
    pieces: int = 1

    @property
    def name(self) -> str:
        """What it is called in results. Raises nothing."""
        return f"memory {self.mode} {self.kernel} x{self.threads}"

    def __call__(self) -> float:
        """Hash.

        Raises:
            EngineError: The kernel failed.
            KeyboardInterrupt: Ctrl-C; nothing is left running.
        """
        piece_bytes = len(self.memory) // self.pieces
        view = memoryview(self.memory)
        ranges = [
            _native.Range("memory", view[start : start + piece_bytes], 0, piece_bytes)
            for start in range(0, piece_bytes * self.pieces, piece_bytes)
        ]
        nodes, digests = MODES[self.mode]
        began = time.perf_counter()
        _native.hash_ranges(
            ranges, span_nodes=nodes, file_digests=digests, threads=self.threads, kernel=self.kernel
        )
        return piece_bytes * self.pieces / (time.perf_counter() - began)


def make_memory(size: int) -> bytes:
    """Return bytes to hash, at least a MiB; the same MiB again and again costs no time to make.

    Raises nothing.
    """
    return os.urandom(MIB) * max(1, min(size, MEMORY_BYTES) // MIB)


def usable_kernels() -> list[str]:
    """Return the kernels that run here, the fastest first, each found right by hashlib.

    Raises:
        EngineError: One computes something else than SHA-256.
    """
    data = os.urandom(CHECK_BYTES)
    names = [kernel.name for kernel, _ in _native.measure_kernels()]
    for name in names:
        if _native.hash_messages(data, len(data), kernel=name) != hashlib.sha256(data).digest():
            raise EngineError(
                f"kernel {name}: a digest is not what hashlib says; use no digest of it"
            )
    return names
