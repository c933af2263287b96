# SPDX-License-Identifier: Apache-2.0
"""The whole benchmark, from a plan to a JSON object: what takes turns, and what it comes to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyhash import __version__
from pyhash.benchmark import page_cache
from pyhash.benchmark.fio import find_fio
from pyhash.benchmark.hashing_roof import MODES, Hasher, make_memory, usable_kernels
from pyhash.benchmark.measuring import Phase, Spread, Tell, Variant, by_name, interleave
from pyhash.benchmark.peers import find_peers
from pyhash.benchmark.reading import Reader, cached_readings, cold_readings
from pyhash.benchmark.sample import Sample, open_sample
from pyhash.benchmark.surroundings import surroundings
from pyhash.benchmark.together import Together
from pyhash.benchmark.verdict import Verdict, judge
from pyhash.errors import ReadError, UsageError
from pyhash.processors import usable_processors

RESIDENT_WHEN_COLD = 0.01  # share of the pages; above, "cold" would be a lie
RESIDENT_WHEN_CACHED = 0.99
BUSY = 0.5  # running tasks for each processor, as a minute's average

Rates = dict[str, Spread]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        target: A directory to make files in, or a file or block device that is only read.
        size: Bytes to make or to read.
        files: How many files to make.
        rounds: How often everything takes its turn.
        threads: Threads to hash with; None: as many as there are processors to use.
        reader: The engine's reader for reading and hashing together.
        kernel: The only kernel to measure; None: all that run here.
        peers: Run the other tools that are installed, too, fio among them.
    """

    target: str
    size: int
    files: int = 8
    rounds: int = 5
    threads: int | None = None
    reader: str = "auto"
    kernel: str | None = None
    peers: bool = True


def run_benchmark(plan: Plan, tell: Tell) -> dict[str, Any]:
    """Measure; takes about a minute for 2 GiB and 5 rounds, longer on slow drives.

    Args:
        plan: What to measure.
        tell: Is told, in words, what is going on.

    Returns:
        A JSON object: ``environment``, ``sample``, ``reading``, ``hashing``, ``together``,
        ``verdicts``, ``peers`` and ``notes``. Rates are bytes per second: median, min, max.

    Raises:
        UsageError: A plan that makes no sense.
        ReadError, WriteError: The target cannot be used so; too little space is a WriteError.
        CheckError: Something that was measured failed, or gave a wrong digest.
        KeyboardInterrupt: Ctrl-C; what was made is removed.
    """
    if min(plan.files, plan.rounds) < 1:
        raise UsageError("there must be at least one file and one round")
    tell(f"preparing {plan.size} bytes")
    with open_sample(plan.target, plan.size, plan.files) as sample:
        try:
            return _measure(plan, sample, tell)
        except OSError as error:
            reason = f"{plan.target}: {error.strerror or error}"
            raise ReadError(reason, plan.target, error.errno) from error


def _measure(plan: Plan, sample: Sample, tell: Tell) -> dict[str, Any]:
    notes: list[str] = []
    load, processors = os.getloadavg()[0], usable_processors()
    if load > BUSY * processors:
        notes.append(
            f"the machine was busy before this began (load average {load:.1f} on {processors}"
            " processors): expect wide spreads, and roofs lower than the true ones"
        )
    benchmark = _Benchmark(plan, sample, notes.append)
    rates = interleave(benchmark.phases(), plan.rounds, tell)
    peers = _measure_peers(plan, sample, tell, notes.append) if plan.peers else {}
    return {
        "pyhash": __version__,
        "taken": time.strftime("%Y-%m-%d"),
        "environment": {**surroundings(plan.target), "load_average_before": round(load, 2)},
        "sample": {
            "kind": sample.kind,
            "files": len(sample.paths),
            "bytes": sample.size,
            "rounds": plan.rounds,
            "threads": benchmark.threads,
            "reader": plan.reader,
            "resident_when_cold": benchmark.resident.get("cold"),
            "resident_when_cached": benchmark.resident.get("cached"),
        },
        "reading": {name: asdict(rates[name]) for name in benchmark.readers},
        "hashing": {name: asdict(rates[name]) for name in benchmark.hashers},
        "together": {name: asdict(rates[name]) for name in benchmark.together},
        "verdicts": [asdict(one) for one in benchmark.verdicts(rates)],
        "peers": {
            name: {key: asdict(one) for key, one in by.items()} for name, by in peers.items()
        },
        "notes": list(dict.fromkeys(notes)),
    }


