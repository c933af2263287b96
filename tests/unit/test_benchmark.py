# SPDX-License-Identifier: Apache-2.0
"""The parts of ``pyhash.benchmark``: verdicts, rounds, what is cold, peers that fail, plots."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pyhash import _native, errors
from pyhash.benchmark import (
    Plan,
    fio,
    hashing_roof,
    page,
    page_cache,
    peers,
    plot,
    reading,
    run_benchmark,
    surroundings,
    together,
)
from pyhash.benchmark import run as run_module
from pyhash.benchmark.measuring import Phase, by_name, interleave, spread
from pyhash.benchmark.sample import Sample, open_sample
from pyhash.benchmark.verdict import judge

MIB = 1 << 20


@pytest.fixture
def without_fio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "find_fio", lambda _: [])


def silent(_: str) -> None:
    pass


# --- verdicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache", "roofs", "measured", "binds", "words"),
    [
        ("cold", (7.0e9, 9e9), 6.9e9, "drive", "drive-bound: 6.9 of 7.0 GB/s (hashing would do 9"),
        ("cached", (7e9, 9e9), 6.9e9, "memory", "memory-bound: 6.9 of 7.0"),
        ("cold", (7e9, 0.5e9), 0.48e9, "hashing", "hashing-bound: 0.48 of 0.50 GB/s (drive would"),
        ("cold", (7e9, 5e9), 3.7e9, "neither", "below both roofs: 3.7 GB/s where the lower one, h"),
        ("cold", (7e9, 5e9), None, "hashing", "would be hashing-bound at 5.0 GB/s"),
        ("cold", (1e9, 5e9), None, "drive", "would be drive-bound at 1.0 GB/s"),
    ],
)
def test_verdicts(
    cache: str, roofs: tuple[float, float], measured: float | None, binds: str, words: str
) -> None:
    found = judge("verify", cache, reading=roofs[0], hashing=roofs[1], measured=measured)
    assert found.binds == binds
    assert found.sentence.startswith(f"verify, {cache}: ")
    assert words in found.sentence


# --- rounds -------------------------------------------------------------------------------------


@dataclass
class Counted:
    name: str
    log: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        self.log.append(self.name)
        return float(len(self.log))


def test_rounds_take_turns() -> None:
    log: list[str] = []
    first = by_name(Counted(name, log) for name in "abcd")
    second = by_name([Counted("z", log)])
    phases = [Phase(lambda: log.append("1"), first), Phase(lambda: log.append("2"), second)]
    found = interleave(phases, 4, silent)
    rounds = ["".join(log[start : start + 7]) for start in range(0, 28, 7)]
    for one in rounds:
        assert (one[0], sorted(one[1:5]), one[5:]) == ("1", list("abcd"), "2z")
    assert len(set(rounds)) > 1
    assert set(found) == {*"abcdz"}
    one = spread([3.0, 1.0, 2.0])
    assert (one.median, one.min, one.max) == (2.0, 1.0, 3.0)


# --- samples and the page cache -----------------------------------------------------------------


def test_a_sample_is_what_it_says(tmp_path: Path) -> None:
    with open_sample(str(tmp_path), 5 * MIB, 2) as sample:
        assert sample.sizes == (2 * MIB, 2 * MIB)
        contents = [Path(path).read_bytes() for path in sample.paths]
        assert tuple(hashlib.sha256(one).digest() for one in contents) == sample.digests
        assert contents[0] != contents[1]
        (directory,) = tmp_path.iterdir()
        assert directory.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_what_happens_inside_keeps_its_exception(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    for target in (tmp_path, path):
        with pytest.raises(OSError, match="mine"), open_sample(str(target), MIB, 1):
            raise OSError(5, "mine")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_cold_and_resident(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(bytes(2 * MIB))
        file.flush()
        os.fsync(file.fileno())
    path.read_bytes()
    assert page_cache.resident_share([str(path)], [2 * MIB]) == 1.0
    with path.open("rb") as file:
        assert page_cache.mincore_pages(file.fileno(), 2 * MIB) == 2 * MIB // mmap.PAGESIZE
    page_cache.drop_pages([str(path)])
    assert page_cache.resident_share([str(path)], [2 * MIB]) in (0.0, 1.0)  # 1: tmpfs
    assert page_cache.mincore_pages(os.open(tmp_path, os.O_RDONLY), 4096) is None


def test_mincore_where_there_is_no_cachestat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    monkeypatch.setattr(page_cache, "CACHESTAT", 100_000)
    assert page_cache.resident_share([str(path)], [MIB]) == 1.0
    monkeypatch.setattr(page_cache, "mincore_pages", lambda *_: None)
    assert page_cache.resident_share([str(path)], [MIB]) is None


@pytest.mark.usefixtures("without_fio")
@pytest.mark.parametrize(
    ("share", "note"),
    [(1.0, "100% of the pages stayed"), (0.5, "only 50% of the pages"), (None, "does not say")],
)
def test_numbers_that_are_not_cold_say_so(
    share: float | None, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "resident_share", lambda *_: share)
    plan = Plan(str(tmp_path), 2 * MIB, 1, 2, 1, kernel="portable", peers=False)
    found = run_benchmark(plan, silent)
    assert sum(note in one for one in found["notes"]) == 1
    assert found["sample"]["resident_when_cold"] == share


@pytest.mark.usefixtures("without_fio")
def test_a_busy_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for load, busy in ((99.0, True), (0.0, False)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        plan = Plan(str(tmp_path), MIB, 1, 1, 1, kernel="portable", peers=False)
        found = run_benchmark(plan, silent)
        assert any("load average 99.0" in note for note in found["notes"]) == busy
        assert found["environment"]["load_average_before"] == load


def test_plans_that_make_no_sense(tmp_path: Path) -> None:
    for plan in (Plan(str(tmp_path), MIB, 0), Plan(str(tmp_path), MIB, 1, 0)):
        with pytest.raises(errors.UsageError, match="at least one"):
            run_benchmark(plan, silent)


@pytest.mark.usefixtures("without_fio")
def test_a_read_that_fails_is_a_read_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reading.Reader, "__call__", fail)
    with pytest.raises(errors.ReadError, match="Input/output error"):
        run_benchmark(Plan(str(tmp_path), MIB, 1, 1), silent)
    assert list(tmp_path.iterdir()) == []


# --- roofs --------------------------------------------------------------------------------------


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    paths = [tmp_path / name for name in ("a", "b:c")]
    for path in paths:
        path.write_bytes(os.urandom(MIB + 5))
    digests = tuple(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return Sample("directory", tmp_path, tuple(map(str, paths)), (MIB + 5,) * 2, digests)


def test_readers_read_every_byte_once(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = os.preadv, []

    def watch(descriptor: int, buffers: list[mmap.mmap], offset: int) -> int:
        count = real(descriptor, buffers, offset)
        seen.append((os.fstat(descriptor).st_ino, offset, count))
        return count

    monkeypatch.setattr(os, "preadv", watch)
    for way in (*reading.cold_readings(sample), *reading.cached_readings(2)):
        seen.clear()
        assert reading.Reader(sample, way)() > 0
        covered: dict[int, int] = {}
        for inode, offset, count in sorted(seen):
            assert covered.get(inode, 0) == offset
            covered[inode] = offset + count
        assert sorted(covered.values()) == [MIB + 5, MIB + 5]


def test_no_direct_reading(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "can_read_direct", lambda _: False)
    assert {way.name.split()[0] for way in reading.cold_readings(sample)} == {"cold"}
    assert reading.Reader(sample, reading.cold_readings(sample)[0])() > 0


def test_a_file_system_without_direct(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_DIRECT", os.O_DIRECTORY)  # any open of a file fails
    assert not reading.can_read_direct(sample)


def test_reading_ends_with_its_time(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LIMIT_SECONDS", 0.0)
    assert reading.Reader(sample, reading.Reading(False, False, 1))() == 0.0


def test_kernels_are_found_right_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "portable" in hashing_roof.usable_kernels()
    monkeypatch.setattr(_native, "hash_messages", lambda *_, **__: bytes(32))
    with pytest.raises(errors.EngineError, match="not what hashlib says"):
        hashing_roof.usable_kernels()


@pytest.mark.parametrize("mode", hashing_roof.MODES)
def test_together_and_from_memory(mode: str, sample: Sample) -> None:
    memory = hashing_roof.make_memory(3 * MIB)
    assert hashing_roof.Hasher(mode, "portable", 2, memory, 3)() > 0
    for cold in (True, False):
        assert together.Together(mode, cold, sample, 1)() > 0


def test_a_wrong_digest_ends_it(sample: Sample) -> None:
    Path(sample.paths[1]).write_bytes(bytes(MIB + 5))
    with pytest.raises(errors.EngineError, match="b:c: a digest is not what hashlib says"):
        together.Together("whole-file", False, sample, 1)()


# --- fio and the peers --------------------------------------------------------------------------


def program(directory: Path, name: str, script: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def only_programs(monkeypatch: pytest.MonkeyPatch, *there: Path) -> None:
    known = {path.name: str(path) for path in there}
    for module in (fio, peers):
        monkeypatch.setattr(module.shutil, "which", known.get)


def test_fio(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_programs(monkeypatch)
    assert fio.find_fio(sample) == []
    answer = json.dumps({"jobs": [{"read": {"bw_bytes": 123}}]})
    works = program(tmp_path, "fio", f"echo \"$@\" > {tmp_path}/words; echo '{answer}'")
    only_programs(monkeypatch, works)
    found = fio.find_fio(sample)
    assert [(one.name, one()) for one in found] == [
        ("fio direct x4", 123.0),
        ("fio direct x32", 123.0),
    ]
    words = (tmp_path / "words").read_text(encoding="utf-8")
    assert "--readonly" in words
    assert "--rw=read" in words
    assert r"b\:c" in words
    for script in ("echo no >&2; exit 1", "echo '{}'", "echo nonsense"):
        only_programs(monkeypatch, program(tmp_path, "fio", script))
        assert fio.find_fio(sample) == []


def test_the_real_fio(sample: Sample) -> None:
    if shutil.which("fio") is None:
        pytest.skip("fio is not installed: what it really answers was not tried")
    found = fio.find_fio(sample)
    assert len(found) == 2
    assert found[0]() > 0


def peers_of(tmp_path: Path, note: Callable[[str], None]) -> dict[str, list[peers.Commands]]:
    with open_sample(str(tmp_path), 2 * MIB, 2) as made:
        found = peers.find_peers(made, 2, note)
        for commands in found.values():
            for one in commands:
                assert one() > 0
        return found


def test_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_directory, place = tmp_path / "bin", tmp_path / "place"
    bin_directory.mkdir()
    place.mkdir()
    works = program(bin_directory, "model_signing", f'echo "$@" >> {tmp_path}/words')
    b3sum = program(bin_directory, "b3sum", "exit 0")
    sha256sum = program(bin_directory, "sha256sum", "exit 0")
    monkeypatch.setenv("PATH", f"{bin_directory}:{os.environ['PATH']}")
    only_programs(monkeypatch, works, b3sum, sha256sum)
    notes: list[str] = []
    found = peers_of(place, notes.append)
    assert [one.name for one in found["digests of files"]] == [
        *("pyhash hash --algorithm sha256", "sha256sum, 2 processes", "b3sum")
    ]
    assert [one.name for one in found["signed checkpoint"]] == [
        *("pyhash verify", "model_signing verify key")
    ]
    assert (tmp_path / "words").read_text(encoding="utf-8").startswith("sign key ")
    only_programs(monkeypatch, program(bin_directory, "model_signing", "exit 1"))
    assert {name: len(one) for name, one in peers_of(place, notes.append).items()} == {
        "digests of files": 1,
        "signed checkpoint": 1,
    }
    (note,) = notes
    assert "model_signing is installed and does not work" in note


def test_no_peer_at_all(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    only_programs(monkeypatch)
    monkeypatch.setattr(peers, "_run_all", lambda _: None)
    assert len(peers.find_peers(sample, 2, silent)["signed checkpoint"]) == 1


def test_processes_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.CheckError, match="ended with 3"):
        peers._run_all([("sh", "-c", "exit 3"), ("sleep", "1000")])
    with pytest.raises(errors.CheckError, match="No such file"):
        peers._run_all([("sleep", "1000"), (str(tmp_path / "no-program"),)])
    left = subprocess.run(["ps", "-o", "args", "--ppid", str(os.getpid())], capture_output=True)
    assert b"sleep 1000" not in left.stdout


# --- surroundings, plots, page ------------------------------------------------------------------


def test_surroundings(tmp_path: Path) -> None:
    found = surroundings.surroundings(str(tmp_path))
    wanted = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE", "-T", str(tmp_path)], capture_output=True, text=True
    ).stdout.strip()
    assert found["file_system"] == wanted
    assert found["processor"]
    nothing = surroundings.surroundings("/no/where", tmp_path, tmp_path)
    assert (nothing["processor"], nothing["file_system"], nothing["drive"]) == (None, None, None)
    assert surroundings.surroundings(str(tmp_path), tmp_path, tmp_path)["drive"] is None


def test_plots_are_well_formed_and_names_are_text() -> None:
    hostile = "<script>&\"'"
    found = plot.bars(hostile, [plot.Bar(hostile, 1, 0.5, 2), plot.Bar("", 0, 0, 0)], "GB/s")
    found += plot.bars("nothing", [], "GB/s")
    found += plot.lines(hostile, {hostile: [(1, 2.0), (8, 3.0)], "b": [(4, 1.0)]}, "GB/s", "x")
    found += plot.lines("one point", {"a": [(1, 2.0)]}, "GB/s", "x")
    root = ElementTree.fromstring(f"<div>{found}</div>")
    assert len(root.findall(".//svg")) == 4
    assert root.find(".//script") is None
    bars = root.findall(".//rect")
    assert float(bars[0].attrib["width"]) == pytest.approx((720 - 230 - 150) / 2, abs=0.1)


@pytest.mark.usefixtures("without_fio")
def test_the_page_tells_of_a_device_and_of_notes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    result = run_benchmark(Plan(str(path), MIB, 1, 1, 1, kernel="portable"), silent)
    result = json.loads(json.dumps(result))
    result["together"] = {}
    result["notes"] = ["<b>hostile</b>"]
    text = page.dump_page(result)
    assert "&lt;b&gt;hostile" in text
    assert "<b>" not in text
    with pytest.raises(KeyError):
        page.dump_page({})
