# SPDX-License-Identifier: Apache-2.0
"""A person's description of a step, as TOML or YAML, merged with what tools found out.

What nobody gives an answer to becomes unknown; what there is none of must be said (``none``).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyhash import files, limits
from pyhash.errors import FormatError, UsageError
from pyhash.merkle import ROOT_PREFIX, parse_root
from pyhash.provenance.model_card import load_yaml
from pyhash.provenance.statement import QUESTIONS, Material, Step
from pyhash.provenance.subject import Subject
from pyhash.strict_json import JsonValue

_WORDS = ("step", "builder", "started", "finished", "invocation")
_LISTS = ("parents", "datasets", "none", "command")
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Description:
    """What is known about a step; None and empty: nothing is.

    Attributes:
        step: One of ``schema.STEPS``.
        materials: What went in.
        none: Questions whose answer is known to be "none": ``parents``, ``datasets``,
            ``parameters``.
        builder, started, finished, invocation, command, parameters, environment: As in ``Step``.
    """

    step: str | None = None
    materials: tuple[Material, ...] = ()
    none: tuple[str, ...] = ()
    builder: str | None = None
    started: str | None = None
    finished: str | None = None
    invocation: str | None = None
    command: tuple[str, ...] | None = None
    parameters: tuple[tuple[str, JsonValue], ...] | None = None
    environment: tuple[tuple[str, JsonValue], ...] | None = None


def load_description(location: str | os.PathLike[str]) -> Description:
    """Read a description; the ending ``.toml`` or ``.yaml`` says which it is.

    Raises:
        FormatError: Not such a file, or a field that there is not.
        DependencyError: YAML, and PyYAML is not installed.
        ReadError, LimitError: It cannot be read.
    """
    name = os.fspath(location)
    data = files.read_small(name, limits.MAX_MODEL_CARD_BYTES)
    try:
        text = data.decode("utf-8")
        fields = tomllib.loads(text) if name.endswith(".toml") else load_yaml(text, name)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"{name}: cannot be read: {error}", name) from error
    for field in fields:
        if field not in (*_WORDS, *_LISTS, "parameters"):
            raise FormatError(f"{name}: no field {field!r} in the description of a step", name)
    words: dict[str, Any] = {
        word: _text(fields[word], word, name) for word in _WORDS if word in fields
    }
    lists = {word: _texts(fields.get(word, []), word, name) for word in _LISTS}
    parameters = fields.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise FormatError(f"{name}: parameters is no table", name)
    return Description(
        materials=(
            *(parse_material("parent", one) for one in lists["parents"]),
            *(parse_material("dataset", one) for one in lists["datasets"]),
        ),
        none=lists["none"],
        command=lists["command"] or None,
        parameters=None if parameters is None else _values(parameters, name),
        **words,
    )


def parse_material(role: str, text: str) -> Material:
    """Read what a person writes for a material that is not hashed here.

    Args:
        role: ``parent`` or ``dataset``.
        text: ``NAME`` alone, ``NAME=pyhash-v1:HEX`` or ``NAME=sha256:HEX``.

    Raises:
        UsageError: Something else.
    """
    name, equals, digest = text.rpartition("=")
    if not equals:
        return Material(role, text)
    algorithm, colon, digits = digest.partition(":")
    if digest.startswith(ROOT_PREFIX):
        parse_root(digest)
    elif not colon or not name or not 40 <= len(digits) <= 128 or not _HEX.issuperset(digits):
        raise UsageError(
            f"not a material: {text!r}; write NAME, NAME={ROOT_PREFIX}<hex> or NAME=sha256:<hex>"
        )
    return Material(role, name, ((algorithm, digits),))


def merge(*descriptions: Description) -> Description:
    """Put descriptions together; what a later one says counts. Materials are added up.

    Raises nothing.
    """
    fields: dict[str, Any] = {}
    for name in Description.__dataclass_fields__:
        given = [getattr(one, name) for one in descriptions]
        if name in ("materials", "none"):
            fields[name] = tuple(dict.fromkeys(item for one in given for item in one))
        else:
            fields[name] = next((one for one in reversed(given) if one is not None), None)
    return Description(**fields)


def make_step(subject: Subject, known: Description) -> Step:
    """Return the step of a description; whatever has no answer is unknown.

    Raises:
        UsageError: No step is named, or ``none`` contradicts what is given.
    """
    if known.step is None:
        raise UsageError("which step was it? (--step)")
    roles = {one.role for one in known.materials}
    answers: Mapping[str, bool] = {
        "builder": known.builder is not None,
        "startedOn": known.started is not None,
        "finishedOn": known.finished is not None,
        "parents": "parent" in roles or known.step in ("train", "evaluate"),
        "datasets": "dataset" in roles,
        "parameters": known.parameters is not None,
        "command": known.command is not None,
        "environment": known.environment is not None,
    }
    for question in known.none:
        if question not in ("datasets", "parameters") or answers[question]:
            raise UsageError(f"'none' does not answer {question!r}, or there are some")
    unknown = [one for one in QUESTIONS if not answers[one] and one not in known.none]
    no_parameters = "parameters" in known.none
    return Step(
        known.step,
        subject.name,
        subject.root,
        subject.oms_digest,
        known.materials,
        () if no_parameters else known.parameters,
        known.command,
        known.environment,
        known.builder,
        known.started,
        known.finished,
        known.invocation,
        tuple(unknown),
    )


def _text(value: object, where: str, path: str) -> str:
    if hasattr(value, "isoformat"):  # both formats have times of their own
        value = value.isoformat().replace("+00:00", "Z")
    if not isinstance(value, str):
        raise FormatError(f"{path}: {where} is no text", path)
    return value


def _texts(value: object, where: str, path: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise FormatError(f"{path}: {where} is no list", path)
    return tuple(_text(one, where, path) for one in value)


def _values(table: Mapping[str, Any], path: str) -> tuple[tuple[str, JsonValue], ...]:
    for name, value in table.items():
        if not isinstance(value, (str, int, float, bool, list, dict)):
            raise FormatError(f"{path}: parameters.{name} is nothing that JSON has", path)
    return tuple(table.items())