class _Benchmark:
    """Everything that takes turns in one run, by name."""

    def __init__(self, plan: Plan, sample: Sample, note: Callable[[str], None]) -> None:
        self.sample, self.note = sample, note
        self.threads = plan.threads or usable_processors()
        self.resident: dict[str, float | None] = {}
        self.cold_readers = _cold_readers(plan, sample)
        self.cached_readers = by_name(
            Reader(sample, way) for way in cached_readings(usable_processors())
        )
        self.readers = {**self.cold_readers, **self.cached_readers}
        self.hashers = _hashers(plan, sample, self.threads)
        self.together = by_name(
            Together(mode, cold, sample, self.threads, plan.reader, plan.kernel)
            for cold in (True, False)
            for mode in MODES
            if sample.kind != "device"  # the engine hashes regular files
        )

    def phases(self) -> list[Phase]:
        """Cold first, so that reading everything once for the second half disturbs nothing."""
        cold = by_name(one for one in self.together.values() if one.cold)
        cached = by_name(one for one in self.together.values() if not one.cold)
        return [
            Phase(self._make_cold, {**self.cold_readers, **cold}),
            Phase(self._make_cached, {**self.cached_readers, **self.hashers, **cached}),
        ]

    def _make_cold(self) -> None:
        page_cache.drop_pages(self.sample.paths)
        share = self._look("cold", max)
        if share is None:
            self.note("the system does not say whether pages of the files are in the page cache")
        elif share > RESIDENT_WHEN_COLD:
            self.note(
                f"{share:.0%} of the pages stayed in the page cache: here the numbers called cold"
                " are not cold, but for those of reading direct"
            )

    def _make_cached(self) -> None:
        for path, size in zip(self.sample.paths, self.sample.sizes, strict=True):
            with open(path, "rb", buffering=0) as file:
                buffer = bytearray(1 << 20)
                while size > 0 and (count := file.readinto(buffer)):
                    size -= count
        share = self._look("cached", min)
        if share is not None and share < RESIDENT_WHEN_CACHED:
            self.note(
                f"only {share:.0%} of the pages are in the page cache: here the numbers called"
                " cached are not; give a smaller --size"
            )

    def _look(self, when: str, worst: Callable[[float, float], float]) -> float | None:
        share = page_cache.resident_share(self.sample.paths, self.sample.sizes)
        before = self.resident.get(when)
        self.resident[when] = share if None in (share, before) else worst(share or 0, before or 0)
        return share

    def verdicts(self, rates: Rates) -> list[Verdict]:
        """One for each kind of work, cold and cached."""
        found = []
        for cache, readers in (("cold", self.cold_readers), ("cached", self.cached_readers)):
            reading = max(rates[name].median for name in readers)
            for mode in MODES:
                hashing = max(
                    rates[key].median for key, one in self.hashers.items() if one.mode == mode
                )
                both = rates.get(f"{mode} {cache}")
                measured = both.median if both else None
                found.append(
                    judge(mode, cache, reading=reading, hashing=hashing, measured=measured)
                )
        return found


def _cold_readers(plan: Plan, sample: Sample) -> dict[str, Variant]:
    own = [Reader(sample, way) for way in cold_readings(sample)]
    return by_name([*own, *(find_fio(sample) if plan.peers else ())])


def _hashers(plan: Plan, sample: Sample, threads: int) -> dict[str, Hasher]:
    """Every kernel by rising threads; for what computes whole-file digests, as many files at once
    as the sample has, because their number decides how many lanes are busy.
    """
    kernels = [plan.kernel] if plan.kernel else usable_kernels()
    memory = make_memory(sample.size)
    pieces = len(sample.paths)
    return by_name(
        Hasher(mode, kernel, count, memory, pieces if digests else 1)
        for kernel in kernels
        for mode, (_, digests) in MODES.items()
        for count in ([threads] if digests else _up_to(threads))
    )


def _up_to(threads: int) -> Sequence[int]:
    """1, 2, 4 and so on, and the number itself."""
    return sorted({*(1 << power for power in range(threads.bit_length())), threads})


def _measure_peers(
    plan: Plan, sample: Sample, tell: Tell, note: Callable[[str], None]
) -> dict[str, Rates]:
    if sample.directory is None:
        note("peers were not run: they are only given files that were made here")
        return {}
    found: dict[str, Rates] = {}
    for name, commands in find_peers(sample, usable_processors(), note).items():
        tell(f"beside other tools: {name}")
        phase = Phase(lambda: None, by_name(commands))
        found[name] = interleave([phase], plan.rounds, tell)
    return found
