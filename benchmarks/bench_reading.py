# SPDX-License-Identifier: Apache-2.0
"""The readers against each other and against plain reading, page cache warm and cold.

Cold: every page of the files is dropped (posix_fadvise) before each measurement, and seen to be
gone. System time is reported too, since it is what a model server would miss. The roof is reading
the same files with `cat`, and, cold, with fio (O_DIRECT, io_uring) at three depths.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _measure import environment, interleave, spread, table, times_faster, write_result

from pyhash import _native, hashing

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.checkpoints import make_hf_checkpoint  # noqa: E402

FIO_DEPTHS = (4, 16, 64)


def drop_pages(paths: list[Path]) -> None:
    """Let the files be cold; stop where the file system does not let go of pages."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    fincore = ["fincore", "--bytes", "--noheadings", "--output", "RES", *map(str, paths)]
    left = sum(map(int, subprocess.run(fincore, capture_output=True, check=True).stdout.split()))
    if left > sum(path.stat().st_size for path in paths) // 100:
        sys.exit(f"{left} bytes stay in the page cache: this file system cannot be measured cold")


class Reader:
    """Hash all files by one reader; remembers the system time of each run."""

    def __init__(self, paths: list[Path], reader: str, cold: bool, expected: list[bytes]) -> None:
        self.paths, self.reader, self.cold, self.expected = paths, reader, cold, expected
        self.system_seconds: list[float] = []

    def __call__(self) -> float:
        if self.cold:
            drop_pages(self.paths)
        descriptors = [os.open(path, os.O_RDONLY) for path in self.paths]
        ranges = [
            _native.Range(str(path), descriptor, 0, path.stat().st_size)
            for path, descriptor in zip(self.paths, descriptors, strict=True)
        ]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
        start = time.perf_counter()
        found = _native.hash_ranges(
            ranges, threads=hashing.Options().thread_count(), reader=self.reader
        )
        seconds = time.perf_counter() - start
        self.system_seconds.append(resource.getrusage(resource.RUSAGE_SELF).ru_stime - before)
        for descriptor in descriptors:
            os.close(descriptor)
        if [one.span_nodes for one in found] != self.expected:
            sys.exit(f"{self.reader}: wrong nodes")
        return seconds


def cat(paths: list[Path], cold: bool) -> Callable[[], float]:
    """Read all files by `cat`, one process."""

    def variant() -> float:
        if cold:
            drop_pages(paths)
        start = time.perf_counter()
        subprocess.run(["cat", *map(str, paths)], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start

    return variant


def fio(paths: list[Path], depth: int) -> Callable[[], float]:
    """Read all files once by fio, past the page cache; the time is that which fio says."""
    words = [
        *("fio", "--name=read", "--readonly", "--rw=read", "--direct=1", "--ioengine=io_uring"),
        *(
            "--bs=1m",
            f"--iodepth={depth}",
            "--output-format=json",
            "--file_service_type=sequential",
        ),
        "--filename=" + ":".join(str(path).replace(":", "\\:") for path in paths),
    ]

    def variant() -> float:
        drop_pages(paths)
        output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        read = json.loads(output[output.index("{") :])["jobs"][0]["read"]
        if read["io_bytes"] != sum(path.stat().st_size for path in paths):
            sys.exit(f"fio read {read['io_bytes']} bytes")
        return float(read["runtime"]) / 1000

    return variant


def measure(paths: list[Path], cold: bool, rounds: int) -> dict[str, object]:
    """All readers and the roof, interleaved."""
    expected = [
        hashing.hash_file(path, options=hashing.Options(kernel="portable", reader="buffered"))
        for path in paths
    ]
    nodes = [digest.span_nodes for digest in expected]
    readers = {name: Reader(paths, name, cold, nodes) for name in _native.READERS}
    print("cold" if cold else "warm")
    roofs = {"cat": cat(paths, cold)}
    if cold and shutil.which("fio"):
        roofs |= {f"fio, depth {depth}": fio(paths, depth) for depth in FIO_DEPTHS}
    samples = interleave({**readers, **roofs}, rounds)
    table(samples, sum(path.stat().st_size for path in paths))
    return {
        "seconds": {name: spread(values) for name, values in samples.items()},
        "system_seconds": {name: spread(one.system_seconds) for name, one in readers.items()},
        "auto_times_faster": {
            name: times_faster(samples, "auto", name) for name in samples if name != "auto"
        },
    }


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "benchmark")
    options = parser.parse_args()
    model = options.directory / f"reading-{options.gib:g}gib-{options.shards}"
    if not model.exists():
        make_hf_checkpoint(
            model, shards=options.shards, shard_bytes=int(options.gib * 2**30 / options.shards)
        )
    paths = sorted(model.glob("*.safetensors"))
    write_result(
        "reading",
        {
            "environment": environment(model),
            "bytes": sum(path.stat().st_size for path in paths),
            "rounds": options.rounds,
            "warm": measure(paths, False, options.rounds),
            "cold": measure(paths, True, options.rounds),
        },
    )


if __name__ == "__main__":
    main()
