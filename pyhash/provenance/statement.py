# SPDX-License-Identifier: Apache-2.0
"""One step of a checkpoint's life, as frozen data and as the statement that is signed.

in-toto Statement v1, predicate SLSA Provenance v1, build type one of ours. Every question that
people ask of a model is either answered or listed as unknown; silence is an error. Hand
``load_step`` only the payload of a ``VerifiedPayload``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pyhash import limits
from pyhash.errors import FormatError, LimitError, UsageError
from pyhash.manifest import FORMAT_NAME, STATEMENT_TYPE
from pyhash.merkle import parse_root
from pyhash.provenance.schema import (
    BUILD_TYPE_PREFIX,
    BUILD_TYPE_SUFFIX,
    STEPS,
    build_type,
    check_schema,
    load_schema,
)
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_object,
    expect_string,
    load_json,
    show,
)

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
UNKNOWN_BUILDER = "https://pyhash-checkpoint.org/builder/unknown"
ROLES = ("parent", "dataset", "code", "other")
QUESTIONS = (
    "builder",
    "startedOn",
    "finishedOn",
    "parents",
    "datasets",
    "parameters",
    "command",
    "environment",
)
_PARENTS = {"train": (0, 0), "evaluate": (0, 0), "merge": (2, None)}  # all others: (1, None)
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Material:
    """Something that a step used.

    Attributes:
        role: One of ``ROLES``.
        name: For people.
        digests: (algorithm, lowercase hex); of a checkpoint or directory ``pyhash-v1``. Empty:
            known by name only.
        uri: Where it came from; None: not said.
    """

    role: str
    name: str
    digests: tuple[tuple[str, str], ...] = ()
    uri: str | None = None

    @property
    def root(self) -> str | None:
        """Its pyhash root, 64 hex digits, if it is known. Raises nothing."""
        return dict(self.digests).get(FORMAT_NAME)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. Where a field is None or empty and ``unknown`` does not name it, there is none.

    Attributes:
        step: One of ``STEPS``.
        name: Of the checkpoint that came out, or was measured.
        root: Its root, 64 hex digits.
        oms_digest: Its OMS digest, 64 hex digits; None: not computed.
        materials: What went in.
        parameters: (name, JSON value).
        command: Program and arguments.
        environment: (name, JSON value), as the schema has them.
        builder: URI of who or what did it.
        started, finished: UTC, ``2026-11-25T02:30:00Z``.
        invocation: Name of the run; None: it has none.
        unknown: The ``QUESTIONS`` that nobody could answer.
    """

    step: str
    name: str
    root: str
    oms_digest: str | None = None
    materials: tuple[Material, ...] = ()
    parameters: tuple[tuple[str, JsonValue], ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[tuple[str, JsonValue], ...] | None = None
    builder: str | None = None
    started: str | None = None
    finished: str | None = None
    invocation: str | None = None
    unknown: tuple[str, ...] = ()

    def of_role(self, role: str) -> tuple[Material, ...]:
        """Return the materials of one role. Raises nothing."""
        return tuple(one for one in self.materials if one.role == role)


def dump_step(step: Step) -> bytes:
    """Write the statement of a step: one line of UTF-8 JSON. Pure, thread-safe.

    Raises:
        UsageError: The step does not fit its schema, or a question is neither answered nor
            listed as unknown.
        LimitError: The statement is too large.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": step.name, "digest": _subject_digests(step)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": _dump_predicate(step),
    }
    text = json.dumps(statement, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = text.encode("utf-8", "backslashreplace")
    try:
        load_step(data, path="the statement")
    except LimitError:
        raise
    except FormatError as error:
        raise UsageError(f"this step cannot be stated: {error}") from error
    return data


def load_step(payload: bytes, *, path: str) -> Step:
    """Read a statement strictly. Pure, thread-safe.

    Args:
        payload: The exact bytes that were signed; their signature has been checked.
        path: Where they came from, for messages.

    Raises:
        LimitError: It is too large, or has too many materials.
        FormatError: Not such a statement, or one that leaves a question open.
    """
    outer = expect_fields(
        load_json(payload, path=path, max_bytes=limits.MAX_STATEMENT_BYTES),
        "the statement",
        path,
        required=("_type", "subject", "predicateType", "predicate"),
    )
    for name, only in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if outer[name] != only:
            raise FormatError(f"{path}: {name} is {show(str(outer[name]))}, not {only!r}", path)
    name, root, oms_digest = _load_subject(outer["subject"], path)
    predicate = expect_object(outer["predicate"], "the predicate", path)
    word = _step_of(predicate, path)
    check_schema(predicate, load_schema(word), path)
    definition = cast(dict[str, Any], predicate["buildDefinition"])
    details = cast(dict[str, Any], predicate["runDetails"])
    external, internal = definition["externalParameters"], definition["internalParameters"]
    unknown = tuple(internal["unknown"])
    builder = details["builder"]["id"]
    step = Step(
        word,
        name,
        root,
        oms_digest,
        _load_materials(definition["resolvedDependencies"], path),
        _pairs(external, "parameters"),
        tuple(external["command"]) if "command" in external else None,
        _pairs(internal, "environment"),
        None if builder == UNKNOWN_BUILDER else builder,
        details["metadata"].get("startedOn"),
        details["metadata"].get("finishedOn"),
        details["metadata"].get("invocationId"),
        unknown,
    )
    _check_answers(step, path)
    return step


def _subject_digests(step: Step) -> dict[str, str]:
    own = {FORMAT_NAME: step.root}
    return own if step.oms_digest is None else {"sha256": step.oms_digest, **own}


def _dump_predicate(step: Step) -> dict[str, Any]:
    external: dict[str, Any] = {}
    if step.command is not None:
        external["command"] = list(step.command)
    if step.parameters is not None:
        external["parameters"] = dict(step.parameters)
    internal: dict[str, Any] = {"unknown": list(step.unknown)}
    if step.environment is not None:
        internal["environment"] = dict(step.environment)
    times = {
        "invocationId": step.invocation,
        "startedOn": step.started,
        "finishedOn": step.finished,
    }
    return {
        "buildDefinition": {
            "buildType": build_type(step.step),
            "externalParameters": external,
            "internalParameters": internal,
            "resolvedDependencies": [_dump_material(one) for one in step.materials],
        },
        "runDetails": {
            "builder": {"id": step.builder or UNKNOWN_BUILDER},
            "metadata": {name: time for name, time in times.items() if time is not None},
        },
    }


def _dump_material(material: Material) -> dict[str, Any]:
    dumped: dict[str, Any] = {"name": material.name}
    if material.uri is not None:
        dumped["uri"] = material.uri
    if material.digests:
        dumped["digest"] = dict(material.digests)
    return {**dumped, "annotations": {"role": material.role}}


def _load_subject(value: JsonValue, path: str) -> tuple[str, str, str | None]:
    subjects = expect_array(value, "subject", path)
    if len(subjects) != 1:
        raise FormatError(f"{path}: {len(subjects)} subjects instead of one", path)
    subject = expect_fields(subjects[0], "the subject", path, required=("name", "digest"))
    digests = expect_fields(
        subject["digest"], "its digest", path, required=(FORMAT_NAME,), optional=("sha256",)
    )
    for name, digest in digests.items():
        text = expect_string(digest, f"its digest ({name})", path)
        if len(text) != 64 or not _HEX.issuperset(text):
            raise FormatError(f"{path}: its digest ({name}) is not 64 hex digits", path)
    oms = digests.get("sha256")
    name = expect_string(subject["name"], "the subject's name", path)
    return name, str(digests[FORMAT_NAME]), None if oms is None else str(oms)


def _step_of(predicate: Mapping[str, JsonValue], path: str) -> str:
    definition = expect_object(predicate.get("buildDefinition"), "buildDefinition", path)
    uri = expect_string(definition.get("buildType"), "buildType", path)
    word = uri.removeprefix(BUILD_TYPE_PREFIX).removesuffix(BUILD_TYPE_SUFFIX)
    if word not in STEPS or uri != build_type(word):
        raise FormatError(f"{path}: a build type that is not known: {show(uri)}", path)
    return word


def _load_materials(values: list[dict[str, Any]], path: str) -> tuple[Material, ...]:
    if len(values) > limits.MAX_DEPENDENCIES:
        raise LimitError(f"{path}: more than {limits.MAX_DEPENDENCIES} materials", path)
    return tuple(
        Material(
            one["annotations"]["role"],
            one["name"],
            tuple(sorted(one.get("digest", {}).items())),
            one.get("uri"),
        )
        for one in values
    )


def _pairs(fields: Mapping[str, Any], name: str) -> tuple[tuple[str, JsonValue], ...] | None:
    return tuple(fields[name].items()) if name in fields else None


def _check_answers(step: Step, path: str) -> None:
    """Every question has an answer or is listed as unknown, and not both."""
    if len(set(step.unknown)) != len(step.unknown):
        raise FormatError(f"{path}: a question is listed as unknown twice", path)
    answered = {
        "builder": step.builder is not None,
        "startedOn": step.started is not None,
        "finishedOn": step.finished is not None,
        "parameters": step.parameters is not None,
        "command": step.command is not None,
        "environment": step.environment is not None,
    }
    for question, is_answered in answered.items():
        if is_answered == (question in step.unknown):
            raise FormatError(
                f"{path}: {question} must be answered or listed as unknown, one of them", path
            )
    least, most = _PARENTS.get(step.step, (1, None))
    count = len(step.of_role("parent"))
    few = count < least and "parents" not in step.unknown
    if few or (most is not None and ("parents" in step.unknown or count > most)):
        raise FormatError(f"{path}: {count} parents do not make the step {step.step!r}", path)
    for material in step.materials:
        if material.root is not None:
            _check_root(material, path)


def _check_root(material: Material, path: str) -> None:
    try:
        parse_root(f"{FORMAT_NAME}:{material.root}")
    except UsageError as error:
        raise FormatError(f"{path}: {show(material.name)}: {error}", path) from error
