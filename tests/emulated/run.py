# SPDX-License-Identifier: Apache-2.0
"""Every kernel and the dispatcher on processors that this machine is not (`make emulated`).

    run.py [--strict]     --strict: fail when anything could not be tried

Emulation proves digests, choices and refusals, never speed. Ends with a report that names every
kernel and says how it ran, and with what did not run and why.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import _tools
from _models import ARM64, ARM64_WITHOUT_SHA2, X86, Model
from _tools import BUILD, ROOT, run

sys.path.insert(0, str(ROOT / "tests"))
import reference

HERE = Path(__file__).resolve().parent
C_TESTS = ROOT / "tests/c"
VECTORS = C_TESTS / "build/cavp.txt"
# What call_kernel hashes.
BLOCK_DIGEST = sha256(b"a" * 64).hexdigest()
# The engine's own tests, for ARM, with their arguments: the longest first.
ENGINE_TESTS = (
    "test_engine quick",
    "test_faults quick",
    "fuzz_engine 200",
    "test_calls",
    "test_verity_blocks",
    "test_xxh3_spans",
    "test_readers",
    "test_sigbus",
)
# Shards of the checkpoint that Python hashes: around block, chunk and span, and more than one span.
SIZES = (0, 1, 55, 56, 64, 65_535, 65_536, 65_537, 200_000, 1_048_576, 2_167_232)


# What it is called, and what does it: None, or what went wrong.
Job = tuple[str, Callable[[], str | None]]


@dataclass
class Report:
    """What has been found out so far; jobs add to it from several threads."""

    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    native: dict[str, list[str]] = field(default_factory=dict)
    emulated: dict[str, list[Model]] = field(default_factory=dict)
    every_length: set[tuple[str, Model]] = field(default_factory=set)
    illegal: int = 0

    def run_all(self, jobs: list[Job]) -> None:
        """Run jobs side by side, started in their order."""

        def one(job: Job) -> None:
            name, work = job
            start = time.monotonic()
            try:
                failure = work()
            except (subprocess.TimeoutExpired, OSError) as error:
                failure = str(error)
            seconds = time.monotonic() - start
            print(f"{name:<52} {f'FAILED: {failure}' if failure else f'{seconds:5.1f} s'}")
            with self.lock:
                self.passed += not failure
                self.failures += [f"{name}: {failure}"] if failure else []

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, jobs))


def build_call_kernel(compiler: str, name: str) -> Path:
    """Build the engine and call_kernel by one plain compiler command."""
    target = BUILD / name
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = [*sorted((ROOT / "csrc").rglob("*.c")), HERE / "call_kernel.c"]
    flags = ["-std=c11", "-O2", "-D_GNU_SOURCE", f"-I{ROOT / 'csrc'}"]
    need(run(*compiler.split(), *flags, *sources, "-pthread", "-o", target))
    return target


def build_tests(folder: str, names: Iterable[str], *settings: str) -> Path:
    """Build some of the C tests; the folder that they are in."""
    targets = [f"build/{folder}/{name}" for name in names]
    settings = (f"PYTHON={sys.executable}", f"BUILD=build/{folder}", *settings)
    need(run("make", "-C", C_TESTS, f"-j{os.cpu_count()}", *settings, *targets, "build/cavp.txt"))
    return C_TESTS / "build" / folder


class UnbuiltError(Exception):
    """A command failed that must work before anything can be tested."""


def need(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return the result of a command that worked."""
    if result.returncode:
        raise UnbuiltError(f"{' '.join(result.args)}: {ended(result)}")
    return result


def ended(result: subprocess.CompletedProcess[str]) -> str:
    """Say how a program ended, for a message."""
    code = result.returncode
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"{how}: {(result.stdout + result.stderr).strip()[-600:]}"


# --- jobs ---------------------------------------------------------------------------------------


def dispatch(report: Report, model: Model, emulator: Path, call: Path) -> str | None:
    """The dispatcher offers what the table says; all else dies of SIGILL when called past it."""
    wanted = model.kernels | {"portable"}
    listing = run(emulator, "-cpu", model.cpu, call, timeout=60)
    lines = [line.split() for line in listing.stdout.splitlines()]
    if listing.returncode or not lines or lines[-1][0] != "chosen":
        return ended(listing)
    found = dict(lines[:-1])
    offered = [name for name, answer in found.items() if answer != "refused"]
    if set(offered) != wanted or any(found[name] != BLOCK_DIGEST for name in offered):
        return f"{found} where {sorted(wanted)} were expected ({model.because})"
    if lines[-1][1] != offered[0]:
        return f"chose {lines[-1][1]} of {offered}"
    for name in found:
        direct = run(emulator, "-cpu", model.cpu, call, name, timeout=60)
        if name in wanted and direct.stdout.split() != [name, BLOCK_DIGEST]:
            return f"{name} called directly: {ended(direct)}"
        if name not in wanted and direct.returncode != -signal.SIGILL:
            return f"{name} called directly did not die of SIGILL: {ended(direct)}"
    with report.lock:
        report.illegal += len(found) - len(offered)
        for name in offered:
            report.emulated.setdefault(name, []).append(model)
    return None


