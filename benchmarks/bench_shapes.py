# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of unusual shape: 100,000 small files, one huge sparse file, growing sizes.

Small files against `tar`, which reads the same tree; the others against themselves: time for each
byte and resident memory must not grow with the size. Hashing without signatures, in a process of
its own each time, page cache warm.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from _measure import environment, interleave, spread, table, times_faster, write_result

ROOT = Path(__file__).resolve().parents[1]
SMALL_FILES, SMALL_BYTES = 100_000, 4096
SPARSE_GIB = 32
LINEAR_GIB = (1, 4, 16)


def make_small(directory: Path) -> Path:
    """Write 100,000 files of 4 KiB in 100 directories, unless they are there."""
    if not directory.exists():
        data = os.urandom(SMALL_FILES + SMALL_BYTES)
        for index in range(SMALL_FILES):
            path = directory / f"{index // 1000:03}" / f"{index % 1000:03}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[index : index + SMALL_BYTES])
    return directory


def make_sparse(directory: Path, gib: int) -> Path:
    """One file without a single block."""
    path = directory / f"sparse-{gib}.bin"
    path.touch()
    os.truncate(path, gib << 30)
    return path


class Hash:
    """Hash one file or directory in a process; remembers the peak of its resident memory."""

    def __init__(self, path: Path) -> None:
        self.words = [sys.executable, "-m", "pyhash", "hash", str(path)]
        self.peak_mib = 0.0

    def __call__(self) -> float:
        start = time.perf_counter()
        child = subprocess.Popen(self.words, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"{self.words}: exit code {child.returncode}")
        self.peak_mib = max(self.peak_mib, usage.ru_maxrss / 1024)
        return seconds


def tar(directory: Path) -> float:
    """Read the tree as tar does. (Given /dev/null itself as target, tar would not read.)"""
    start = time.perf_counter()
    subprocess.run(
        ["sh", "-c", 'tar cf - "$1" | cat > /dev/null', "sh", str(directory)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "benchmark")
    options = parser.parse_args()
    small = make_small(options.directory / "small")
    samples = interleave({"pyhash hash": Hash(small), "tar": lambda: tar(small)}, options.rounds)
    table(samples, SMALL_FILES * SMALL_BYTES)
    sparse = {gib: Hash(make_sparse(options.directory, gib)) for gib in (*LINEAR_GIB, SPARSE_GIB)}
    by_size = interleave({str(gib): one for gib, one in sparse.items()}, 3)
    per_byte = {
        gib: spread([1e9 * seconds / (int(gib) << 30) for seconds in values])
        for gib, values in by_size.items()
    }
    for gib, value in per_byte.items():
        print(f"  {gib} GiB: {value['median']:.4f} ns a byte, {sparse[int(gib)].peak_mib:.0f} MiB")
    write_result(
        "shapes",
        {
            "environment": environment(small),
            "rounds": options.rounds,
            "small_files": {
                "files": SMALL_FILES,
                "bytes_each": SMALL_BYTES,
                "seconds": {name: spread(values) for name, values in samples.items()},
                "times_slower_than_tar": times_faster(samples, "tar", "pyhash hash"),
            },
            "sparse": {
                "nanoseconds_per_byte": per_byte,
                "peak_mib": {str(gib): round(one.peak_mib, 1) for gib, one in sparse.items()},
            },
        },
    )


if __name__ == "__main__":
    main()
