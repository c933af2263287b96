# SPDX-License-Identifier: Apache-2.0
"""How fast a scrub by XXH3-128 is, from the page cache, beside a plain read of the same data.

    python benchmarks/bench_scrub.py [--directory DIR] [--gib 8] [--rounds 7]

Both read with as many threads, from the same files; the plain read takes 1 MiB at a time into one
buffer of each thread and looks at nothing. A scrub by signed digests is measured beside them. That
a scrub finds a changed bit is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _measure import environment, interleave, spread, table, timed, times_faster, write_result

import pyhash
from pyhash.policy import Policy
from pyhash.processors import usable_processors
from pyhash.scrub import ScrubOptions, scrub
from pyhash.signing.ecdsa import generate_key, write_key_pair

SHARDS, BLOCK = 4, 1 << 20
GOAL = 0.8  # of a plain read


def make(home: Path, size: int) -> tuple[Path, Policy]:
    """Write and sign a checkpoint of random shards."""
    write_key_pair(generate_key(), home / "k.key", home / "k.pub")
    model = home / "model"
    model.mkdir()
    for number in range(SHARDS):
        with (model / f"{number}.bin").open("wb") as file:
            for _ in range(size // SHARDS // BLOCK):
                file.write(os.urandom(BLOCK))
    pyhash.sign(model, home / "k.key", file_digests=False)
    return model, Policy.from_key_files([home / "k.pub"])


def plain_read(model: Path, threads: int) -> None:
    """Read every byte, and nothing else."""

    def read(path: Path) -> None:
        buffer = memoryview(bytearray(BLOCK))
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, sorted(model.glob("*.bin"))))


def check(model: Path, policy: Policy, rot: ScrubOptions) -> None:
    """A scrub must find one changed bit, and nothing where there is none."""
    place = model / "2.bin"
    for expected in (1, 0):
        with place.open("r+b") as file:
            file.seek(5 * BLOCK)
            byte = file.read(1)[0]
            file.seek(5 * BLOCK)
            file.write(bytes([byte ^ 1]))
        if len(scrub(model, policy, options=rot).damaged) != expected:
            raise SystemExit("the scrub is wrong; nothing was measured")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--gib", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="pyhash-scrub-", dir=options.directory))
    try:
        size = int(options.gib * 2**30) // (SHARDS * BLOCK) * SHARDS * BLOCK
        model, policy = make(home, size)
        records = str(home / "records")
        scrub(model, policy, options=ScrubOptions(records=records, record=True))
        rot = ScrubOptions(records=records, rot_only=True)
        check(model, policy, rot)
        threads = usable_processors()
        samples = interleave(
            {
                "plain read": timed(lambda: plain_read(model, threads)),
                "scrub, XXH3-128": timed(lambda: scrub(model, policy, options=rot)),
                "scrub, signed digests": timed(lambda: scrub(model, policy)),
            },
            options.rounds,
        )
        table(samples, size)
        share = times_faster(samples, "scrub, XXH3-128", "plain read")
        print(f"  share of a plain read: {share['median']:.2f}, goal {GOAL}")
        write_result(
            "scrub",
            {
                "environment": environment(home),
                "size_bytes": size,
                "threads": threads,
                "cache": "warm: every byte in the page cache",
                "seconds": {name: spread(values) for name, values in samples.items()},
                "share_of_plain_read": share,
                "goal": GOAL,
                "goal_met": share["median"] >= GOAL,
            },
        )
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
