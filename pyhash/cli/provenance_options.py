# SPDX-License-Identifier: Apache-2.0
"""What the commands that state a step share: the options that describe it, and the statement."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from pyhash.access import AccessLog
    from pyhash.hashing import Options
    from pyhash.provenance.description import Description
    from pyhash.provenance.statement import Material, Step

STEPS = ("train", "fine-tune", "quantize", "prune", "merge", "convert", "evaluate")  # as schema
F = TypeVar("F", bound=Callable[..., Any])


def step_options(function: F) -> F:
    """Add the options that describe a step and say who signs the statement. Raises nothing."""
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


def describe(
    options: Options,
    *,
    step: str | None,
    datasets: Sequence[str],
    params: Sequence[str],
    builder: str | None,
    none: Sequence[str],
    source: str | None,
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
    """Hash what is there, and take the word for what is not.

    Raises:
        UsageError: There is no such directory or file, or the word is none for a material.
        UnexpectedFileError, ReadError, ChangedWhileReadError, LimitError, EngineError: As
            ``hash_material``.
    """
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
    """Sign a step, put it beside the checkpoint together with those of its parents, and log it.

    Raises:
        UsageError: The key lies in the checkpoint, or the step does not fit its schema.
        KeyFileError: The key cannot be used.
        CheckError: The signer could not sign, or a file of statements cannot be read or written.
        LimitError: The statement is too large, or there would be too many.
        LogError, SignatureError, FormatError: With a log: as ``access.record_statement``.
    """
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
