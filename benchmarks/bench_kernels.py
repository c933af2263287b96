# SPDX-License-Identifier: Apache-2.0
"""Every kernel that runs here against hashlib, one thread, data in cache and from memory.

Two baselines: hashlib as it is (OpenSSL, which uses the SHA extensions where the processor has
them), and hashlib told to do without them (OPENSSL_ia32cap), which is what processors without
SHA extensions get. Digests are compared with hashlib's before anything is timed.

On x86 also core cycles per byte, by kernel_cycles.c and each compiler that is here: slices of a
span, a clock that is measured around each of them, tenth percentile and median.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _measure import environment, interleave, spread, table, timed, times_faster, write_result

from pyhash import _native

CHUNK = _native.CHUNK_BYTES
CACHED_BYTES = 256 << 10  # half of the smallest second-level cache in use
MEMORY_BYTES = 1 << 30  # more than any last-level cache's share
SLICES = 400  # of each kernel, compiler and place
# Independent additions per cycle around a slice, of at most 6: below, somebody else used the core.
QUIET_WIDTH = 3.5
WITHOUT_SHA = ":~0x20000000"  # bit 29 of CPUID leaf 7 EBX: the SHA extensions

# A process of its own for the second baseline, since OpenSSL decides once, when it is loaded.
CHILD = """
import hashlib, sys, time
size, repeat = int(sys.argv[1]), int(sys.argv[2])
data = bytearray(size)
data[:] = (b"\\x5a" * 4096) * (size // 4096)
view = memoryview(data)
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(repeat):
        for offset in range(0, size, 1 << 20):
            hashlib.sha256(view[offset:offset + (1 << 20)]).digest()
    print(time.perf_counter() - start, flush=True)
"""


def kernel_variant(kernel: str, data: bytes, repeat: int) -> Callable[[], object]:
    """Hash all chunks of the data, `repeat` times."""
    size = min(CHUNK, len(data) // 16)

    def action() -> None:
        for _ in range(repeat):
            _native.hash_messages(data, size, kernel=kernel)

    return action


def hashlib_variant(data: bytes, repeat: int) -> Callable[[], object]:
    """Hash the data in pieces of 1 MiB, `repeat` times."""
    view = memoryview(data)

    def action() -> None:
        for _ in range(repeat):
            for offset in range(0, len(data), 1 << 20):
                hashlib.sha256(view[offset : offset + (1 << 20)]).digest()

    return action


def child_variant(size: int, repeat: int) -> tuple[subprocess.Popen[str], Callable[[], float]]:
    """Start the process without SHA extensions; a variant that asks it for one measurement."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(size), str(repeat)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENSSL_ia32cap": WITHOUT_SHA},
    )

    def variant() -> float:
        assert child.stdin
        assert child.stdout
        child.stdin.write("go\n")
        child.stdin.flush()
        return float(child.stdout.readline())

    return child, variant


def check_digests(names: list[str]) -> None:
    """Refuse to time a kernel that is wrong."""
    data = os.urandom(33 * 4097)
    for name in names:
        found = _native.hash_messages(data, 4097, kernel=name)
        wanted = b"".join(
            hashlib.sha256(data[i * 4097 : (i + 1) * 4097]).digest() for i in range(33)
        )
        if found != wanted:
            sys.exit(f"{name}: wrong digest")


def measure(where: str, size: int, repeat: int, rounds: int) -> dict[str, object]:
    """One place of the data: all kernels and both baselines, interleaved."""
    names = [kernel.name for kernel in _native.kernels() if kernel.supported]
    check_digests(names)
    data = os.urandom(1 << 20) * (size >> 20) if size >= 1 << 20 else os.urandom(size)
    child, without = child_variant(size, repeat)
    variants = {name: timed(kernel_variant(name, data, repeat)) for name in names}
    variants["hashlib"] = timed(hashlib_variant(data, repeat))
    variants["hashlib, no SHA extensions"] = without
    print(f"{where}: {size} bytes x {repeat}")
    samples = interleave(variants, rounds)
    child.kill()
    table(samples, size * repeat)
    return {
        "bytes": size * repeat,
        "seconds": {name: spread(values) for name, values in samples.items()},
        "times_faster": {
            name: {
                peer: times_faster(samples, name, peer) for peer in variants if peer not in names
            }
            for name in names
        },
    }


def build_cycles(compiler: str, directory: Path) -> Path:
    """Compile kernel_cycles.c and the kernels with the flags of the extension."""
    csrc = Path(__file__).resolve().parents[1] / "csrc"
    names = ["cpu_features.c", "dispatch.c", "sha256.c", "kernels/portable.c"]
    sources = [csrc / name for name in names] + sorted((csrc / "kernels" / "x86").glob("*.c"))
    program = directory / f"kernel_cycles-{compiler}"
    command = [compiler, "-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{csrc}", *map(str, sources)]
    own = Path(__file__).with_name("kernel_cycles.c")
    subprocess.run([*command, str(own), "-o", str(program)], check=True)
    return program


def cycles(program: Path, place: str, names: list[str]) -> dict[str, object]:
    """Cycles per byte of each kernel; slices in which somebody else used the core are left out."""
    command = [str(program), place, str(SLICES), "1", *names]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    slices: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for line in output.splitlines():
        name, per_byte, clock, width = line.split()
        if float(width) >= QUIET_WIDTH:
            slices[name].append((float(per_byte), float(clock)))
    found = {}
    for name, values in slices.items():
        ordered = sorted(value for value, _ in values)
        found[name] = {
            "p10": ordered[len(ordered) // 10],
            "median": statistics.median(ordered),
            "quiet_slices": len(ordered),
            "clock_ghz": statistics.median(clock for _, clock in values),
        }
        print(f"  {program.name} {place:6} {name:12} {found[name]}")
    return found


def measure_cycles() -> dict[str, object]:
    """Every compiler, in cache and from memory; and how many of which instruction fit a cycle."""
    names = [one.name for one in _native.kernels() if one.supported and one.name != "portable"]
    result: dict[str, object] = {"slice": "one span, 16 chunks of 64 KiB", "slices": SLICES}
    with tempfile.TemporaryDirectory() as directory:
        for compiler in filter(shutil.which, ("gcc", "clang")):
            program = build_cycles(compiler, Path(directory))
            result[compiler] = {
                "version": subprocess.run(
                    [compiler, "--version"], capture_output=True, text=True, check=True
                ).stdout.splitlines()[0],
                **{place: cycles(program, place, names) for place in ("cache", "memory")},
            }
        ports = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    result["instructions_per_cycle"] = {
        name: float(value) for name, value in (line.split() for line in ports.splitlines())
    }
    return result


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    result: dict[str, object] = {"environment": environment(), "rounds": rounds}
    if platform.machine() == "x86_64":
        result["cycles_per_byte"] = measure_cycles()
    result["cache"] = measure("in cache", CACHED_BYTES, 64, rounds)
    result["memory"] = measure("from memory", MEMORY_BYTES, 1, rounds)
    write_result("kernels", result)


if __name__ == "__main__":
    main()
