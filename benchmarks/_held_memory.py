# SPDX-License-Identifier: Apache-2.0
"""Keeps the memory of a virtual machine from going back to its host between measurements.

What others have left in the page cache is dropped first, where this process may do that (root):
else the first loader would pay for taking it back.

A host may take back what its guest has free and give it out again page by page, slower than any
loader loads. A process of ours takes all that is free, and lets go of a piece whenever little is
left: who is measured finds memory that the machine has, as on a machine of its own.
"""

from __future__ import annotations

import mmap
import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType

PIECE_BYTES = 128 << 20
LEAST_FREE_BYTES = 1536 << 20  # below this a piece is let go of; less would make huge pages scarce
MOST_FREE_BYTES = LEAST_FREE_BYTES + 2 * PIECE_BYTES
LOOK_SECONDS = 0.002  # in this time nobody can use up what is left free
POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, Linux 5.14


class HeldMemory:
    """A context: while it is open, free memory stays with this machine."""

    def __enter__(self) -> HeldMemory:
        os.sync()
        try:
            Path("/proc/sys/vm/drop_caches").write_text("1")
        except OSError as error:
            print(f"  the page cache could not be dropped: {error.strerror}", flush=True)
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        return self

    def take(self) -> None:
        """Take what is free now: before each measurement."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        if self._process.stdout.readline() != b"taken\n":
            raise SystemExit("nobody holds the memory")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _free_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemFree:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no MemFree")


def _piece() -> mmap.mmap:
    area = mmap.mmap(-1, PIECE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_HUGEPAGE)
    area.madvise(POPULATE_WRITE)
    return area


def main() -> None:
    pieces: list[mmap.mmap] = []
    while True:
        if select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            if not sys.stdin.buffer.raw.read(1):  # type: ignore[attr-defined]
                return
            while _free_bytes() > MOST_FREE_BYTES:
                pieces.append(_piece())
            print("taken", flush=True)
        while pieces and _free_bytes() < LEAST_FREE_BYTES:
            pieces.pop().close()


if __name__ == "__main__":
    main()
