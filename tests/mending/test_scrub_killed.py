# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every change that a scrub makes: its position, its record and its metrics are then
what they were, or the new ones whole; the next scrub leaves out nothing and forgets no damage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import xxhash

from pyhash import errors
from pyhash.merkle import parse_root
from pyhash.scrub import ScrubOptions, scrub
from pyhash.scrub.records import Position, load_position, record_path
from tests.mending._damaged import BIG, SHARD, SPAN, Pair, flip
from tests.support.command_line import answer, pyhash

REPOSITORY = Path(__file__).resolve().parents[2]
SPANS = 11
OLD_METRICS = b"# what an earlier run came to\n"


def kill(pair: Pair, state: Path, *more: str) -> list[tuple[Path, int | None]]:
    """Every state that a kill leaves, and last that of a scrub that was not killed."""
    killer = Path(__file__).with_name("_scrub_killer.py")
    command = (
        *("scrub", str(pair.model), "--key", str(pair.public), "--records", "{state}/records"),
        *("--metrics", "{state}/scrub.prom", "--priority", "normal", "--threads", "1", *more),
    )
    done = subprocess.run(
        [sys.executable, killer, state, state.parent / "work", *command],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["code"] is None for one in lines] == [True] * (len(lines) - 1) + [False]
    return [(Path(one["state"]), one["code"]) for one in lines]


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the drive here would make this take a minute, and shows nothing."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    place = tmp_path / "state"
    (place / "records").mkdir(parents=True, mode=0o700)
    (place / "scrub.prom").write_bytes(OLD_METRICS)
    return place


@pytest.fixture
def root(pair: Pair) -> bytes:
    text = answer(pyhash("verify", pair.model, "--key", pair.public, "--format", "json"))["root"]
    return parse_root(text)


def temporary(directory: Path) -> list[Path]:
    return [one for one in directory.iterdir() if one.name.startswith(".pyhash-")]


def ranges(pair: Pair) -> list[tuple[str, int, int]]:
    """Path, start and end of every span, in the order of the pass."""
    return [
        (name, at, min(at + SPAN, len(pair.content[name])))
        for name in sorted(pair.content, key=str.encode)
        for at in range(0, len(pair.content[name]), SPAN)
    ]


def test_killed_in_a_pass(pair: Pair, state: Path, root: bytes) -> None:
    spans = ranges(pair)
    assert len(spans) == SPANS
    bad = [(SHARD, SPAN), (BIG, 0), (BIG, 5 * SPAN)]
    for name, at in bad:
        flip(pair.model / name, at + 3)
    numbers = [number for number, one in enumerate(spans) if one[:2] in bad]
    assert len(numbers) == 3
    states = kill(pair, state)
    assert states[-1][1] == 1  # damage was found
    assert len(states) > 4 * 5  # it was put down four times, each in several steps
    seen, metrics = set(), []
    for place, _ in states:
        records = str(place / "records")
        path = record_path(records, str(pair.model), root, "sha256.position")
        found = load_position(path, SPANS)
        seen.add(found.span)
        if found != Position():  # whole: what it says of the spans before it is right
            assert found.damaged == tuple(one for one in numbers if one < found.span)
        # At most the one that had a name, and not yet the right one; whole.
        assert len(temporary(place / "records")) + len(temporary(place)) <= 1
        metrics.append((place / "scrub.prom").read_bytes())
        options = ScrubOptions(records=records)
        after = scrub(pair.model, pair.policy, options=options)
        assert after.is_finished
        assert after.damaged == tuple(spans[number] for number in numbers)
        skipped = sum(end - start for _, start, end in spans[: found.span])
        assert after.checked_bytes == sum(map(len, pair.content.values())) - skipped
    again = scrub(pair.model, pair.policy, options=options)  # that pass is over
    assert again.checked_bytes == sum(map(len, pair.content.values()))
    assert seen == {0, 3, 6, 9}
    is_new = [one != OLD_METRICS for one in metrics]
    assert (is_new[0], is_new[-1]) == (False, True)
    assert is_new == sorted(is_new)
    for one in metrics[is_new.index(True) :]:
        lines = one.decode().splitlines()
        assert sum(line.startswith("pyhash_scrub_") for line in lines) == 5
        assert any(line.startswith("pyhash_scrub_damaged_spans{") for line in lines)
        assert all(line.endswith(" 3") for line in lines if "damaged_spans{" in line)


@pytest.mark.parametrize("before", ["nothing", "rot"])
def test_killed_while_recording(pair: Pair, state: Path, root: bytes, before: str) -> None:
    def record_in(place: Path) -> Path:
        return Path(record_path(str(place / "records"), str(pair.model), root, "xxh3"))

    if before == "rot":
        record_in(state).write_bytes(b"what is left of a record")
    new = b"".join(
        xxhash.xxh3_128_digest(pair.content[name][start:end]) for name, start, end in ranges(pair)
    )
    states = kill(pair, state, "--record")
    assert states[-1][1] == 0
    outcomes = []
    for place, _ in states:
        record = record_in(place)
        is_new = record.exists() and record.read_bytes()[52:-32] == new
        outcomes.append(is_new)
        options = ScrubOptions(records=str(place / "records"), rot_only=True)
        if is_new:
            assert record.stat().st_mode & 0o777 == 0o600
            assert scrub(pair.model, pair.policy, options=options).damaged == ()
            continue
        assert record.exists() == (before == "rot")
        assert before == "nothing" or record.read_bytes() == b"what is left of a record"
        # Not taken for a record: nothing is said to be whole by it.
        with pytest.raises((errors.ReadError, errors.FormatError)):
            scrub(pair.model, pair.policy, options=options)
        again = ScrubOptions(records=str(place / "records"), record=True)
        assert scrub(pair.model, pair.policy, options=again).recorded == str(record)
    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert outcomes == sorted(outcomes)
