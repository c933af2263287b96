# SPDX-License-Identifier: Apache-2.0
"""Scrub: damage is found, by signed digests and by records; a pass goes on where it stopped; what
cannot be read is not said to be whole; a record that does not fit is refused.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash

import pyhash as library
from pyhash import errors, opening
from pyhash._native import Range
from pyhash.hashing import Options
from pyhash.pull import transfer
from pyhash.repair import RepairOptions, repair
from pyhash.scrub import (
    ScrubOptions,
    ScrubResult,
    become_idle,
    main,
    priority,
    scrub,
    span_digests,
    sweep,
)
from pyhash.scrub.records import Position, load_position, record_path, save_position
from tests.mending._damaged import BIG, BIG_BYTES, SHARD, SPAN, Pair, flip
from tests.support.command_line import answer, pyhash
from tests.support.loop_image import Unavailable, loop_image

SPANS = 6 + 3 + 1 + 1  # of big.bin, model.safetensors, and two small files; the empty one has none


def run(pair: Pair, **options: object) -> ScrubResult:
    return scrub(pair.model, pair.policy, options=ScrubOptions(**options))  # type: ignore[arg-type]


@pytest.fixture
def records(tmp_path: Path) -> str:
    return str(tmp_path / "records")


def test_whole(pair: Pair) -> None:
    result = run(pair)
    assert (result.position, result.total, result.digest) == (SPANS, SPANS, "sha256")
    assert result.checked_bytes == sum(map(len, pair.content.values()))
    assert (result.damaged, result.unreadable, result.is_finished) == ((), (), True)


def test_damage_by_signed_digests(pair: Pair) -> None:
    flip(pair.model / BIG, 5 * SPAN)
    flip(pair.model / SHARD, SPAN)
    assert run(pair, from_drive=True).damaged == (
        (SHARD, SPAN, 2 * SPAN),
        (BIG, 5 * SPAN, BIG_BYTES),
    )


def test_record_and_rot(pair: Pair, records: str) -> None:
    recorded = Path(run(pair, records=records, record=True).recorded)
    assert recorded.stat().st_mode & 0o777 == 0o600
    ordered = [pair.content[name] for name in sorted(pair.content, key=str.encode)]
    expected = b"".join(
        xxhash.xxh3_128_digest(data[at : at + SPAN])
        for data in ordered
        for at in range(0, len(data), SPAN)
    )
    assert recorded.read_bytes()[52:-32] == expected
    assert run(pair, records=records, rot_only=True).damaged == ()
    flip(pair.model / BIG, SPAN)
    result = run(pair, records=records, rot_only=True)
    assert (result.digest, result.damaged) == ("xxh3-128", ((BIG, SPAN, 2 * SPAN),))


def test_damaged_checkpoint_is_not_recorded(pair: Pair, records: str) -> None:
    flip(pair.model / BIG, SPAN)
    result = run(pair, records=records, record=True)
    assert result.damaged and not result.recorded
    with pytest.raises(errors.ReadError):
        run(pair, records=records, rot_only=True)


@pytest.mark.parametrize("change", ["rot", "short", "other"])
def test_record_that_does_not_fit(pair: Pair, records: str, change: str) -> None:
    recorded = Path(run(pair, records=records, record=True).recorded)
    if change == "rot":
        flip(recorded, 60)
    elif change == "short":
        os.truncate(recorded, 10)
    else:
        import hashlib

        body = recorded.read_bytes()[:-32].replace(b"pyhash-xxh3\0", b"pyhash-xxh4\0")
        recorded.write_bytes(body + hashlib.sha256(body).digest())
    with pytest.raises(errors.FormatError, match="record"):
        run(pair, records=records, rot_only=True)


def test_pass_goes_on(pair: Pair, records: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BATCH_SPANS", 2)
    monkeypatch.setattr(main, "SAVE_SECONDS", -1.0)
    flip(pair.model / "config.json", 0)
    first = run(pair, records=records, seconds=0)
    assert (first.position, first.is_finished) == (2, False)
    assert first.damaged == (("config.json", 0, len(pair.content["config.json"])),)
    second = run(pair, records=records)
    assert (second.position, second.damaged) == (SPANS, first.damaged)
    assert second.checked_bytes + first.checked_bytes == sum(map(len, pair.content.values()))
    assert run(pair, records=records).checked_bytes == sum(map(len, pair.content.values()))


def test_interrupted_pass_goes_on(
    pair: Pair, records: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "BATCH_SPANS", 1)

    def stop(done: int, total: int) -> None:
        if done > 3 * SPAN:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pair, records=records, hashing=Options(progress=stop))
    rest = run(pair, records=records)
    assert rest.is_finished
    assert rest.checked_bytes < sum(map(len, pair.content.values())) - 3 * SPAN


@pytest.mark.parametrize(
    "text", ["", "{}", '{"span":1,"damaged":[],"unreadable":[],"seal":"x"}', '{"span":"1"}']
)
def test_damaged_position_leaves_nothing_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text)
    assert load_position(str(tmp_path / "p"), 9) == Position()


def test_position_is_kept_whole(tmp_path: Path) -> None:
    position = Position(3, (1,), (2,))
    save_position(str(tmp_path / "p"), position)
    assert load_position(str(tmp_path / "p"), 9) == position
    assert load_position(str(tmp_path / "p"), 3) == Position()
    assert record_path("d", "a", b"r", "x") != record_path("d", "b", b"r", "x")


class Clock:
    """Time that passes only while somebody sleeps, or reads for so many seconds a span."""

    def __init__(self, seconds_of_a_span: float = 0.0) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.seconds_of_a_span = seconds_of_a_span

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def read(self, *_: object) -> None:
        self.now += self.seconds_of_a_span


def span_sizes(pair: Pair) -> list[int]:
    """Of every span, in the order in which they are read."""
    return [
        min(SPAN, len(pair.content[name]) - at)
        for name in sorted(pair.content, key=str.encode)
        for at in range(0, len(pair.content[name]), SPAN)
    ]


@pytest.mark.parametrize("rate", [SPAN // 8, 10**9])
def test_rate_is_kept(pair: Pair, monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    """Before each batch it sleeps for as long as the one before may take, and no longer."""
    clock = Clock()
    monkeypatch.setattr(transfer, "time", clock)
    monkeypatch.setattr(sweep, "BATCH_SPANS", 1)
    assert run(pair, bytes_per_second=rate, hashing=Options(threads=1)).is_finished
    expected = [0.0, *(size / rate for size in span_sizes(pair)[:-1])]
    assert clock.slept == pytest.approx(expected)


def test_slow_drive_is_not_slowed_down(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What took longer than the rate allows for is not slept for again."""
    clock = Clock(seconds_of_a_span=10.0)
    monkeypatch.setattr(transfer, "time", clock)
    monkeypatch.setattr(sweep, "BATCH_SPANS", 1)
    real = sweep._Reader.read
    monkeypatch.setattr(sweep._Reader, "read", lambda *a: (clock.read(), real(*a))[1])
    assert run(pair, bytes_per_second=SPAN, hashing=Options(threads=1)).is_finished
    assert clock.slept == [0.0] * SPANS