def every_length(report: Report, model: Model, emulator: Path, program: Path) -> str | None:
    """NIST's vectors, every length, guard pages, by the model's kernels for that."""
    kernels = model.all_lengths
    result = run(emulator, "-cpu", model.cpu, program, VECTORS, "emulated", *kernels)
    words = [line.split() for line in result.stdout.splitlines()]
    ran = {
        name for kernel, name, *how in words if kernel == "kernel" and how == ["ran", "emulated"]
    }
    if result.returncode or ran != set(kernels):
        return ended(result)
    report.every_length.update((name, model) for name in kernels)
    return None


def extension(model: Model, emulator: Path, case: Path) -> str | None:
    """The real extension in an emulated CPython."""
    result = run(emulator, "-cpu", model.cpu, sys.executable, HERE / "in_guest.py", case)
    return ended(result) if result.returncode or not result.stdout.strip().isdigit() else None


def command_line(model: Model, emulator: Path, folder: Path, root: str) -> str | None:
    """The command hashes; forcing a kernel that is not for this processor is exit code 3."""
    command = [emulator, "-cpu", model.cpu, sys.executable, "-m", "pyhash", "hash", "--quiet"]
    result = run(*command, folder)
    if result.returncode or root not in result.stdout:
        return ended(result)
    forced = run(*command, "--kernel", "avx512_x16", folder)
    return None if forced.returncode == 3 else f"a kernel was forced: {ended(forced)}"


def program(emulator: Path, folder: Path, words: str) -> str | None:
    """One of the engine's own C tests, with its arguments."""
    name, *arguments = words.split()
    result = run(emulator, "-cpu", "max", folder / name, *arguments)
    return ended(result) if result.returncode else None


# --- the parts ----------------------------------------------------------------------------------


def on_this_machine(report: Report, _: Path) -> None:
    """Which kernels run natively here, and which only over a model of their instructions."""
    folder = build_tests("default", ["test_kernels"])
    result = need(run(folder / "test_kernels", VECTORS, "quick"))
    for line in result.stdout.splitlines():
        if line.startswith("kernel "):
            _, name, how = line.split(maxsplit=2)
            report.native.setdefault(name, []).append(how)
    report.passed += 1


