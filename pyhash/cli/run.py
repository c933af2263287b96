# SPDX-License-Identifier: Apache-2.0
"""``pyhash run``: puts a command in the place of this process, but only behind a verification."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import NoReturn

import click

from pyhash.cli import output
from pyhash.cli.answer import Answer, answered
from pyhash.cli.command import (
    PATH,
    answering,
    bundle_options,
    historical_option,
    links_option,
    public_keys_option,
    root_option,
)
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount, printable

# Python ignores these, and what is ignored stays so in the program that takes its place.
IGNORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)


@answering(
    "run",
    example="pyhash run --key publisher.pub my-model -- python serve.py my-model",
    on_stdout=False,
)
@click.argument("model", type=PATH)
@click.argument("arguments", metavar="-- CMD ARGS...", nargs=-1, type=click.UNPROCESSED)
@public_keys_option
@bundle_options
@root_option
@links_option
@historical_option
def command(
    settings: Settings,
    *,
    model: str,
    arguments: tuple[str, ...],
    keys: tuple[str, ...],
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    root: str | None,
    links_within: str | None,
    accept_historical: bool,
) -> Answer:
    """Verify MODEL, then start CMD in the place of this process; otherwise do not start it.

    CMD gets this process's number, standard input and output, and its exit code is the exit code.
    Standard output is left to it; with --format json, the object of a refusal goes to standard
    error. CMD is not started when the answer is no (1), and neither when it is not known (3).
    """

    def verify_and_start() -> NoReturn:
        from pyhash import gate, verify

        gate.find_command(arguments)
        with settings.hashing_options() as options:
            verified = verify(
                model,
                keys=keys,
                signature=signature,
                tree=tree,
                ignore=ignore,
                root=root,
                links_within=links_within,
                accept_historical=accept_historical,
                options=options,
            )
        if not settings.quiet and settings.format == "text":
            text = f"verified: {model}: {amount(verified.size)} in {verified.seconds:.1f} s"
            output.write_stderr(f"{printable(text)}\n")
        for number in IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        gate.start(verified, arguments)

    answer: Answer = answered(verify_and_start)
    if answer.result == "error":
        answer = replace(answer, label="refused: could not check")
    if arguments:
        answer = replace(answer, message=f"{answer.message}; {arguments[0]} was not started")
    return answer
