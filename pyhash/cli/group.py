# SPDX-License-Identifier: Apache-2.0
"""The click group, which imports a command's module when that command is used, and ``run``.

click's own entry point is not used: it would obey an environment variable (``_PYHASH_COMPLETE``)
that lets any command end in success without having done anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from pyhash.cli import output
from pyhash.cli.answer import Answer, answered
from pyhash.cli.command_table import COMMANDS, HELP_OPTIONS, help_text
from pyhash.cli.report import Report
from pyhash.cli.settings import guess_settings

PROGRAM = "pyhash"


class LazyGroup(click.Group):
    """A group of the commands in ``command_table``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table. Raises nothing."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is no such one.

        Raises:
            ImportError: A library that it needs is not there.
        """
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(f"pyhash.cli.{module}").command
        return command

    def get_help(self, ctx: click.Context) -> str:
        """Return the same text that ``__main__`` prints without click. Raises nothing."""
        return help_text()


GROUP = LazyGroup(PROGRAM, context_settings={"help_option_names": list(HELP_OPTIONS)})


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: Without the name of the program.

    Returns:
        The exit code. Raises nothing.
    """
    outcome = answered(lambda: _invoke(arguments))
    if isinstance(outcome, Answer):
        # Not even the options could be understood, so no command has answered for itself.
        command = next((one for one in arguments if one in COMMANDS), "")
        outcome = Report(command, outcome, guess_settings(arguments), on_stdout=command != "run")
    return outcome.show() if outcome else 0


def _invoke(arguments: Sequence[str]) -> Report | None:
    """Return the report of the command; None when it only printed its help."""
    try:
        with GROUP.make_context(PROGRAM, list(arguments)) as context:
            report: Report = GROUP.invoke(context)
            return report
    except click.exceptions.Exit:
        return None
    except BrokenPipeError:  # from printing help: a report deals with its own
        output.silence_stdout()
        return None
