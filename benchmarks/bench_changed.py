# SPDX-License-Identifier: Apache-2.0
"""What is verified, signed and compared without a full pass: receipts, changed shards, updates,
differences. Each against the full pass, or the start of the interpreter, in the same run.

Shards are holes behind real safetensors headers: the page cache holds the zeros like any other
bytes, hashing them costs the same, and the disk is spared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _measure import environment, interleave, spread, timed, write_result

import pyhash
from pyhash import errors
from pyhash.carrying import Update
from pyhash.difference import compare
from pyhash.guarantees import CONTENT, by_receipt, recorded
from pyhash.receipts import open_store
from pyhash.signing.ecdsa import generate_key, write_key_pair

MIB = 1 << 20
SHARDS = 64
SMALL_FILES = 200
PYHASH = [sys.executable, "-m", "pyhash"]
START = "python -c pass"  # the start of the interpreter
GOAL_MILLISECONDS = {"receipt": 50, "one changed shard": 50, "diff": 100}


def make(directory: Path, shards: int, shard_bytes: int) -> Path:
    """Write a checkpoint of sparse shards with eight tensors each."""
    directory.mkdir(parents=True)
    for number in range(shards):
        each = (shard_bytes - 4096) // 8
        header = {
            f"layers.{number}.{part}": {
                "dtype": "U8",
                "shape": [each],
                "data_offsets": [part * each, (part + 1) * each],
            }
            for part in range(8)
        }
        text = json.dumps(header).encode().ljust(4096 - 8)
        with (directory / f"model-{number:05}.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(4096 + 8 * each)
    (directory / "README.md").write_text("A model.\n")
    return directory


def poke(path: Path) -> None:
    """Change the last byte of a file."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")


def check(condition: bool, what: str) -> None:
    """Nothing is timed that is not right."""
    if not condition:
        sys.exit(f"not as expected: {what}")


def receipts(home: Path, public: Path, private: Path, rounds: int) -> dict[str, object]:
    """By receipt: 200 files, in this process and as processes of their own."""
    model = make(home / "small", SMALL_FILES - 1, MIB)
    pyhash.sign(model, private)
    store = open_store(home / "receipts", create=True)
    pyhash.verify(model, keys=[public], guarantee=recorded(CONTENT, store))

    def by() -> pyhash.Verified:
        return pyhash.verify(model, keys=[public], guarantee=by_receipt(store))

    check((by().guarantee, by().size) == ("receipt", 0), "a receipt stands for the pass")
    words = ["verify", str(model), "--key", str(public), "--receipts", store.directory, "--receipt"]
    taken: list[float] = []
    report = _report(
        {
            START: Process(sys.executable, "-c", "pass"),
            "pyhash verify --receipt": Process(*PYHASH, *words, "--quiet"),
            "verify(guarantee=by_receipt(...))": in_process(by, taken),
        },
        taken,
        rounds,
    )
    poke(model / "model-00007.safetensors")
    try:
        by()
    except errors.ReceiptError:
        pass
    else:
        sys.exit("a changed file was not noticed")
    return {"files": SMALL_FILES, **report}


