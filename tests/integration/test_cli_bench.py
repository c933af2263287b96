# SPDX-License-Identifier: Apache-2.0
"""``pyhash bench`` on small samples: its report and page, and above all what it must not do: leave
anything behind, write where it was not told to, write to what it was only given to read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pyhash.benchmark import run as run_module
from pyhash.benchmark import sample as samples
from pyhash.cli import bench, group
from tests.support import command_line, loop_image
from tests.support.answer_schema import check_object
from tests.support.command_line import COMMAND

MIB = 1 << 20
Run = Callable[..., tuple[int, str, str]]
SMALL = ("--size", "4MiB", "--files", "2", "--rounds", "2")


@pytest.fixture(autouse=True)
def without_fio(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds each time; test_benchmark.py has it."""
    monkeypatch.setattr(run_module, "find_fio", lambda _: [])


def check_result(found: dict[str, object]) -> None:
    for group_name in ("reading", "hashing", "together"):
        rates = found[group_name]
        assert isinstance(rates, dict)
        for rate in rates.values():
            assert 0 < rate["min"] <= rate["median"] <= rate["max"]


def test_a_directory(tmp_path: Path, run: Run) -> None:
    code, out, err = run("bench", str(tmp_path), *SMALL, "--format", "json")
    assert code == 0, err
    answer = json.loads(out)
    check_object(answer)
    found = answer["benchmark"]
    check_result(found)
    assert (found["sample"]["kind"], found["sample"]["bytes"], answer["files"]) == (
        *("directory", 4 * MIB),
        2,
    )
    assert {"verify cold", "sign cached", "whole-file cold"} <= set(found["together"])
    verdicts = {(one["mode"], one["cache"]): one for one in found["verdicts"]}
    assert len(verdicts) == 6
    best = max(rate["median"] for name, rate in found["reading"].items() if "cached" not in name)
    assert verdicts["verify", "cold"]["reading"] == best
    assert "pyhash verify" in found["peers"]["signed checkpoint"]
    assert any(name.startswith("sha256sum") for name in found["peers"]["digests of files"])
    assert "round 2 of 2" in err
    assert list(tmp_path.iterdir()) == []


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [str(value) for name, value in attrs if name in ("src", "href", "action")]


def test_text_and_page(tmp_path: Path, run: Run) -> None:
    place = tmp_path / "place"
    place.mkdir()
    page = tmp_path / "page.html"
    code, out, err = run(
        *("bench", str(place), *SMALL, "--no-peers", "--html", str(page), "--threads", "1"),
        *("--kernel", "portable", "--quiet"),
    )
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("verify, cold: ")
    assert any(line.startswith("  memory verify portable x1") for line in lines)
    assert "avx" not in out
    text = page.read_text(encoding="utf-8")
    seen = Page(text)
    assert "svg" in seen.tags
    assert not {"script", "link", "iframe", "img", "object"} & set(seen.tags)
    assert seen.targets == []
    assert not re.search(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme:dark" in text
    assert list(place.iterdir()) == []


def snapshot(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def test_a_file_is_only_read(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(3 * MIB + 17))
    path.chmod(0o400)
    before = snapshot(path)
    code, out, err = run("bench", str(path), "--size", "1GiB", "--rounds", "1", "--format", "json")
    assert code == 0, err
    found = json.loads(out)["benchmark"]
    check_result(found)
    assert (found["sample"]["kind"], found["sample"]["bytes"]) == ("file", 3 * MIB + 17)
    assert found["peers"] == {}
    assert any("peers were not run" in note for note in found["notes"])
    assert (snapshot(path), [one.name for one in tmp_path.iterdir()]) == (before, ["model.bin"])
    code, out, _ = run(
        "bench",
        str(path),
        "--size",
        "2500KiB",
        "--rounds",
        "1",
        "--format",
        "json",
        "--kernel",
        "portable",
    )
    assert json.loads(out)["benchmark"]["sample"]["bytes"] == 2 * MIB


def test_a_device_is_only_read(tmp_path: Path, run: Run) -> None:
    try:
        with loop_image.loop_image(tmp_path) as image:
            (image.root / "x").write_bytes(b"x" * MIB)
            device = subprocess.run(
                ["findmnt", "-n", "-o", "SOURCE", str(image.root)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            assert stat.S_ISBLK(os.stat(device).st_mode)
            code, out, err = run(
                "bench", device, "--size", "4MiB", "--rounds", "1", "--format", "json"
            )
            assert code == 0, err
            found = json.loads(out)["benchmark"]
            assert (found["sample"]["kind"], found["together"]) == ("device", {})
            assert all("would be" in one["sentence"] for one in found["verdicts"])
            assert (image.root / "x").read_bytes() == b"x" * MIB
    except loop_image.Unavailable as reason:
        pytest.skip(f"no block device to try: {reason}")


def test_nothing_opens_what_is_read_for_writing(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(2 * MIB))
    opened: list[int] = []
    real = os.open

    def watch(name: str, flags: int, *more: int, **how: int) -> int:
        if str(name) == str(path):
            opened.append(flags)
        return real(name, flags, *more, **how)

    monkeypatch.setattr(os, "open", watch)
    assert run("bench", str(path), "--rounds", "1", "--quiet")[0] == 0
    assert opened
    assert {flags & os.O_ACCMODE for flags in opened} == {os.O_RDONLY}


# --- refused --------------------------------------------------------------------------------------


def test_short_space_is_refused_before_writing(tmp_path: Path, run: Run) -> None:
    code, out, err = run("bench", str(tmp_path), "--size", "900000GiB")
    assert (code, out) == (3, "")
    assert "are needed; nothing was written. Give a smaller --size" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 3, "nowhere: No such file"),
        (["/dev/null"], 3, "neither a directory nor a file nor a block device"),
        (["empty"], 3, "is empty"),
        ([".", "--size", "7 parsecs"], 2, "give a number with a unit"),
        ([".", "--size", "1MiB"], 2, "at least 8 MiB"),
        ([".", "--kernel", "abacus"], 2, "no kernel"),
        ([".", "--rounds", "0"], 2, "--rounds"),
        ([".", "--size", "8MiB", "--no-peers", "--rounds", "1", "--html", "no/where"], 3, "no"),
    ],
)
def test_refusals(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    found, _, err = run("bench", *arguments)
    assert found == code, err
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: str, __: int) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(samples, "_write", full)
    code, _, err = run("bench", str(tmp_path), *SMALL)
    assert code == 3
    assert "No space left on device" in err
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_may_not_be_written(tmp_path: Path, run: Run) -> None:
    code, _, err = run("bench", "/proc", "--size", "8MiB")
    assert code == 3
    assert err.startswith(("error: /proc: ", "preparing"))


# --- ended ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("word", ["preparing", "round 1", "beside"])
def test_ended_by_a_signal(number: signal.Signals, word: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *COMMAND,
            "bench",
            str(tmp_path),
            "--size",
            "32MiB",
            "--rounds",
            "1",
            "--kernel",
            "portable",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if line.startswith(word):
            break
    time.sleep(0.15)
    process.send_signal(number)
    out, err = process.communicate(timeout=command_line.LIMIT_SECONDS)
    assert (process.returncode, out) == (130, "")
    assert "interrupted: " in err
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_does_not_end_the_cleaning_up() -> None:
    def interrupted_twice() -> None:
        with bench._ended_by_signals():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sizes() -> None:
    for text, size in (("4096", 4096), ("2GiB", 2 << 30), ("3 MB", 3_000_000), ("1k", 1000)):
        assert bench._parse_size(text) == size
    assert group.run(["bench", "--help"]) == 0
