# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance add``: states a step that took place, as a person describes it."""

from __future__ import annotations

import os

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_options import access_log_options, open_log_option
from pyhash.cli.provenance_options import add_statement, describe, find_material, step_options
from pyhash.cli.settings import Settings


@answering(
    "provenance add",
    example="pyhash provenance add my-model --step train --dataset ./corpus --key trainer.key",
)
@click.argument("model", type=PATH)
@step_options
@click.option(
    "--parent",
    "parents",
    multiple=True,
    metavar="MODEL",
    help="Checkpoint that it was made from: a directory, NAME=pyhash-v1:HEX or NAME. Repeatable.",
)
@click.option("--started", metavar="TIME", help="UTC, as 2026-11-25T02:30:00Z.")
@click.option("--finished", metavar="TIME", help="UTC.")
@click.option("--model-card", type=PATH, metavar="FILE", help="README.md to start from.")
@access_log_options
def command(
    settings: Settings,
    *,
    model: str,
    step: str | None,
    key: str,
    datasets: tuple[str, ...],
    params: tuple[str, ...],
    builder: str | None,
    none: tuple[str, ...],
    source: str | None,
    parents: tuple[str, ...],
    started: str | None,
    finished: str | None,
    model_card: str | None,
    log: str | None,
    log_key: str | None,
) -> Answer:
    """Sign a statement about MODEL and put it beside the signature, which stays valid.

    Data sets and parents that are there are hashed. What nobody says is recorded as unknown.
    """
    from pyhash.provenance.description import Description, make_step, merge
    from pyhash.provenance.model_card import load_model_card
    from pyhash.provenance.subject import describe_checkpoint

    access_log = open_log_option(log, log_key)
    card = Description()
    if model_card is not None:
        read = load_model_card(model_card)
        card = Description(step=read.step, materials=read.materials)
    with settings.hashing_options() as options:
        flags = describe(
            options,
            step=step,
            datasets=datasets,
            params=params,
            builder=builder,
            none=none,
            source=source,
        )
        materials = tuple(find_material("parent", one, options) for one in parents)
        more = Description(materials=materials, started=started, finished=finished)
        stated = make_step(describe_checkpoint(model, options=options), merge(card, flags, more))
    present = [one for one in parents if os.path.exists(one)]
    return add_statement(model, stated, key, present, access_log)
