# SPDX-License-Identifier: Apache-2.0
"""``pyhash run``: puts a command in the place of this process, but only behind a verification.

Or behind a rule of a policy file with mode ``warn`` or ``off``; then it says so, loudly, and never
that anything was verified.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import click

from pyhash.cli.answer import Answer, answered
from pyhash.cli.command import PATH, answering
from pyhash.cli.guarantee_options import guarantee_options, least_option, take_comparison
from pyhash.cli.log_options import access_log_options, open_log_option
from pyhash.cli.receipt_options import check_receipt_options, start_receipt_options
from pyhash.cli.settings import Settings
from pyhash.cli.starting import Request, verify_and_start
from pyhash.cli.trust import take_trust, trust_options


@answering(
    "run",
    example="pyhash run --key publisher.pub my-model -- python serve.py my-model",
    on_stdout=False,
)
@click.argument("model", type=PATH)
@click.argument("arguments", metavar="-- CMD ARGS...", nargs=-1, type=click.UNPROCESSED)
@trust_options
@guarantee_options
@least_option
@access_log_options
@start_receipt_options
def command(
    settings: Settings,
    *,
    model: str,
    arguments: tuple[str, ...],
    least: str,
    log: str | None,
    log_key: str | None,
    vsa: str | None,
    vsa_key: str | None,
    **parameters: Any,
) -> Answer:
    """Verify MODEL, then start CMD in the place of this process; otherwise do not start it.

    CMD gets this process's number, standard input and output, and its exit code is the exit code.
    Standard output is left to it; with --format json, the object of a refusal goes to standard
    error. CMD is not started when the answer is no (1), and neither when it is not known (3).
    A rule of a policy file may say otherwise, with mode warn or off: then it is started, and
    standard error says that it is UNVERIFIED.
    """
    comparison = take_comparison(parameters)
    trust = take_trust(parameters)

    def start() -> NoReturn:
        access_log = open_log_option(log, log_key)
        check_receipt_options(vsa, vsa_key)
        request = Request(settings, trust, comparison, least, vsa, vsa_key)
        verify_and_start(request, model, arguments, access_log)

    answer: Answer = answered(start)
    if answer.result == "error":
        answer = replace(answer, label="refused: could not check")
    if arguments:
        answer = replace(answer, message=f"{answer.message}; {arguments[0]} was not started")
    return answer
