# SPDX-License-Identifier: Apache-2.0
"""pyhash run: the command takes the place of the process, or is not started at all.

Every child would leave a file behind, so that one that must not start cannot do so unseen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pyhash import errors, gate
from pyhash.cli import group
from tests.support import command_line
from tests.support.command_line import COMMAND, SHARD, Signed

RUN = ("run", "--key", "publisher.pub", "model", "--")
CHILD = ("touch", "marker")


def test_the_child_takes_the_place_of_the_process(signed: Signed) -> None:
    script = 'echo $$; cat; echo error >&2; printf "%s\n" "$@"; exit 7'
    process = subprocess.Popen(
        [*COMMAND, *RUN, "sh", "-c", script, "sh", "--key", "two words", "--"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(b"from standard input\n", timeout=command_line.LIMIT_SECONDS)
    expected = f"{process.pid}\nfrom standard input\n--key\ntwo words\n--\n"
    assert (process.returncode, out.decode()) == (7, expected)
    note, said = err.decode().splitlines()
    assert note.startswith("verified: model: ")
    assert said == "error"


@pytest.mark.parametrize("option", [["--quiet"], ["--format", "json"]])
def test_nothing_is_said_when_nobody_wants_to_hear_it(option: list[str], signed: Signed) -> None:
    process = command_line.pyhash(*RUN[:-1], *option, "--", "echo", "started")
    assert (process.returncode, process.stdout, process.stderr) == (0, b"started\n", b"")


def test_the_child_can_be_ended_by_a_signal(signed: Signed) -> None:
    process = command_line.pyhash(*RUN, "sh", "-c", "kill -TERM $$")
    assert process.returncode == -signal.SIGTERM


def test_the_child_ignores_no_signal_because_python_does(signed: Signed) -> None:
    show = ("grep", "SigIgn", "/proc/self/status")
    process = command_line.pyhash(*RUN, *show)
    # What this test's own surroundings ignore is not Python's doing.
    ambient = subprocess.run(show, capture_output=True, check=True).stdout
    assert process.stdout == ambient


def test_no_descriptor_of_ours_reaches_the_child(signed: Signed) -> None:
    process = command_line.pyhash(*RUN, "ls", "/proc/self/fd")
    assert process.stdout.split() == [b"0", b"1", b"2", b"3"]  # 3 is the directory itself


# --- refused ------------------------------------------------------------------------------------


def flip(signed: Signed) -> None:
    command_line.flip_bit(signed.shard, 2 << 20)


def unsign(signed: Signed) -> None:
    Path("model/model.sig").unlink()


def add(signed: Signed) -> None:
    Path("model/extra.py").touch()


def break_bundle(signed: Signed) -> None:
    Path("model/model.sig").write_text("{")


def take_key_away(signed: Signed) -> None:
    Path("publisher.pub").unlink()


DAMAGES = [(flip, 1), (unsign, 1), (add, 1), (break_bundle, 3), (take_key_away, 3)]


@pytest.mark.parametrize(("damage", "code"), DAMAGES)
def test_refused(damage: Callable[[Signed], None], code: int, signed: Signed) -> None:
    damage(signed)
    process = command_line.pyhash(*RUN, *CHILD)
    assert (process.returncode, process.stdout) == (code, b"")
    headline = process.stderr.decode().splitlines()[0]
    assert headline.startswith("refused: could not check: " if code == 3 else "refused: ")
    assert headline.endswith("; touch was not started")
    assert not Path("marker").exists()


@pytest.mark.parametrize(("damage", "code"), DAMAGES)
def test_refused_as_json(
    damage: Callable[[Signed], None],
    code: int,
    signed: Signed,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    damage(signed)
    assert group.run([*RUN[:-1], "--format", "json", "--", *CHILD]) == code
    out, err = capsysbinary.readouterr()
    found = json.loads(err)
    assert out == b""
    assert (found["command"], found["exit_code"]) == ("run", code)
    assert found["result"] == ("refused" if code == 1 else "error")
    assert found["checkpoint"] == "model"
    assert found["message"].endswith("; touch was not started")
    if damage is flip:
        assert [finding["path"] for finding in found["findings"]] == [SHARD]
    assert not Path("marker").exists()


def test_a_program_that_is_not_there_is_found_out_first(signed: Signed) -> None:
    flip(signed)
    process = command_line.pyhash(*RUN, "no-such-program")
    assert (process.returncode, process.stdout) == (2, b"")
    message = b"usage: no-such-program: no such program; no-such-program was not started\n"
    assert process.stderr == message


def test_a_program_that_the_system_does_not_run(signed: Signed) -> None:
    program = Path("program")
    program.write_bytes(b"\x7fELF and nothing else")
    program.chmod(0o755)
    process = command_line.pyhash(*RUN, "./program")
    assert (process.returncode, process.stdout) == (2, b"")
    assert b"./program was not started" in process.stderr


def test_no_command(signed: Signed) -> None:
    process = command_line.pyhash(*RUN)
    assert (process.returncode, process.stdout) == (2, b"")
    assert process.stderr == b"usage: no command to start: put it after --\n"


def test_no_key(signed: Signed) -> None:
    process = command_line.pyhash("run", "model", "--", *CHILD)
    assert process.returncode == 2
    assert not Path("marker").exists()


def test_the_name_of_the_program_is_escaped(signed: Signed) -> None:
    process = command_line.pyhash(*RUN, "\x1b[2J")
    assert process.returncode == 2
    assert b"\x1b" not in process.stderr


def test_a_change_behind_the_verification_is_refused(
    signed: Signed, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    check_unchanged = gate.check_unchanged

    def change_first(verified: object) -> None:
        flip(signed)
        check_unchanged(verified)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "check_unchanged", change_first)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started"))
    assert group.run([*RUN, *CHILD]) == 1
    assert b"changed after it was verified; touch was not started" in capsysbinary.readouterr().err


def test_options_reach_the_verification(
    signed: Signed, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    started: list[tuple[str, ...]] = []

    def start(verified: object, arguments: tuple[str, ...], *, least: str) -> NoReturn:
        assert least == "content"
        started.append(arguments)
        raise errors.UsageError("not in a test")

    monkeypatch.setattr(gate, "start", start)
    add(signed)
    Path("model/model.sig").rename("elsewhere.sig")
    Path("model/model.tree").rename("elsewhere.tree")
    options = ("--signature", "elsewhere.sig", "--tree", "elsewhere.tree", "--ignore", "extra.py")
    assert group.run([*RUN[:-1], "--quiet", *options, "--", *CHILD]) == 2
    assert started == [CHILD]
    assert group.run([*RUN[:-1], *options[:-2], "--", *CHILD]) == 1
    assert started == [CHILD]
    assert capsysbinary.readouterr().out == b""
