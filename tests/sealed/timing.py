# SPDX-License-Identifier: Apache-2.0
"""Times of verifying sealed files within a process, beside the start of an interpreter: under
software emulation both are slow, and only what one is in terms of the other says something.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyhash
from pyhash import guarantees

RUNS = 15


def measure(model: Path, public: Path) -> dict[str, object]:
    """Measure; raises what a verification does, and AssertionError where it is another one."""
    empty, inside = [], []
    for run in range(RUNS):
        if run % 3 == 0:
            began = time.perf_counter()
            subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
            empty.append(time.perf_counter() - began)
        began = time.perf_counter()
        proof = pyhash.verify(model, keys=[public], guarantee=guarantees.KERNEL)
        inside.append(time.perf_counter() - began)
        if (proof.guarantee, proof.size) != ("kernel", 0):
            raise AssertionError(f"{proof.guarantee}, {proof.size} bytes hashed")
    verified, started = statistics.median(inside), statistics.median(empty)
    files = len(proof.manifest.shards)
    return {
        "what": "pyhash.verify, guarantee kernel, of sealed files in a virtual machine",
        "files": files,
        "bytes": sum(shard.size or 0 for shard in proof.manifest.shards),
        "kernel": platform.release(),
        "cpu": _cpu(),
        "seconds": {
            "python -c pass": _spread(empty),
            f"pyhash.verify of {files} sealed files": _spread(inside),
        },
        "verify_per_interpreter_start": verified / started,
        "text": f"{files} sealed files: {verified * 1000:.0f} ms,"
        f" {verified / started:.2f} times what python -c pass takes there",
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()
