# SPDX-License-Identifier: Apache-2.0
"""The gate: what it starts, and how. What it refuses is in tests/attacks (test_gate_gap.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _signed import SHARD, flip, write_checkpoint, write_keys

import pyhash
from pyhash import errors, gate
from pyhash.guarantees import sample

Started = list[tuple[str, list[str]]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Programs that were started; nothing is, really."""
    calls: Started = []
    monkeypatch.setattr(gate.os, "execv", lambda *arguments: calls.append(arguments))
    return calls


@pytest.fixture
def public(tmp_path: Path) -> Path:
    return write_keys(tmp_path)[1]


@pytest.fixture
def model(tmp_path: Path, public: Path) -> Path:
    write_checkpoint(tmp_path / "model")
    pyhash.sign(tmp_path / "model", public.with_suffix(".key"))
    return tmp_path / "model"


@pytest.fixture
def proof(model: Path, public: Path) -> pyhash.Verified:
    return pyhash.verify(model, keys=[public])


def make_program(path: Path, text: str = "#!/bin/sh\nexit 0\n", mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


# --- the program ----------------------------------------------------------------------------------


def test_program_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path / "program")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gate.find_command(["program", "x"]) == str(program)
    assert gate.find_command((str(program),)) == str(program)


@pytest.mark.parametrize("name", ["", "absent", "./absent", "/absent", "directory", "plain", "a\0"])
def test_no_program(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "directory").mkdir()
    make_program(tmp_path / "plain", mode=0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.UsageError, match="no such program"):
        gate.find_command([name])


def test_no_command() -> None:
    with pytest.raises(errors.UsageError, match="put it after --"):
        gate.find_command([])


# --- starting -------------------------------------------------------------------------------------


def test_start(proof: pyhash.Verified, tmp_path: Path, started: Started) -> None:
    program = make_program(tmp_path / "program")
    with pytest.raises(errors.UsageError, match="did not start"):
        gate.start(proof, (str(program), "--x", ""))
    assert started == [(str(program), [str(program), "--x", ""])]


def test_start_for_real(model: Path, public: Path) -> None:
    """The program has this process's number, no descriptor of ours, and its own exit code."""
    script = (
        "import sys, os\n"
        "import pyhash\n"
        "from pyhash import gate\n"
        "proof = pyhash.verify(sys.argv[1], keys=[sys.argv[2]])\n"
        "print(os.getpid(), flush=True)\n"
        "gate.start(proof, ['sh', '-c', 'echo $$; ls /proc/$$/fd | sort -n | tail -1; exit 7'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(model), str(public)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    before, after, highest = done.stdout.split()
    assert before == after
    assert int(highest) < 20


def test_program_that_cannot_be_run(proof: pyhash.Verified, tmp_path: Path) -> None:
    broken = make_program(tmp_path / "broken", "#!/nonexistent/interpreter\n")
    with pytest.raises(errors.UsageError, match="broken: cannot be run: No such file"):
        gate.start(proof, [str(broken)])
    with pytest.raises(errors.UsageError, match=r"cannot be run: .*null"):
        gate.start(proof, [str(make_program(tmp_path / "fine")), "a\0b"])


def test_program_is_looked_for_before_the_files(
    proof: pyhash.Verified, model: Path, started: Started
) -> None:
    flip(model / SHARD, 0)
    with pytest.raises(errors.UsageError, match="no such program"):
        gate.start(proof, ["absent"])
    with pytest.raises(errors.ChangedWhileReadError):
        gate.start(proof, ["sh"])
    assert started == []


def test_no_proof(started: Started) -> None:
    for proof in (None, True, object(), pyhash.Verified):
        with pytest.raises(errors.UsageError, match="takes a Verified"):
            gate.start(proof, ["sh"])  # type: ignore[arg-type]
        with pytest.raises(errors.UsageError, match="takes a Verified"):
            gate.check_unchanged(proof)  # type: ignore[arg-type]
    assert started == []


# --- the second look ------------------------------------------------------------------------------


def test_unchanged(proof: pyhash.Verified) -> None:
    gate.check_unchanged(proof)
    gate.check_unchanged(proof)


def test_unchanged_single_file(tmp_path: Path, model: Path, public: Path) -> None:
    file = model / SHARD
    pyhash.sign(file, public.with_suffix(".key"))
    proof = pyhash.verify(file, keys=[public])
    gate.check_unchanged(proof)
    (model / "unrelated").touch()
    gate.check_unchanged(proof)
    flip(file, 0)
    with pytest.raises(errors.ChangedWhileReadError) as caught:
        gate.check_unchanged(proof)
    assert [(one.code, one.path) for one in caught.value.findings] == [("changed", SHARD)]


def test_all_changes_are_told(proof: pyhash.Verified, model: Path) -> None:
    flip(model / SHARD, 0)
    (model / "config.json").unlink()
    (model / "more").touch()
    with pytest.raises(errors.ChangedWhileReadError) as caught:
        gate.check_unchanged(proof)
    assert [one.path for one in caught.value.findings] == ["config.json", SHARD, "more"]
    (model / "link").symlink_to("x")
    with pytest.raises(errors.UnexpectedFileError) as other:
        gate.check_unchanged(proof)
    assert [one.code for one in other.value.findings] == ["unexpected", *["changed"] * 3]


def test_other_working_directory(
    model: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    proof = pyhash.verify("model", keys=[public])
    gate.check_unchanged(proof)
    monkeypatch.chdir("/")
    with pytest.raises(errors.ReadError):
        gate.check_unchanged(proof)


def test_nothing_starts_behind_less_than_was_accepted(
    model: Path, public: Path, started: Started
) -> None:
    weak = pyhash.verify(model, keys=[public], guarantee=sample("100%"))
    with pytest.raises(errors.PolicyError, match="only the guarantee 'sampled' holds"):
        gate.start(weak, ["true"])
    assert started == []
    with pytest.raises(errors.UsageError, match="did not start"):
        gate.start(weak, ["true"], least="sampled")
    assert len(started) == 1
