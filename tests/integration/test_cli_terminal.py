# SPDX-License-Identifier: Apache-2.0
"""What people see: the progress bar on a terminal, escaped text, and completion in a shell."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from pyhash.cli import completion, group, output
from pyhash.cli.progress import progress_bar
from pyhash.cli.terminal_text import amount, dump_json, printable
from tests.support.command_line import COMMAND, LIMIT_SECONDS, pyhash

LARGE_BYTES = 256 << 20
SLOWLY = ("--threads", "1", "--kernel", "portable")  # half a second on the fastest processor
COLUMNS = 120


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A sparse file that takes long enough to hash for a bar to be worth while."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    return path


def with_terminal(*arguments: str | Path) -> tuple[int, bytes, bytes]:
    """Run a command whose standard error is a terminal: exit code, output, what is seen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    with open(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                seen += terminal.read(1 << 16)
            except OSError as error:
                if error.errno != errno.EIO:  # how a terminal says that its other end is closed
                    raise
                break
    out, _ = process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode, out, seen


@pytest.mark.parametrize("algorithm", [[], ["--algorithm", "sha256"]])
def test_the_bar_has_bytes_rate_and_time_left(algorithm: list[str], large: Path) -> None:
    code, out, seen = with_terminal("hash", *SLOWLY, *algorithm, large)
    assert code == 0
    assert out.endswith(b"  " + os.fsencode(large) + b"\n")
    assert b"/268.4 MB" in seen
    assert b"B/s" in seen
    assert b"0:0" in seen
    assert b"%" in seen


def test_no_bar_when_it_is_not_wanted_or_not_seen(large: Path) -> None:
    assert with_terminal("hash", *SLOWLY, large, "--quiet")[2] == b""
    assert pyhash("hash", *SLOWLY, large).stderr == b""


def test_no_bar_for_what_is_over_at_once(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"content")
    assert with_terminal("hash", tmp_path / "small")[2] == b""


def test_the_bar_is_gone_before_a_refusal(large: Path, tmp_path: Path) -> None:
    # Of two files in a list the one is hashed with a bar, the other is not there.
    lines = f"{'0' * 64}  {large}\n{'0' * 64}  {tmp_path}/missing\n"
    (tmp_path / "list").write_text(lines)
    code, out, seen = with_terminal("hash", *SLOWLY, "--check", tmp_path / "list")
    assert code == 1
    assert out.count(b"FAILED") == 2
    assert seen.rindex(b"B/s") < seen.rindex(b"refused: of 2 files")


def test_bar_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(shown=False) as report:
        assert report is None
    with progress_bar(shown=True) as report:
        assert report is not None
        report(10, 10)
        report(5, 10)
        report(10, 10)
    assert capsys.readouterr().out == ""


# --- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text, caf\u00e9, \u65e5\u672c", "plain text, caf\u00e9, \u65e5\u672c"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("a\nb\rc\td\0", "a\\nb\\rc\\td\\x00"),
        ("\x7f", "\\x7f"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\u200b\u2028\ufeff", "\\u200b\\u2028\\ufeff"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    shown.encode("utf-8")


def test_json_is_ascii_and_strict() -> None:
    value = {"name\x1b": ["\udcff\x7f\u202e", ("\u65e5", 1, None)], "number": 1.5}
    text = dump_json(value)
    assert text.isascii()
    assert text.isprintable()
    back = json.loads(text)
    assert back == {"name\x1b": ["\\udcff\x7f\u202e", ["\u65e5", 1, None]], "number": 1.5}


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (3_221_225_472, "3.2 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_amount(size: int, text: str) -> None:
    assert amount(size) == text


def test_output_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    output.write_stderr("nobody hears this")
    assert output.write_stdout(b"") is None
    assert isinstance(output.write_stdout(b"nor reads this"), OSError)
    assert not output.is_terminal(sys.stderr)


def test_a_full_standard_error_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        monkeypatch.setattr(sys, "stderr", full)
        output.write_stderr("nobody hears this")
        monkeypatch.undo()
        with open(os.devnull, "wb") as null:  # or what is still in the buffer fails at the end
            os.dup2(null.fileno(), full.fileno())


# --- completion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", completion.SCRIPTS)
def test_a_script_asks_through_arguments(shell: str) -> None:
    process = pyhash("completion", shell)
    script = process.stdout.decode()
    assert (process.returncode, process.stderr) == (0, b"")
    assert f"pyhash completion {shell} --at" in script
    assert "_COMPLETE" not in script
    assert script == completion.SCRIPTS[shell]


def complete(capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> list[list[str]]:
    """What a shell is told about the last of these words."""
    arguments = ["completion", "zsh", "--at", str(len(words) - 1), "--", *words]
    assert group.run(arguments) == 0
    return [line.split("\t") for line in capsysbinary.readouterr().out.decode().splitlines()]


def test_what_is_completed(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert [line[1] for line in complete(capsysbinary, "pyhash", "ver")] == ["verify"]
    assert {line[1] for line in complete(capsysbinary, "pyhash", "")} >= {"sign", "run", "hash"}
    options = [line[1] for line in complete(capsysbinary, "pyhash", "verify", "--")]
    assert {"--key", "--signature", "--format", "--ignore"} <= set(options)
    assert "--at" not in [line[1] for line in complete(capsysbinary, "pyhash", "completion", "--")]
    assert complete(capsysbinary, "pyhash", "verify", "")[0][0] == "file"
    algorithms = complete(capsysbinary, "pyhash", "hash", "--algorithm", "x")
    assert [line[1] for line in algorithms] == ["xxh3-128"]
    assert complete(capsysbinary, "pyhash", "nonsense", "") is not None


def test_completing_starts_and_verifies_nothing(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    marker = tmp_path / "marker"
    complete(capsysbinary, "pyhash", "run", "model", "--key", "k", "--", "touch", str(marker), "")
    assert not marker.exists()


def test_a_word_that_is_not_typed_yet(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert group.run(["completion", "fish", "--at", "1", "--", "pyhash"]) == 0
    assert b"plain\tverify\t" in capsysbinary.readouterr().out


def test_bash_completes_a_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(pyhash("completion", "bash").stdout)
    program = tmp_path / "pyhash"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pyhash "$@"\n')
    program.chmod(0o755)
    ask = (
        f'. "{script}"; COMP_WORDS=(pyhash ve); COMP_CWORD=1; _pyhash; echo "${{COMPREPLY[@]}}";'
        'COMP_WORDS=(pyhash hash --algorithm ""); COMP_CWORD=3; _pyhash; echo "${COMPREPLY[@]}"'
    )
    process = subprocess.run(
        ["bash", "--norc", "-c", ask],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.splitlines() == ["verify", "sha256 blake3 xxh3-128"]
