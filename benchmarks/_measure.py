# SPDX-License-Identifier: Apache-2.0
"""What every benchmark needs: interleaved rounds, median and spread, and a result file.

A shared machine's clock says little; the ratio of two things that took turns within one run says
much. So variants run in a new random order in every round, ratios are taken round by round, and
what is reported of them is the median with minimum and maximum.
"""

from __future__ import annotations

import compileall
import json
import os
import platform
import random
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pyhash import _native

RESULTS = Path(__file__).parent / "results"
SEED = 20261123


def keep_bytecode() -> None:
    """Let every process find compiled modules, as those that pip installed are.

    The peers' are compiled when they are installed; ours, installed in place, would be compiled by
    each process anew where the environment forbids to write bytecode.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(str(Path(_native.__file__).parents[1]), quiet=1)


keep_bytecode()


def interleave(
    variants: dict[str, Callable[[], float]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Run every variant once a round, in random order; return the seconds of each."""
    order = random.Random(SEED)
    if warm_up:
        for variant in variants.values():
            variant()
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        names = list(variants)
        order.shuffle(names)
        for name in names:
            samples[name].append(variants[name]())
        print(f"  round {number + 1} of {rounds}", flush=True)
    return samples


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """Return a variant that takes the wall time of an action."""

    def variant() -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return variant


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def times_faster(samples: dict[str, list[float]], name: str, peer: str) -> dict[str, float]:
    """How many times faster ``name`` was than ``peer``, from the ratios of single rounds."""
    return spread([b / a for a, b in zip(samples[name], samples[peer], strict=True)])


def _commit() -> str:
    """The commit, and whether code was changed since: then it cannot give the numbers."""
    code = ("pyhash", "csrc", "benchmarks/*.py")
    changed = first_line("git", "status", "--porcelain", "--untracked-files=all", "--", *code)
    name = first_line("git", "rev-parse", "--short", "HEAD")
    return name if changed == "unknown" else f"{name}-changed"  # unknown: nothing was printed


def environment(directory: Path | None = None) -> dict[str, object]:
    """The machine, as far as it matters to the numbers."""
    info = Path("/proc/cpuinfo").read_text()
    found = re.search(r"model name\s*:\s*(.*)", info)
    family = re.findall(r"(?:cpu family|model|stepping)\s*:\s*(\d+)", info)[:3]
    return {
        "processor_class": processor_class(info),
        "processor": found.group(1) if found else platform.processor(),
        "family_model_stepping": family,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernels": {
            kernel.name: "runs here" if kernel.supported else "processor lacks it"
            for kernel in _native.kernels()
        },
        "fastest_kernel": _native.measure_kernels()[0][0].name,
        "compiler": first_line("gcc", "--version"),
        "python": platform.python_version(),
        "openssl": first_line("openssl", "version"),
        "system": platform.release(),
        "file_system": first_line("stat", "-f", "-c", "%T", str(directory)) if directory else None,
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


def processor_class(cpuinfo: str) -> str | None:
    """What a virtual machine's processor must be, where its name and model number do not say.

    AMX came together with AVX512-FP16 in Sapphire Rapids, so this also names its successors.
    """
    flags = set(re.findall(r"\S+", (re.findall(r"^flags\s*:(.*)", cpuinfo, re.M) or [""])[0]))
    if {"amx_int8", "avx512_fp16"} <= flags:
        return "intel-sapphire-rapids"
    return None


def first_line(*command: str) -> str:
    """First line that a command prints, or that it is missing."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{command[0]}: not installed"
    return (result.stdout or result.stderr).splitlines()[0] if result.stdout else "unknown"


def write_result(name: str, result: dict[str, object]) -> Path:
    """Write a result file, named after the benchmark and the processor."""
    where = result["environment"]
    processor = "unknown"
    if isinstance(where, dict):
        processor = str(where.get("processor_class") or where["processor"])
    slug = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    path = RESULTS / f"{name}-{slug}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path.relative_to(RESULTS.parents[1])}")
    return path


def table(samples: dict[str, list[float]], size: int) -> None:
    """Print seconds and decimal GB/s of each variant."""
    for name, values in samples.items():
        one = spread(values)
        print(
            f"  {name:34} {one['median']:8.4f} s [{one['min']:.4f} {one['max']:.4f}]"
            f"  {size / one['median'] / 1e9:7.2f} GB/s"
        )
