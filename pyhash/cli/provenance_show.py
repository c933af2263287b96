# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance show``: what is stated about a checkpoint, and what is unknown."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.provenance_reading import lineage_key_option, read_statements
from pyhash.cli.settings import Settings

if TYPE_CHECKING:
    from pyhash.provenance.lineage import Statement
    from pyhash.provenance.statement import Material


@answering("provenance show", example="pyhash provenance show my-model --key trainer.pub")
@click.argument("model", type=PATH)
@lineage_key_option
def command(settings: Settings, *, model: str, keys: tuple[str, ...]) -> Answer:
    """Show every statement beside MODEL: who, when, on which data, where, from what."""
    with settings.hashing_options() as options:
        read = read_statements(model, keys, options)
    lines = [line for one in read.statements for line in _lines(one)]
    return Answer(
        "verified" if keys else "ok",
        read.note,
        lines=tuple(lines or ["nobody states anything about this checkpoint"]),
        note=read.note,
        root=f"pyhash-v1:{read.root}",
        details={
            "verified": bool(keys),
            "statements": [{"key": one.key, **asdict(one.step)} for one in read.statements],
        },
    )


def _lines(statement: Statement) -> list[str]:
    step = statement.step
    environment = dict(step.environment or ())
    facts = {
        "root": f"pyhash-v1:{step.root}",
        "signed by": statement.key,
        "builder": step.builder,
        "time": f"{step.started or '?'} to {step.finished or '?'}",
        "host": environment.get("host"),
        "command": None if step.command is None else " ".join(step.command),
        "unknown": ", ".join(step.unknown) or None,
    }
    return [
        f"{step.step} of {step.name}",
        *(f"  {name:10} {value}" for name, value in facts.items() if value is not None),
        *(f"  {one.role:10} {one.name} {_digest(one)}" for one in step.materials),
        *(f"  {'parameter':10} {name} = {value}" for name, value in step.parameters or ()),
    ]


def _digest(material: Material) -> str:
    return ":".join(material.digests[0]) if material.digests else "(no digest)"
