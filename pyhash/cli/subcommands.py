# SPDX-License-Identifier: Apache-2.0
"""A command that is a group of others: each is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click


class Subcommands(click.Group):
    """A group whose table says in which module of ``pyhash.cli`` each command lies."""

    def __init__(self, name: str, modules: Mapping[str, str], help_text: str) -> None:
        super().__init__(name, help=help_text)
        self._modules = dict(modules)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table. Raises nothing."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is no such one.

        Raises:
            ImportError: A library that it needs is not there.
        """
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(f"pyhash.cli.{self._modules[cmd_name]}")
        command: click.Command = module.command
        return command
