# SPDX-License-Identifier: Apache-2.0
"""What the commands about provenance share: options that describe a step, adding a statement,
reading statements back verified or not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from pyhash.access import AccessLog
    from pyhash.hashing import Options
    from pyhash.provenance.description import Description
    from pyhash.provenance.lineage import Statement
    from pyhash.provenance.statement import Material, Step

STEPS = ("train", "fine-tune", "quantize", "prune", "merge", "convert", "evaluate")  # as schema
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Read:
    """Statements that were read back.

    Attributes:
        statements: From the checkpoint back when they are verified, else as in the file.
        root: The checkpoint, 64 hex digits.
        note: A sentence about whether this was verified.
        signed_by, signature: Of the checkpoint itself; None: not checked.
    """

    statements: tuple[Statement, ...]
    root: str
    note: str
    signed_by: str | None = None
    signature: str | None = None


def step_options(function: F) -> F:
    """Add the options that describe a step and say who signs the statement."""
    for option in reversed(
        (
            click.option("--step", type=click.Choice(STEPS), help="What was done."),
            click.option("--key", required=True, type=PATH, metavar="K.key", help="Who states it."),
            click.option(
                "--dataset",
                "datasets",
                multiple=True,
                metavar="DATA",
                help="Directory or file to hash; or NAME=sha256:HEX; or NAME alone. Repeatable.",
            ),
            click.option(
                "--param", "params", multiple=True, metavar="NAME=VALUE", help="Repeatable."
            ),
            click.option("--builder", metavar="URI", help="Who or what did it."),
            click.option(
                "--none",
                multiple=True,
                type=click.Choice(("datasets", "parameters")),
                help="There are none; without this they are recorded as unknown.",
            ),
            click.option("--from", "source", type=PATH, metavar="FILE", help="TOML or YAML."),
        )
    ):
        function = option(function)
    return function


def lineage_key_option(function: F) -> F:
    """Add an optional ``--key``: with it, everything is verified before it is shown."""
    return click.option(
        "--key",
        "keys",
        multiple=True,
        type=PATH,
        metavar="K.pub",
        help="Verify first, under this key. Repeatable. Without: nothing is verified.",
    )(function)


def describe(
    step: str | None,
    datasets: Sequence[str],
    params: Sequence[str],
    builder: str | None,
    none: Sequence[str],
    source: str | None,
    options: Options,
) -> Description:
    """Return what the options say about a step.

    Raises:
        UsageError, FormatError, ReadError: An option or a file makes no sense.
    """
    from pyhash.provenance.description import Description, load_description, merge

    pairs = tuple(_parameter(one) for one in params)
    flags = Description(
        step=step,
        materials=tuple(find_material("dataset", one, options) for one in datasets),
        none=tuple(none),
        builder=builder,
        parameters=pairs or None,
    )
    return flags if source is None else merge(load_description(source), flags)


def find_material(role: str, text: str, options: Options) -> Material:
    """Hash what is there, and take the word for what is not."""
    from pyhash.provenance.description import parse_material
    from pyhash.provenance.subject import hash_material

    if os.path.exists(text):
        return hash_material(role, text, options=options)
    if "=" not in text and os.sep in text.strip(os.sep) and text.startswith((".", os.sep)):
        raise UsageError(f"{text}: no such directory or file")
    return parse_material(role, text)


def add_statement(
    model: str,
    step: Step,
    key: str,
    parents: Sequence[str],
    log: AccessLog | None,
) -> Answer:
    """Sign a step, put it beside the checkpoint together with those of its parents, and log it."""
    from pyhash import access, locations, signing
    from pyhash.provenance.statement import dump_step
    from pyhash.provenance.store import add_lines, load_lines

    locations.check_keys_outside(model, [key])
    signer = signing.load_signer(key)
    bundle = signing.dump_bundle(signing.sign_payload(dump_step(step), signer))
    place = locations.default_provenance(model)
    inherited: list[bytes] = []
    for parent in parents:
        inherited += load_lines(locations.default_provenance(parent))
    add_lines(place, [*inherited, bundle])
    if log is not None:
        access.record_statement(log, bundle, locations.default_proofs(model))
        _inherit_proofs(model, parents)
    unknown = ", ".join(step.unknown) or "nothing"
    return Answer(
        "signed",
        f"stated: {step.step} of {step.name}",
        summary=(
            f"stated   {step.step} of {step.name}",
            f"root     pyhash-v1:{step.root}",
            f"key      {signer.hint}",
            f"unknown  {unknown}",
            f"file     {place}",
        ),
        root=f"pyhash-v1:{step.root}",
        key=signer.hint,
        details={"step": step.step, "unknown": list(step.unknown), "provenance": place},
    )


def read_statements(model: str, keys: tuple[str, ...], options: Options) -> Read:
    """Read the statements beside a checkpoint; with keys, verify it and them.

    Raises:
        VerificationError, CheckError: With keys: it, or a statement, does not verify.
    """
    from pyhash import locations, verify
    from pyhash.policy import Policy
    from pyhash.provenance.lineage import load_unverified, verify_lineage
    from pyhash.provenance.requirements import Requirements
    from pyhash.provenance.store import load_lines
    from pyhash.provenance.subject import describe_checkpoint

    place = locations.default_provenance(model)
    lines = load_lines(place)
    if not keys:
        root = describe_checkpoint(model, options=options).root
        return Read(load_unverified(lines, place), root, "Nothing of this was verified.")
    verified = verify(model, keys=keys, options=options)
    requirements = Requirements(Policy.from_key_files(keys).keys, allow_unknown_parents=True)
    lineage = verify_lineage(verified.root or b"", lines, requirements, path=place)
    return Read(
        lineage.statements,
        lineage.root,
        "Every signature and every digest was verified.",
        verified.key_hint,
        locations.default_bundle(model),
    )


def _inherit_proofs(model: str, parents: Sequence[str]) -> None:
    from pyhash import locations
    from pyhash.log.proof_file import copy_proofs

    for parent in parents:
        copy_proofs(locations.default_proofs(parent), locations.default_proofs(model))


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"not a parameter: {text!r}; write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
