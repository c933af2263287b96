# SPDX-License-Identifier: Apache-2.0
"""``pyhash run``: puts a command in the place of this process, but only behind a verification."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any, NoReturn

import click

from pyhash.cli import output
from pyhash.cli.answer import Answer, answered
from pyhash.cli.command import PATH, answering, bundle_options, public_keys_option, root_option
from pyhash.cli.guarantee_options import STARTABLE, Comparison, guarantee_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount, printable
from pyhash.errors import UsageError

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
@guarantee_options
@click.option(
    "--guarantee",
    "least",
    type=click.Choice(STARTABLE),
    default="content",
    help="The weakest guarantee to start behind. Default: content.",
)
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
    least: str,
    **comparison: Any,
) -> Answer:
    """Verify MODEL, then start CMD in the place of this process; otherwise do not start it.

    CMD gets this process's number, standard input and output, and its exit code is the exit code.
    Standard output is left to it; with --format json, the object of a refusal goes to standard
    error. CMD is not started when the answer is no (1), and neither when it is not known (3).
    """

    def verify_and_start() -> NoReturn:
        from pyhash import gate, verify
        from pyhash.guarantees import is_at_least

        gate.find_command(arguments)
        chosen = Comparison(**comparison)
        if chosen.seed is not None:
            raise UsageError(
                "nothing is started behind a sample that was known beforehand (--seed)"
            )
        guarantee = chosen.guarantee()
        if not is_at_least(guarantee.name, least):
            raise UsageError(
                f"these options verify no more than {guarantee.name!r}, and nothing is started"
                f" behind less than {least!r} unless --guarantee {guarantee.name} says so"
            )
        with settings.hashing_options() as options:
            verified = verify(
                model,
                keys=keys,
                signature=signature,
                tree=tree,
                ignore=ignore,
                root=root,
                guarantee=guarantee,
                options=options,
            )
        if not settings.quiet and settings.format == "text":
            text = (
                f"verified: {model}: {amount(verified.size)} in {verified.seconds:.1f} s"
                f" ({verified.guarantee})"
            )
            output.write_stderr(f"{printable(text)}\n")
        for number in IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        gate.start(verified, arguments, least=least)

    answer: Answer = answered(verify_and_start)
    if answer.result == "error":
        answer = replace(answer, label="refused: could not check")
    if arguments:
        answer = replace(answer, message=f"{answer.message}; {arguments[0]} was not started")
    return answer
