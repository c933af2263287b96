# SPDX-License-Identifier: Apache-2.0
"""Times of verifying sealed files: whole processes, interleaved with ones that do nothing."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyhash
from pyhash import guarantees

RUNS = 15


def measure(
    model: Path, public: Path, command: Callable[..., tuple[int, str]]
) -> dict[str, object]:
    """Measure; raises AssertionError where a verification fails."""
    empty, whole, inside = [], [], []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        empty.append(time.perf_counter() - began)
        began = time.perf_counter()
        code, text = command("verify", model, "--key", public, "--guarantee", "kernel")
        whole.append(time.perf_counter() - began)
        if code != 0:
            raise AssertionError(text)
        began = time.perf_counter()
        proof = pyhash.verify(model, keys=[public], guarantee=guarantees.KERNEL)
        inside.append(time.perf_counter() - began)
        if (proof.guarantee, proof.size) != ("kernel", 0):
            raise AssertionError(f"{proof.guarantee}, {proof.size} bytes hashed")
    files = len(proof.manifest.shards)
    beyond = statistics.median(w - e for w, e in zip(whole, empty, strict=True))
    text = (
        f"{files} sealed files: {_ms(statistics.median(inside))} in a running process;"
        f" pyhash verify takes {_ms(beyond)} beyond python -c pass"
    )
    return {
        "what": "pyhash verify --guarantee kernel of sealed files, in a virtual machine",
        "files": files,
        "bytes": sum(shard.size or 0 for shard in proof.manifest.shards),
        "runs": RUNS,
        "kernel": platform.release(),
        "cpu": _cpu(),
        "interpreter_seconds": empty,
        "command_seconds": whole,
        "verify_seconds": inside,
        "median_beyond_interpreter_seconds": beyond,
        "median_verify_seconds": statistics.median(inside),
        "text": text,
    }


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()
