# SPDX-License-Identifier: Apache-2.0
"""How fast a transparency log takes entries, proves one of ten million, and is verified whole.

    python benchmarks/bench_log.py [--directory DIR] [--entries 10000000] [--build L] [--large L]

Every append is on the drive when it returns. The roof of single appends is one fdatasync, which is
measured in the same rounds. Entries are access events of about 330 bytes; the log for the proof has
entries of 24 bytes, so that ten million of them fit. What is measured is verified first.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from _measure import environment, interleave, spread, write_result

from pyhash.access import AccessLog
from pyhash.log.checkpoint import TrustedLog
from pyhash.log.events import dump_event
from pyhash.log.note_keys import (
    LOG,
    NoteSigner,
    generate_note_key,
    load_verifier,
    write_note_keys,
)
from pyhash.log.proof import verify_proof
from pyhash.log.reader import open_log
from pyhash.log.writer import append_entries, init_log

SINGLE, BATCH, BATCHES, PROOFS = 300, 20_000, 2, 200
LARGE_BATCH = 500_000
GOALS = {"single_per_s": 200, "batched_per_s": 20_000, "proof_ms": 10, "verified_per_min": 1e6}


def event(log: AccessLog, number: int) -> bytes:
    root = hashlib.sha256(b"%d" % number).digest()
    return dump_event(log.event("verify", "done", f"/models/{number}", root=root))


def timed_single(directory: Path, signer: NoteSigner, entries: list[bytes]) -> float:
    start = time.perf_counter()
    for entry in entries:
        append_entries(directory, signer, [entry])
    return time.perf_counter() - start


def timed_batches(directory: Path, signer: NoteSigner, entries: list[bytes]) -> float:
    start = time.perf_counter()
    for _ in range(BATCHES):
        append_entries(directory, signer, entries)
    return time.perf_counter() - start


def timed_fdatasync(directory: Path, data: bytes) -> float:
    """What the drive alone takes for as many records."""
    with (directory / "roof").open("wb") as file:
        start = time.perf_counter()
        for _ in range(SINGLE):
            os.write(file.fileno(), data)
            os.fdatasync(file.fileno())
        return time.perf_counter() - start


def build(large: Path, count: int) -> None:
    """Make a log of ``count`` small entries, and its key beside it."""
    signer = generate_note_key("example.com/bench", LOG)
    init_log(large, signer)
    write_note_keys(signer, str(large))
    for first in range(0, count, LARGE_BATCH):
        numbers = range(first, min(count, first + LARGE_BATCH))
        append_entries(large, signer, [b"entry number %012d" % number for number in numbers])
        print(f"  {numbers.stop} of {count}", flush=True)


def proof_times(large: Path) -> tuple[list[float], int]:
    """Milliseconds of proofs, each from a new reader, and the size of the log."""
    trust = TrustedLog(load_verifier(f"{large}.vkey", kind=LOG))
    count = open_log(large, trust).tree.size
    found = []
    for number in range(PROOFS):
        index = number * 7_919 * 25_301 % count
        start = time.perf_counter()
        entry, proof = open_log(large, trust).prove(index)
        found.append((time.perf_counter() - start) * 1000)
        assert entry == b"entry number %012d" % index
        verify_proof(entry, proof, trust, "proof")
    return found, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=None)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--large", type=Path, help="log of --build; default: it is built now")
    parser.add_argument("--build", type=Path, help="only make the large log there")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.build:
        build(options.build, options.entries)
        return
    home = Path(tempfile.mkdtemp(prefix="bench-log-", dir=options.directory))
    signer = generate_note_key("example.com/bench", LOG)
    log = AccessLog(str(home / "log"), signer)
    try:
        init_log(home / "log", signer)
        entries = [event(log, number) for number in range(BATCH)]
        variants = {
            "single": lambda: timed_single(home / "log", signer, entries[:SINGLE]),
            "batched": lambda: timed_batches(home / "log", signer, entries),
            "fdatasync": lambda: timed_fdatasync(home, entries[0]),
        }
        samples = interleave(variants, options.rounds)
        reader = open_log(home / "log", TrustedLog(signer.verifier))
        start = time.perf_counter()
        count = sum(1 for _ in reader.verify_entries())
        verified = count / (time.perf_counter() - start) * 60
        if options.large is None:
            build(home / "large", options.entries)
        proofs, proof_entries = proof_times(options.large or home / "large")
    finally:
        shutil.rmtree(home)
    result: dict[str, object] = {
        "environment": environment(options.directory or Path(tempfile.gettempdir())),
        "goals": GOALS,
        "entry_bytes": len(entries[0]),
        "single_per_s": spread([SINGLE / one for one in samples["single"]]),
        "fdatasync_per_s": spread([SINGLE / one for one in samples["fdatasync"]]),
        "share_of_fdatasync": spread(
            [b / a for a, b in zip(samples["single"], samples["fdatasync"], strict=True)]
        ),
        "batched_per_s": spread([BATCH * BATCHES / one for one in samples["batched"]]),
        "verified_per_min": verified,
        "verified_entries": count,
        "proof_ms": spread(proofs),
        "proof_log_entries": proof_entries,
    }
    for name in (
        "single_per_s",
        "fdatasync_per_s",
        "batched_per_s",
        "verified_per_min",
        "proof_ms",
    ):
        print(f"{name:20} {result[name]}")
    write_result("log", result)


if __name__ == "__main__":
    main()