def write_case(folder: Path) -> dict[str, object]:
    """Lay out a checkpoint and what must come of it, computed here, outside of any emulation."""
    pattern = b"".join(sha256(bytes([i])).digest() for i in range(251))
    shards = {f"shard-{size}": (pattern * (size // len(pattern) + 1))[:size] for size in SIZES}
    folder.mkdir()
    for name, data in shards.items():
        (folder / name).write_bytes(data)
    nodes = pattern[:64]
    return {
        "folder": str(folder),
        "cavp": str(VECTORS),
        "root": reference.checkpoint_root(shards).hex(),
        "nodes": nodes.hex(),
        "parent": sha256(b"\1" + nodes).hexdigest(),
        "digests": {
            name: {"root": reference.shard_root(data).hex(), "sha256": sha256(data).hexdigest()}
            for name, data in shards.items()
        },
    }


def on_x86(report: Report, place: Path) -> None:
    """The C kernel tests, the dispatcher and the extension on x86 models."""
    if platform.machine() != "x86_64":
        report.not_tried.append("every x86 kernel: this machine has no compiler for x86")
        return
    call = build_call_kernel("cc", "call_kernel-x86")

    def refusal(emulator: Path) -> str | None:
        for kernel in ("shani", "avx2_x8"):
            result = run(emulator, "-cpu", "max", call, kernel, timeout=60)
            if BLOCK_DIGEST not in result.stdout:
                return f"{kernel} on max: {ended(result)}"
        return None

    emulator = _tools.emulator("qemu-x86_64", _tools.NEW, refusal, report.notes)
    if not emulator:
        report.not_tried.append("every x86 kernel under emulation: no emulator")
        return
    case = write_case(place / "checkpoint")
    test_kernels = C_TESTS / "build/default/test_kernels"
    with_python = [model for model in X86 if model.python]
    at_the_command_line = (with_python[0], with_python[-1])
    jobs: list[Job] = []
    for model in X86:
        name = f"x86 {model.cpu}"
        if model.all_lengths:
            work = partial(every_length, report, model, emulator, test_kernels)
            jobs.append((f"{name}: every length", work))
        if model.python:
            file = place / f"{model.cpu}.json"
            kernels = sorted(model.kernels | {"portable"})
            file.write_text(json.dumps(case | {"kernels": kernels}), encoding="utf-8")
            jobs.append((f"{name}: extension", partial(extension, model, emulator, file)))
        if model in at_the_command_line:
            work = partial(command_line, model, emulator, place / "checkpoint", str(case["root"]))
            jobs.append((f"{name}: command line", work))
        jobs.append((f"{name}: dispatch", partial(dispatch, report, model, emulator, call)))
    report.run_all(jobs)


def on_arm64(report: Report, _: Path) -> None:
    """The C kernel tests, the dispatcher and the engine on ARM models."""
    compilers = _tools.arm_compilers(report.notes)
    report.not_tried += [f"the ARM kernels by {c}" for c in ("gcc", "clang") if c not in compilers]
    if not compilers:
        return
    call = build_call_kernel(compilers["gcc"], "call_kernel-arm64")

    def refusal(models: tuple[Model, ...], emulator: Path) -> str | None:
        results = [run(emulator, "-cpu", one.cpu, call, "portable", timeout=60) for one in models]
        return next((ended(result) for result in results if result.returncode), None)

    without = ARM64_WITHOUT_SHA2
    new = _tools.emulator("qemu-aarch64", _tools.NEW, partial(refusal, ARM64), report.notes)
    old = _tools.emulator("qemu-aarch64", _tools.OLD, partial(refusal, (without,)), report.notes)
    jobs: list[Job] = []
    if old:
        work = partial(dispatch, report, without, old, call)
        jobs.append((f"arm64 {without.cpu}: dispatch", work))
    else:
        report.not_tried.append("an ARM processor without SHA2: no emulator")
    if new:
        jobs += arm64_jobs(report, new, compilers, call)
    else:
        report.not_tried.append("the ARM kernels: no emulator")
    report.run_all(jobs)


def arm64_jobs(report: Report, emulator: Path, compilers: dict[str, str], call: Path) -> list[Job]:
    """What is to be done on the models that can do SHA2, the longest first."""
    jobs: list[Job] = []
    for name, command in compilers.items():
        for level in ("-O0", "-O2"):
            plain = (name, level) == ("gcc", "-O2")
            tests = [words.split()[0] for words in ENGINE_TESTS] if plain else []
            folder = build_tests(
                f"arm64-{name}{level}",
                ["test_kernels", *tests],
                f"CC={command}",
                f"OPTIMISE={level}",
            )
            for model in ARM64:
                if model.all_lengths and (plain or model is ARM64[0]):
                    work = partial(every_length, report, model, emulator, folder / "test_kernels")
                    jobs.append((f"arm64 {model.cpu}: every length, {name} {level}", work))
            if plain:
                engine = [(w, partial(program, emulator, folder, w)) for w in ENGINE_TESTS]
                jobs = [(f"arm64 max: {words}", work) for words, work in engine] + jobs
    for model in ARM64:
        work = partial(dispatch, report, model, emulator, call)
        jobs.append((f"arm64 {model.cpu}: dispatch", work))
    return jobs


def how_it_ran(report: Report, name: str) -> str:
    """Say all about one kernel in one line."""
    how = list(report.native.get(name, [f"not native: this is {platform.machine()}"]))
    models = report.emulated.get(name, [])
    for arch in ("x86", "arm64"):
        cpus = [m.cpu + "*" * ((name, m) in report.every_length) for m in models if m.arch == arch]
        if cpus:
            how.append(f"ran emulated on {arch} {' '.join(cpus)}")
    if name.startswith("avx512"):
        how.append("cannot be emulated: QEMU has no AVX-512")
    elif not models:
        how.append("DID NOT RUN EMULATED")
    return "; ".join(how)


def print_report(report: Report) -> None:
    """Every kernel by name, how it ran, and everything that was not tried."""
    print("\nHow each kernel ran (* NIST's vectors, every length from 0 to 4096, guard pages):")
    for name in sorted({*report.native, *(k for model in (*X86, *ARM64) for k in model.kernels)}):
        print(f"  {name:<10}  {how_it_ran(report, name)}")
    print(f"Kernels called where the processor lacks them: {report.illegal} deaths of SIGILL,")
    print("each of a kernel that the dispatcher had refused.")
    for text in report.not_tried:
        print(f"NOT TRIED: {text}")
    for text in report.notes:
        print(f"NOTE: {text}")
    for text in report.failures:
        print(f"FAILED: {text}")
    print(f"took {time.monotonic() - report.started:.0f} s; speeds of emulation mean nothing")
    counts = f"{report.passed} passed, {len(report.failures)} failed"
    print(f"{counts}, {len(report.not_tried)} skipped")


def main() -> None:
    """Do all of it; the exit code is 1 when something failed, or with --strict was not tried."""
    report = Report()
    # Every death of SIGILL would leave a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with tempfile.TemporaryDirectory(prefix="pyhash-emulated-") as place:
        for part in (on_this_machine, on_x86, on_arm64):
            try:
                part(report, Path(place))
            except UnbuiltError as error:
                report.failures.append(str(error))
    print_report(report)
    strict = "--strict" in sys.argv[1:]
    if report.failures or (strict and report.not_tried):
        sys.exit(1)


if __name__ == "__main__":
    main()