def test_no_rate_never_sleeps(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(transfer, "time", clock)
    assert run(pair).is_finished
    assert clock.slept == []


def test_rate_of_a_repair(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for span in range(5):
        flip(pair.model / BIG, span * SPAN)
    clock = Clock()
    monkeypatch.setattr(transfer, "time", clock)
    options = RepairOptions(connections=1, bytes_per_second=SPAN // 4)
    assert repair(pair.model, [str(pair.copy)], pair.policy, options=options).is_whole
    assert clock.slept == pytest.approx([0.0, 4.0, 4.0, 4.0, 4.0])


def test_size_name_and_publisher_come_first(pair: Pair) -> None:
    (pair.model / "extra").touch()
    with pytest.raises(errors.UnexpectedFileError):
        run(pair)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record": True, "rot_only": True, "records": "x"}, "not with --rot-only"),
        ({"record": True}, "--records"),
        ({"record": True, "records": "x", "seconds": 1.0}, "not with --for"),
    ],
)
def test_options_that_exclude_each_other(
    pair: Pair, options: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.UsageError, match=message):
        run(pair, **options)


def test_records_cannot_be_made(pair: Pair) -> None:
    with pytest.raises(errors.WriteError):
        run(pair, records=str(pair.model / "config.json" / "x"))


def test_bundle_of_another_tool(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = opening.open_checkpoint(pair.model, pair.policy, guarantee=None)
    foreign = replace(opened, manifest=replace(opened.manifest, root=None))
    monkeypatch.setattr(main, "open_checkpoint", lambda *_, **__: foreign)
    with pytest.raises(errors.FormatError, match="another tool"):
        run(pair)


def test_xxhash_is_missing(pair: Pair, records: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(pair, records=records, record=True)
    monkeypatch.setitem(sys.modules, "xxhash", None)
    with pytest.raises(errors.DependencyError, match="pip install xxhash"):
        run(pair, records=records, rot_only=True)


@pytest.mark.parametrize("how", [{}, {"record": True}, {"rot_only": True}])
def test_file_that_shrinks_meanwhile(
    pair: Pair, records: str, monkeypatch: pytest.MonkeyPatch, how: dict[str, bool]
) -> None:
    run(pair, records=records, record=True)
    real = sweep.Piece

    def cut(path: str, *more: object) -> object:
        if path == BIG:
            os.truncate(pair.model / BIG, SPAN)
        return real(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "Piece", cut)
    with pytest.raises(errors.ChangedWhileReadError, match=BIG):
        run(pair, records=records, **how)


def test_low_rate_has_small_batches(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops it waits for about a second, on however many threads."""
    sizes: list[int] = []
    clock = Clock()
    monkeypatch.setattr(transfer, "time", clock)
    real = transfer.Throttle.pause

    def pause(self: transfer.Throttle, count: int) -> None:
        sizes.append(count)
        real(self, count)

    monkeypatch.setattr(transfer.Throttle, "pause", pause)
    assert run(pair, bytes_per_second=2 * SPAN, hashing=Options(threads=16)).is_finished
    assert max(sizes) == 2 * SPAN and sum(sizes) == sum(map(len, pair.content.values()))


def test_record_reads_past_the_page_cache(
    pair: Pair, records: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is on a page, which O_DIRECT needs."""
    addresses: list[int] = []
    real = span_digests.hash_ranges

    def look(ranges: list[Range], **how: object) -> object:
        into = ranges[0].into
        if into is not None:
            addresses.append(ctypes.addressof(ctypes.c_char.from_buffer(into)))
        return real(ranges, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(span_digests, "hash_ranges", look)
    run(pair, records=records, record=True, from_drive=True)
    assert addresses and all(one % 4096 == 0 for one in addresses)


def test_nothing_but_an_empty_file(pair: Pair, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "x").touch()
    library.sign(empty, pair.key)
    assert scrub(empty, pair.policy).is_finished


@pytest.fixture
def broken(pair: Pair, tmp_path: Path) -> Iterator[Pair]:
    """On a disk that has lost the end of the largest file."""
    try:
        with loop_image(tmp_path) as image:
            model = image.root / "model"
            shutil.copytree(pair.copy, model, ignore=shutil.ignore_patterns("big.bin"))
            shutil.copy(pair.copy / BIG, model / BIG)
            image.lose_from(model / BIG, 3 * SPAN)
            yield replace(pair, model=model)
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_spans_that_cannot_be_read(broken: Pair, tmp_path: Path) -> None:
    metrics = tmp_path / "scrub.prom"
    done = pyhash(
        "scrub", broken.model, "--key", broken.public, "--metrics", metrics, "--format", "json"
    )
    assert done.returncode == 3
    (one,) = answer(done)["checkpoints"]
    assert [place[1] for place in one["unreadable"]] == [3 * SPAN, 4 * SPAN, 5 * SPAN]
    lines = metrics.read_text().splitlines()
    labels = f'{{model="{broken.model}",digest="sha256"}}'
    assert f"pyhash_scrub_unreadable_spans{labels} 3" in lines
    assert f"pyhash_scrub_damaged_spans{labels} 0" in lines
    assert f"pyhash_scrub_position_ratio{labels} 1.0" in lines


@pytest.mark.parametrize("how", [{"record": True}, {"rot_only": True}, {"from_drive": True}])
def test_spans_that_cannot_be_read_in_other_ways(
    broken: Pair, records: str, how: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main._Run, "_path", lambda _, suffix: os.path.join(records, suffix))
    os.makedirs(records)
    run(replace(broken, model=broken.copy), records=records, record=True)
    found = run(broken, records=records, **how)
    lost = {(BIG, start) for start in (3 * SPAN, 4 * SPAN, 5 * SPAN)}
    unreadable = {(path, start) for path, start, _ in found.unreadable}
    # Past the page cache, files that lie behind it on the disk are gone as well.
    assert unreadable >= lost if "from_drive" in how else unreadable == lost
    assert (found.damaged, found.is_finished, found.recorded) == ((), True, "")


def test_command(pair: Pair, records: str) -> None:
    command = ("scrub", pair.model, pair.copy, "--key", pair.public, "--records", records)
    first = pyhash(*command, "--record")
    assert first.returncode == 0 and b"recorded" in first.stdout
    second = pyhash(*command, "--rot-only", "--limit-rate", "1G", "--priority", "normal")
    assert second.returncode == 0 and b"finds rot, not attackers" in second.stdout
    flip(pair.model / BIG, 0)
    third = pyhash(*command, "--rot-only")
    assert (
        third.returncode == 1
        and b"pyhash repair" in third.stderr
        and b"[0, 1048576)" in (third.stderr)
    )


def test_priority_is_lowered() -> None:
    code = (
        "import os; from pyhash.scrub import become_idle; print(become_idle(),"
        " os.nice(0), os.sched_getscheduler(0) == os.SCHED_IDLE);"
        "print(open('/proc/self/stat').read()[:0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "19", "True"]


def test_unknown_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority.platform, "machine", lambda: "vax")
    monkeypatch.setattr(os, "nice", lambda _: 19)
    monkeypatch.setattr(os, "sched_setscheduler", lambda *_: None)
    assert become_idle() is False
