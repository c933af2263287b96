# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance record``: runs a command and states what it did."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_options import access_log_options, open_log_option
from pyhash.cli.provenance_options import add_statement, describe, step_options
from pyhash.cli.settings import Settings
from pyhash.errors import CheckError, UsageError


@answering(
    "provenance record",
    example="pyhash provenance record --step quantize --input model --output model-q8"
    " --key me.key -- python quantize.py model model-q8",
)
@click.argument("arguments", metavar="-- CMD ARGS...", nargs=-1, type=click.UNPROCESSED)
@step_options
@click.option("--input", "inputs", multiple=True, type=PATH, metavar="A", help="Parent checkpoint.")
@click.option("--output", required=True, type=PATH, metavar="B", help="The checkpoint it writes.")
@access_log_options
def command(
    settings: Settings,
    *,
    arguments: tuple[str, ...],
    step: str | None,
    key: str,
    datasets: tuple[str, ...],
    params: tuple[str, ...],
    builder: str | None,
    none: tuple[str, ...],
    source: str | None,
    inputs: tuple[str, ...],
    output: str,
    log: str | None,
    log_key: str | None,
) -> Answer:
    """Run CMD, and sign a statement of what it read and wrote, when, where and with what.

    Inputs and data sets are hashed before and after, the output after it. When CMD fails, nothing
    is stated.
    """
    import os

    from pyhash.provenance.description import Description, make_step, merge
    from pyhash.provenance.recording import record_command
    from pyhash.provenance.subject import describe_checkpoint

    if step is None and source is None:
        raise UsageError("which step is it? (--step)")
    there = [one for one in datasets if os.path.exists(one)]
    named = [one for one in datasets if one not in there]
    access_log = open_log_option(log, log_key)
    with settings.hashing_options() as options:
        typed = describe(
            options,
            step=step,
            datasets=named,
            params=params,
            builder=builder,
            none=none,
            source=source,
        )
        read = [*(("parent", one) for one in inputs), *(("dataset", one) for one in there)]
        recorded = record_command(arguments, read, options=options)
        if recorded.exit_code != 0:
            raise CheckError(
                f"{arguments[0]} ended with {recorded.exit_code}; nothing is stated about it"
            )
        # What was recorded counts more than what was typed, but for the name of the builder.
        known = merge(typed, recorded.description, Description(builder=builder))
        stated = make_step(describe_checkpoint(output, options=options), known)
    return add_statement(output, stated, key, inputs, access_log)