class Process:
    """A variant that runs a process to its end, and notes the processor time that it took: on a
    machine that is shared, wall time says more about the neighbours.
    """

    def __init__(self, *words: object) -> None:
        self.words = [str(word) for word in words]
        self.processor_seconds: list[float] = []

    def __call__(self) -> float:
        before, start = _children(), time.perf_counter()
        subprocess.run(self.words, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        self.processor_seconds.append(_children() - before)
        return seconds


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_process(action: Callable[[], object], taken: list[float]) -> Callable[[], float]:
    """A variant that runs in this process, and notes its processor time likewise."""

    def variant() -> float:
        before, start = time.process_time(), time.perf_counter()
        action()
        seconds = time.perf_counter() - start
        taken.append(time.process_time() - before)
        return seconds

    return variant


def _report(
    variants: dict[str, Callable[[], float]], taken: list[float], rounds: int
) -> dict[str, object]:
    """Run variants, the one in this process among them; wall and processor seconds of each."""
    samples = interleave(variants, rounds)
    processor = {
        name: spread(one.processor_seconds if isinstance(one, Process) else taken)
        for name, one in variants.items()
    }
    (command,) = (name for name in samples if name.startswith("pyhash "))
    return {
        "seconds": {name: spread(one) for name, one in samples.items()},
        "processor_seconds": processor,
        "beyond_the_start_of_python_milliseconds": _beyond(samples[command], samples[START]),
    }


def _beyond(seconds: list[float], others: list[float]) -> dict[str, float]:
    """How much longer one thing took than another, round by round, milliseconds."""
    return spread([1000 * (one - other) for one, other in zip(seconds, others, strict=True)])


def changed(home: Path, public: Path, private: Path, gib: float, rounds: int) -> dict[str, object]:
    """One changed shard of 64, against the full pass; a README edit, signed again."""
    model = make(home / "large", SHARDS, int(gib * 2**30 / SHARDS))
    pyhash.sign(model, private)
    store = open_store(home / "receipts", create=True)
    verify = {
        "full pass": lambda: pyhash.verify(model, keys=[public]),
        "recorded": lambda: pyhash.verify(model, keys=[public], guarantee=recorded(CONTENT, store)),
    }
    check(verify["recorded"]().guarantee == "content", "a full pass")
    shard = model / "model-00031.safetensors"

    def one_changed() -> float:
        os.utime(shard)  # another identity, the same content
        start = time.perf_counter()
        proof = pyhash.verify(model, keys=[public], guarantee=by_receipt(store, rehash=True))
        seconds = time.perf_counter() - start
        check(dict(proof.details)["hashed_now"] == [shard.name], "one shard hashed")
        return seconds

    def readme() -> float:
        (model / "README.md").write_text(f"A model, {time.time_ns()}.\n")
        start = time.perf_counter()
        result = pyhash.sign(model, private, update=Update(("*.safetensors",)))
        seconds = time.perf_counter() - start
        check(len(result.carried) == SHARDS, "all shards carried over")
        return seconds

    words = ["verify", model, "--key", public, "--receipts", store.directory, "--changed"]
    process = {
        "verify": Process(*PYHASH, *words, "--quiet"),
        "sign": Process(
            *(*PYHASH, "sign", model, "--key", private, "--update"),
            *("--unchanged", "*.safetensors", "--quiet"),
        ),
    }

    def one_changed_process() -> float:
        os.utime(shard)
        return process["verify"]()

    def readme_process() -> float:
        (model / "README.md").write_text(f"A model, {time.time_ns()}.\n")
        return process["sign"]()

    samples = interleave(
        {
            "full pass": timed(verify["full pass"]),
            "one changed shard of 64": one_changed,
            "pyhash verify --changed, one shard of 64": one_changed_process,
            START: Process(sys.executable, "-c", "pass"),
        },
        rounds,
    )
    share = [full / SHARDS for full in samples["full pass"]]
    started = [one + two for one, two in zip(share, samples[START], strict=True)]
    beyond = _beyond(samples["one changed shard of 64"], share)
    beyond_start = _beyond(samples["pyhash verify --changed, one shard of 64"], started)
    samples |= interleave(
        {"sign --update, README edited": readme, "pyhash sign --update": readme_process}, rounds
    )
    check(verify["full pass"]().guarantee == "content", "what was signed last verifies")
    return {
        "gib": gib,
        "shards": SHARDS,
        "seconds": {name: spread(one) for name, one in samples.items()},
        "one_changed_shard_beyond_a_64th_of_the_full_pass_milliseconds": beyond,
        "the_same_as_a_process_beyond_that_and_the_start_of_python_milliseconds": beyond_start,
    }


def difference(home: Path, public: Path, private: Path, rounds: int) -> dict[str, object]:
    """Two checkpoints of 8 GiB with tree files, of which one shard of 64 differs."""
    one = make(home / "one", SHARDS, 128 * MIB)
    other = home / "other"
    other.mkdir()
    for path in one.iterdir():
        os.link(path, other / path.name)
    changed_shard = other / "model-00031.safetensors"
    changed_shard.unlink()
    shutil.copy(one / changed_shard.name, changed_shard)
    poke(changed_shard)
    for model in (one, other):
        pyhash.sign(model, private, file_digests=False)
    found = compare(one, other, keys=[public])
    size = sum(path.stat().st_size for path in one.glob("model-*.safetensors"))
    check([file.path for file in found.files] == [changed_shard.name], "one shard differs")
    check([one.end - one.start for one in found.files[0].ranges] == [MIB], "in its last span")
    words = [*PYHASH, "diff", one, other, "--key", public, "--quiet"]
    taken: list[float] = []
    report = _report(
        {
            "compare(a, b)": in_process(lambda: compare(one, other, keys=[public]), taken),
            START: Process(sys.executable, "-c", "pass"),
            "pyhash diff a b": Process(*words),
        },
        taken,
        rounds,
    )
    return {"gib_of_each": size / 2**30, **report}


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, help="new, on the drive to use")
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    home: Path = arguments.directory or Path(tempfile.gettempdir(), "pyhash-bench-changed")
    home.mkdir(parents=True)
    private, public = home / "publisher.key", home / "publisher.pub"
    write_key_pair(generate_key(), private, public)
    try:
        result = {
            "environment": environment(home),
            "rounds": arguments.rounds,
            "goals_milliseconds": GOAL_MILLISECONDS,
            "receipt": receipts(home, public, private, 3 * arguments.rounds),
            "changed": changed(home, public, private, arguments.gib, arguments.rounds),
            "diff": difference(home, public, private, 3 * arguments.rounds),
        }
    finally:
        shutil.rmtree(home)
    for part in ("receipt", "changed", "diff"):
        print(json.dumps(result[part], indent=1))
    write_result("changed", result)


if __name__ == "__main__":
    main()
