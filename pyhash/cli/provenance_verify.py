# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance verify``: walks from a checkpoint to its first ancestors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, public_keys_option
from pyhash.cli.log_trust import load_trust
from pyhash.cli.provenance_options import STEPS
from pyhash.cli.settings import Settings
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from pyhash.provenance.lineage import Lineage
    from pyhash.signing import Verifier


@answering("provenance verify", example="pyhash provenance verify my-model --key trainer.pub")
@click.argument("model", type=PATH)
@public_keys_option
@click.option("--step-key", "step_keys", multiple=True, metavar="STEP=K.pub", help="Repeatable.")
@click.option("--known-parent", "known", multiple=True, metavar="ROOT", help="Needs no statement.")
@click.option("--allow-unknown-parents", is_flag=True, help="A lineage may begin anywhere.")
@click.option("--allow-dataset", "datasets", multiple=True, metavar="ALGORITHM:HEX")
@click.option("--require-step", "required", multiple=True, type=click.Choice(STEPS))
@click.option("--log-key", type=PATH, metavar="L.vkey", help="All must be in this log.")
@click.option("--witness", "witnesses", multiple=True, type=PATH, metavar="W.vkey")
@click.option("--quorum", type=click.IntRange(min=0), metavar="N", help="Default: all witnesses.")
@click.option("--log", type=PATH, metavar="DIR", help="And nothing in it may have been left out.")
def command(
    settings: Settings,
    *,
    model: str,
    keys: tuple[str, ...],
    step_keys: tuple[str, ...],
    known: tuple[str, ...],
    allow_unknown_parents: bool,
    datasets: tuple[str, ...],
    required: tuple[str, ...],
    log_key: str | None,
    witnesses: tuple[str, ...],
    quorum: int | None,
    log: str | None,
) -> Answer:
    """Check MODEL and every statement about it and its ancestors, by signature and digest.

    Refused: a checkpoint or an ancestor that nobody states the origin of, a statement about
    something else, one that stands twice, one by a key that may not make it.
    """
    from pyhash import locations, verify
    from pyhash.log.proof_file import load_proofs
    from pyhash.log.reader import open_log
    from pyhash.merkle import parse_root
    from pyhash.policy import Policy
    from pyhash.provenance.lineage import verify_complete, verify_lineage
    from pyhash.provenance.requirements import Requirements
    from pyhash.provenance.store import load_lines

    if log_key is None and (log or witnesses or quorum is not None):
        raise UsageError("--log, --witness and --quorum need --log-key")
    others = [one for one in (log_key, *witnesses) if one is not None]
    locations.check_keys_outside(model, [*(one.partition("=")[2] for one in step_keys), *others])
    requirements = Requirements(
        Policy.from_key_files(keys).keys,
        _step_keys(step_keys),
        tuple(parse_root(one).hex() for one in known),
        allow_unknown_parents,
        datasets or None,
        required,
        None if log_key is None else load_trust(log_key, witnesses, quorum),
    )
    with settings.hashing_options() as options:
        verified = verify(model, keys=keys, options=options)
    place = locations.default_provenance(model)
    lineage = verify_lineage(
        verified.root or b"",
        load_lines(place),
        requirements,
        proofs=load_proofs(locations.default_proofs(model)),
        path=place,
    )
    if log is not None and requirements.log is not None:
        verify_complete(lineage, open_log(log, requirements.log), requirements)
    return _answer(model, lineage)


def _answer(model: str, lineage: Lineage) -> Answer:
    steps = [f"{one.step.step} of {one.step.name}" for one in lineage.statements]
    return Answer(
        "verified",
        f"{model}: its lineage is what trusted keys state",
        summary=(
            f"verified   {model}",
            f"root       pyhash-v1:{lineage.root}",
            f"lineage    {' <- '.join(steps)}",
            f"begins at  {', '.join(lineage.beginnings) or 'data'}",
        ),
        root=f"pyhash-v1:{lineage.root}",
        details={"steps": steps, "beginnings": list(lineage.beginnings)},
    )


def _step_keys(pairs: tuple[str, ...]) -> tuple[tuple[str, tuple[Verifier, ...]], ...]:
    from pyhash.signing import load_verifier

    found: dict[str, tuple[Verifier, ...]] = {}
    for pair in pairs:
        step, equals, name = pair.partition("=")
        if not equals:
            raise UsageError(f"not a step and a key: {pair!r}; write STEP=K.pub")
        found[step] = (*found.get(step, ()), load_verifier(name))
    return tuple(found.items())
