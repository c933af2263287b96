# SPDX-License-Identifier: Apache-2.0
"""The command line before any command runs: help, version, usage errors, what gets imported.

What the commands do is tested in the other test_cli files.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys

import pytest

import pyhash
from pyhash import __main__, _native
from pyhash.cli import command_table, group, keygen, settings
from pyhash.cli.subcommands import Subcommands
from pyhash.signing import ecdsa
from tests.support import command_line
from tests.support.command_line import COMMAND

HEAVY = {"_cffi_backend", "blake3", "cryptography", "numpy", "rich", "xxhash"}


def modules_after(*arguments: str) -> set[str]:
    """Names of all modules that a process has imported when the command is done."""
    script = (
        "import sys; from pyhash.__main__ import main; main();print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *arguments]
    # Measuring coverage imports half of the standard library by itself.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(process.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_imports_nothing_of_weight(arguments: list[str]) -> None:
    imported = modules_after(*arguments)
    assert not imported & {*HEAVY, "click", "typing", "dataclasses"}
    assert "pyhash._native" not in imported


@pytest.mark.parametrize("command", command_table.COMMANDS)
def test_help_of_a_command_imports_click_and_no_engine(command: str) -> None:
    imported = modules_after(command, "--help")
    assert "click" in imported
    assert not imported & HEAVY
    assert "pyhash._native" not in imported


def test_verify_imports_no_progress_bar_and_no_other_digests() -> None:
    imported = modules_after("verify", "/nonexistent", "--key", "/nonexistent", "--quiet")
    assert "pyhash._native" in imported
    assert not imported & {"blake3", "numpy", "rich", "xxhash"}


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(option: str) -> None:
    process = command_line.pyhash(option)
    assert (process.returncode, process.stderr) == (0, b"")
    for name, (_, line) in command_table.COMMANDS.items():
        assert f"  {name} " in process.stdout.decode()
        assert line in process.stdout.decode()


def test_click_shows_the_same_help() -> None:
    # Two options, so that it is click that answers.
    assert command_line.pyhash("-h", "-h").stdout == command_line.pyhash("-h").stdout


def _commands() -> list[str]:
    """Every command; of a group, each of those in it."""
    context = group.GROUP.make_context("pyhash", ["doctor"])
    found = []
    for name in command_table.COMMANDS:
        command = group.GROUP.get_command(context, name)
        inner = command.list_commands(context) if isinstance(command, Subcommands) else [""]
        found += [f"{name} {one}".strip() for one in inner]
    return found


@pytest.mark.parametrize("command", _commands())
def test_help_of_a_command_ends_with_an_example(command: str) -> None:
    process = command_line.pyhash(*command.split(), "--help")
    assert (process.returncode, process.stderr) == (0, b"")
    lines = process.stdout.decode().splitlines()
    example = lines[lines.index("  Example:") + 1 :]
    assert example
    assert all(line.startswith("    pyhash ") for line in example)
    assert any(line.startswith(f"    pyhash {command}") for line in example)


def test_the_commands_of_the_table_are_those_of_the_modules() -> None:
    context = group.GROUP.make_context("pyhash", ["doctor"])
    assert group.GROUP.list_commands(context) == list(command_table.COMMANDS)
    for name in command_table.COMMANDS:
        command = group.GROUP.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_version() -> None:
    process = command_line.pyhash("--version")
    assert process.stdout.decode() == f"pyhash {pyhash.__version__}\n"
    assert (process.returncode, process.stderr) == (0, b"")


def test_no_arguments_are_a_usage_error() -> None:
    process = command_line.pyhash()
    assert (process.returncode, process.stdout) == (2, b"")
    assert process.stderr == command_line.pyhash("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--threads", "2"], "No such option"),
        (["verify"], "Missing argument 'MODEL'"),
        (["verify", "model"], "Missing option '--key'"),
        (["verify", "model", "--key", "k", "more"], "unexpected extra argument"),
        (["verify", "model", "--key", "k", "--threads", "0"], "--threads"),
        (["verify", "model", "--key", "k", "--threads", "two"], "--threads"),
        (["verify", "model", "--key", "k", "--reader", "tape"], "--reader"),
        (["verify", "model", "--key", "k", "--format", "xml"], "--format"),
        (["verify", "model", "--key", "k", "--kernel", "abacus"], "no kernel 'abacus'"),
        (["sign", "model"], "Missing option '--key'"),
        (["keygen", "k", "--curve", "P-192"], "--curve"),
        (["run", "model", "--key", "k"], "no command to start"),
        (["hash"], "give one MODEL"),
        (["hash", "one", "two"], "--algorithm"),
        (["hash", "--algorithm", "sha256"], "needs files"),
        (["hash", "--algorithm", "sha256", "--ignore", "a", "b"], "no --ignore"),
        (["hash", "--algorithm", "md5", "file"], "--algorithm"),
        (["hash", "--algorithm", "blake3", "--kernel", "portable", "file"], "sha256"),
        (["hash", "--check", "list", "file"], "--check"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_usage_errors_exit_with_2(
    arguments: list[str], message: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert group.run(arguments) == 2
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert err.startswith(b"usage: ")
    assert message in err.decode()
    assert b"Traceback" not in err


@pytest.mark.parametrize("option", [["--format", "json"], ["--format=json"]])
def test_a_usage_error_is_one_json_object_too(
    option: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert group.run(["verify", "model", *option]) == 2
    out, err = capsysbinary.readouterr()
    found = json.loads(out)
    assert (found["command"], found["result"], found["exit_code"]) == ("verify", "usage", 2)
    assert "--key" in found["message"]
    assert err == b""


def test_what_follows_two_dashes_is_not_ours(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert group.run(["run", "model", "--", "tool", "--format", "json"]) == 2
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert err.startswith(b"usage: Missing option '--key'")


def test_a_usage_error_of_run_leaves_standard_output_alone(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert group.run(["run", "--format", "json", "model", "--", "tool"]) == 2
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert json.loads(err)["command"] == "run"


@pytest.mark.parametrize(
    "environment",
    [
        {"_PYHASH_COMPLETE": "bash_source"},
        {"_PYHASH_COMPLETE": "zsh_complete", "COMP_WORDS": "pyhash", "COMP_CWORD": "1"},
        {"PYHASH_KEY": "k", "PYHASH_VERIFY_KEY": "k", "PYHASH_VERIFY_KEYS": "k"},
        {"PYHASH_IGNORE": ".", "PYHASH_VERIFY_IGNORE": "."},
    ],
)
def test_no_environment_variable_is_obeyed(environment: dict[str, str]) -> None:
    process = command_line.pyhash("verify", "model", env=environment)
    assert (process.returncode, process.stdout) == (2, b"")
    assert b"Missing option '--key'" in process.stderr


def test_choices_of_the_options_are_those_of_the_library() -> None:
    assert set(settings.READERS) == set(_native.READERS)
    assert keygen.CURVES == ecdsa.CURVES


def test_main_in_this_process(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    for arguments, code in ((["--help"], 0), (["--version"], 0), ([], 2), (["verify"], 2)):
        monkeypatch.setattr(sys, "argv", ["pyhash", *arguments])
        assert __main__.main() == code
    assert b"pyhash sign my-model" in capsysbinary.readouterr().out


def test_the_module_exits_with_what_main_returns(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pyhash", "nonsense"])
    monkeypatch.delitem(sys.modules, "pyhash.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("pyhash", run_name="__main__")
    assert ended.value.code == 2


def test_ctrl_c_while_modules_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__, "_main", interrupt)
    assert __main__.main() == 130


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["doctor"]])
def test_a_reader_that_went_away_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = command_line.pyhash(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["doctor"], ["doctor", "--format", "json"]])
def test_a_full_disk_is_an_error(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        process = command_line.pyhash(*arguments, stdout=full)
    assert process.returncode == 3
    assert b"Traceback" not in process.stderr


def test_standard_streams_that_are_closed() -> None:
    shell = f'"{sys.executable}" -m pyhash'
    for command, code in (
        (f"{shell} doctor >&-", 3),
        (f"{shell} doctor 2>&-", 0),
        (f"{shell} nonsense >&- 2>&-", 2),
    ):
        process = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        assert process.returncode == code, command
    assert subprocess.run([*COMMAND, "doctor"], capture_output=True, check=True).stderr == b""
