# SPDX-License-Identifier: Apache-2.0
"""Runs one fuzz target for a given time without atheris, and writes down how long and how often.

    python tests/fuzz/run_for.py fuzz_command_line SECONDS RESULT.json [SEED]

The result is written every minute, so that a run that is stopped is on record too; a result that
is there already is gone on with, its seconds and inputs added to, with other random numbers. An
input that ends in anything but what ``_harness.ALLOWED`` lists stops the run with its exception.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

import _harness  # noqa: E402

BATCH = 500  # inputs from one seed of the random numbers
_MAX_SHARE = 4  # seconds of the clock that count for one of the process's own


def run(name: str, seconds: float, result: Path, seed: int) -> None:
    """Mutate and run until the time is over."""
    target = importlib.import_module(name)
    slots = list(getattr(target, "SLOTS", ()))
    before = json.loads(result.read_bytes()) if result.exists() else {}
    if before and (before["target"], before["seed"]) != (name, seed):
        raise SystemExit(f"{result} is of another target or seed")
    executions = before.get("inputs", 0)
    inputs = Counter(before.get("inputs_by_file", {}))
    spent = written = float(before.get("seconds", 0))
    end = spent + seconds
    while spent < end:
        began, own = time.monotonic(), time.process_time()
        for data in _harness.mutations(
            target.seeds(), getattr(target, "DICTIONARY", ()), count=BATCH, seed=seed + executions
        ):
            _harness.run_one(target.one_input, data)
            executions += 1
            inputs[slots[data[0] % len(slots)] if slots and data else name] += 1
        # A process that others make wait, or that is stopped, fuzzes nothing meanwhile.
        spent += min(time.monotonic() - began, _MAX_SHARE * (time.process_time() - own))
        if spent - written > 60:
            written = spent
            _write(result, name, seed, spent, executions, inputs)
    _write(result, name, seed, spent, executions, inputs)


def _write(
    result: Path, name: str, seed: int, seconds: float, executions: int, inputs: Counter[str]
) -> None:
    record = {
        "target": name,
        "seed": seed,
        "seconds": round(seconds),
        "inputs": executions,
        "inputs_by_file": dict(sorted(inputs.items())),
        "tracebacks": 0,
    }
    result.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]), int((sys.argv[4:] or ["1"])[0]))
