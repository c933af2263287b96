# SPDX-License-Identifier: Apache-2.0
"""What makes a function a command: common options, exceptions to answers, an answer to a report.

Also the options that several commands share under the same names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

import click

from pyhash.cli.answer import Answer, answered
from pyhash.cli.report import Report
from pyhash.cli.settings import Settings, common_options

F = TypeVar("F", bound=Callable[..., Any])

# Existence is found out, and told apart from a refusal, by the library.
PATH = click.Path(readable=False)


def answering(
    name: str, *, example: str, on_stdout: bool = True
) -> Callable[[Callable[..., Answer]], click.Command]:
    """Return a decorator that makes a click command of a function.

    Args:
        name: Of the command.
        example: Runnable lines for the end of the help.
        on_stdout: False: standard output is left alone.

    Returns:
        A decorator. Its function takes ``Settings`` and, by name, its own parameters; what it
        returns or raises becomes the report. Raises nothing.
    """

    def decorate(work: Callable[..., Answer]) -> click.Command:
        @functools.wraps(work)
        def callback(**parameters: Any) -> Report:
            settings = Settings(**{one.name: parameters.pop(one.name) for one in fields(Settings)})
            answer = answered(lambda: work(settings, **parameters))
            answer = replace(answer, checkpoint=answer.checkpoint or parameters.get("model"))
            return Report(name, answer, settings, on_stdout)

        epilog = "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
        command = click.command(name, epilog=epilog)(callback)
        command.params += common_options()
        return command

    return decorate


def bundle_options(function: F) -> F:
    """Add ``--signature``, ``--tree`` and ``--ignore`` to a command. Raises nothing."""
    return located_options(ignore_option(function))


def located_options(function: F) -> F:
    """Add ``--signature`` and ``--tree`` to a command. Raises nothing."""
    function = click.option(
        "--tree", type=PATH, metavar="FILE", help="Default: MODEL/model.tree, or MODEL.tree."
    )(function)
    return click.option(
        "--signature", type=PATH, metavar="FILE", help="Default: MODEL/model.sig, or MODEL.sig."
    )(function)


def ignore_option(function: F) -> F:
    """Add ``--ignore`` to a command. Raises nothing."""
    return click.option(
        "--ignore",
        multiple=True,
        metavar="PATH",
        help="Leave out this path inside MODEL, with all below it. Repeatable.",
    )(function)


def public_keys_option(function: F, *, required: bool = True) -> F:
    """Add a verifier's ``--key`` to a command. Raises nothing."""
    return click.option(
        "--key",
        "keys",
        multiple=True,
        required=required,
        type=PATH,
        metavar="K.pub",
        help="Public key to trust. Repeatable: any one of them may have signed.",
    )(function)


def optional_keys_option(function: F) -> F:
    """Add ``--key`` to a command that has another way to go; it must refuse having neither.

    Raises nothing.
    """
    return public_keys_option(function, required=False)


def root_option(function: F) -> F:
    """Add a verifier's ``--root`` to a command. Raises nothing."""
    return click.option(
        "--root",
        metavar="ROOT",
        help="Accept only the checkpoint with this root, as sign and hash print it.",
    )(function)


def links_option(function: F) -> F:
    """Add ``--links-within`` to a command. Raises nothing."""
    return click.option(
        "--links-within",
        type=PATH,
        metavar="DIR",
        help="Take links to files inside this directory, such as the root of a download cache, for"
        " the files. Default: links are refused.",
    )(function)


def historical_option(function: F) -> F:
    """Add a verifier's ``--accept-historical`` to a command. Raises nothing."""
    return click.option(
        "--accept-historical",
        is_flag=True,
        help="Also take bundles of model-signing before 1.1. Risk: some of their signatures are"
        " over an encoding that can be confused with other signed data, and say less. Sign again.",
    )(function)
