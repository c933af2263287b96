# SPDX-License-Identifier: Apache-2.0
"""Documents name only commands and options that there are. Nothing is run: each ``pyhash`` line of
a code block is held against the commands themselves.
"""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pyhash.cli.command_table import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*.md")])
# A group prints its help without click where it can; these options every command has.
HELP = {"--help", "-h"}


def shell_lines(text: str) -> Iterator[str]:
    """The commands in code blocks, fenced or indented, with continued lines joined."""
    for block in re.findall(r"^```(?:sh|console|)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ").strip()
    for line in re.findall(r"^ {4}(pyhash .*)$", text, re.MULTILINE):
        yield line


def pyhash_lines(document: Path) -> list[list[str]]:
    """Arguments of every ``pyhash`` command of a document, up to ``--`` or a pipe."""
    found = []
    for line in shell_lines(document.read_text(encoding="utf-8")):
        if re.match(r"pyhash(?: [a-z]|$)", line) is None:
            continue
        words = shlex.split(line, comments=True)[1:]
        ends = [words.index(mark) for mark in ("--", "|", ">", "&&", ";") if mark in words]
        found.append(words[: min(ends, default=len(words))])
    return found


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and the words after its name."""
    assert words[0] in COMMANDS, f"no command {words[0]}"
    module = importlib.import_module(f"pyhash.cli.{COMMANDS[words[0]][0]}")
    command: click.Command = module.command
    rest = words[1:]
    while isinstance(command, click.Group):
        name = rest.pop(0)
        inner = command.get_command(click.Context(command), name)
        assert inner is not None, f"no command {words[0]} {name}"
        command = inner
    return command, rest


def options_of(command: click.Command) -> dict[str, click.Option]:
    return {
        name: one
        for one in command.params
        if isinstance(one, click.Option)
        for name in (*one.opts, *one.secondary_opts)
    }


def check_line(words: list[str]) -> None:
    """Raise AssertionError unless command, options and number of arguments are right."""
    command, rest = find_command(words)
    options = options_of(command)
    arguments = 0
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            arguments += 1
            continue
        name, mark, _ = word.partition("=")
        assert name in options or name in HELP, f"{' '.join(words)}: no option {name}"
        if name in options and not options[name].is_flag and not mark:
            assert rest, f"{' '.join(words)}: {name} has no value"
            value = rest.pop(0)
            kind = options[name].type
            if isinstance(kind, click.Choice):
                assert value in kind.choices, f"{' '.join(words)}: {name} is never {value}"
    wanted = [one for one in command.params if isinstance(one, click.Argument)]
    if all(one.nargs == 1 for one in wanted):
        assert arguments <= len(wanted), f"{' '.join(words)}: too many arguments"


def test_there_are_lines_to_check() -> None:
    assert sum(len(pyhash_lines(document)) for document in DOCUMENTS) > 50


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(document: Path) -> None:
    for words in pyhash_lines(document):
        check_line(words)


@pytest.mark.parametrize(
    "line",
    [
        "pyhash nothing model",
        "pyhash store nothing",
        "pyhash verify model --nothing",
        "pyhash verify model --key",
        "pyhash verify model another --key a.pub",
        "pyhash store policy --for nobody --role reader",
    ],
)
def test_what_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        check_line(shlex.split(line)[1:])
