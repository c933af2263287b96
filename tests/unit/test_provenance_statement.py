# SPDX-License-Identifier: Apache-2.0
"""Statements of steps: what is written, that every question has an answer, and the schemas."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest

from pyhash import limits
from pyhash.errors import EngineError, FormatError, LimitError, UsageError
from pyhash.provenance import schema, statement
from pyhash.provenance.statement import QUESTIONS, Material, Step, dump_step, load_step

ROOT, OTHER = "ab" * 32, "cd" * 32
PARENT = Material("parent", "base", (("pyhash-v1", OTHER),))
FULL = Step(
    "fine-tune",
    "tuned",
    ROOT,
    "ef" * 32,
    (
        PARENT,
        Material("dataset", "corpus", (("sha256", "12" * 32),), "https://example.com/corpus"),
        Material("dataset", "only a name"),
    ),
    (("epochs", 3), ("learning_rate", 0.5), ("own", {"a": [1, None]})),
    ("python", "train.py"),
    (("host", "h"), ("packages", {"numpy": "2"}), ("accelerators", [])),
    "https://example.com/builder",
    "2026-11-25T02:30:00Z",
    "2026-11-25T02:31:00Z",
    "run-7",
)
NOTHING = Step("train", "m", ROOT, unknown=tuple(one for one in QUESTIONS if one != "parents"))


def test_statement_is_in_toto_and_slsa() -> None:
    value = json.loads(dump_step(FULL))
    assert value["_type"] == "https://in-toto.io/Statement/v1"
    assert value["predicateType"] == "https://slsa.dev/provenance/v1"
    assert value["subject"] == [
        {"name": "tuned", "digest": {"sha256": "ef" * 32, "pyhash-v1": ROOT}}
    ]
    definition = value["predicate"]["buildDefinition"]
    assert definition["buildType"] == "https://pyhash-checkpoint.org/build/fine-tune/v1"
    assert definition["resolvedDependencies"][0] == {
        "name": "base",
        "digest": {"pyhash-v1": OTHER},
        "annotations": {"role": "parent"},
    }
    assert definition["internalParameters"]["unknown"] == []
    assert value["predicate"]["runDetails"] == {
        "builder": {"id": "https://example.com/builder"},
        "metadata": {
            "invocationId": "run-7",
            "startedOn": "2026-11-25T02:30:00Z",
            "finishedOn": "2026-11-25T02:31:00Z",
        },
    }


@pytest.mark.parametrize("step", [FULL, NOTHING])
def test_read_back(step: Step) -> None:
    assert load_step(dump_step(step), path="s") == step


def test_unknown_is_recorded_as_unknown() -> None:
    value = json.loads(dump_step(NOTHING))
    internal = value["predicate"]["buildDefinition"]["internalParameters"]
    assert set(internal["unknown"]) == set(QUESTIONS) - {"parents"}
    assert value["predicate"]["runDetails"]["builder"]["id"].endswith("/unknown")


BAD_STEPS = {
    "silence": {"builder": None},
    "answered_and_unknown": {"unknown": ("builder",)},
    "unknown_twice": {"builder": None, "unknown": ("builder", "builder")},
    "no_such_question": {"unknown": ("weather",)},
    "no_parent": {"materials": ()},
    "train_with_parent": {"step": "train"},
    "train_with_unknown_parents": {"step": "train", "materials": (), "unknown": ("parents",)},
    "merge_of_one": {"step": "merge"},
    "no_such_step": {"step": "steal"},
    "bad_time": {"started": "yesterday"},
    "bad_parameter": {"parameters": (("epochs", "three"),)},
    "bad_root": {"root": "xyz"},
    "short_root": {"root": "ab"},
    "bad_environment": {"environment": (("weather", "fine"),)},
    "bad_digest": {"materials": (PARENT, Material("other", "x", (("sha256", "ab"),)))},
    "short_parent": {"materials": (Material("parent", "x", (("pyhash-v1", "ab" * 20),)),)},
    "bad_role": {"materials": (PARENT, Material("cook", "x"))},
    "no_command": {"command": ()},
    "no_name": {"materials": (PARENT, Material("other", ""))},
}


@pytest.mark.parametrize("change", BAD_STEPS.values(), ids=BAD_STEPS)
def test_what_cannot_be_stated(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        dump_step(dataclasses.replace(FULL, **change))


def change(path: str, value: object) -> bytes:
    whole = json.loads(dump_step(FULL))
    *places, last = path.split("/")
    here: Any = whole
    for place in places:
        here = here[int(place)] if isinstance(here, list) else here[place]
    if isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("_type", "https://in-toto.io/Statement/v0.1"),
        ("predicateType", "https://slsa.dev/provenance/v0.2"),
        ("predicateType", 1),
        ("extra", 1),
        ("subject", []),
        ("subject/0", {"name": "x", "digest": {"sha256": "ef" * 32}}),
        ("subject/0/digest/pyhash-v1", "AB" * 32),
        ("subject/0/digest/md5", "ab"),
        ("subject/0/uri", "x"),
        ("predicate", []),
        ("predicate/buildDefinition", None),
        ("predicate/buildDefinition/buildType", "https://example.com/build/train/v1"),
        ("predicate/buildDefinition/buildType", "https://pyhash-checkpoint.org/build/train/v2"),
        ("predicate/buildDefinition/buildType", "train"),
        ("predicate/buildDefinition/extra", 1),
        ("predicate/runDetails/builder", {}),
        ("predicate/runDetails/metadata/startedOn", "2026-11-25T02:30:00Z\n"),
        ("predicate/buildDefinition/resolvedDependencies/0", "base"),
        ("predicate/buildDefinition/resolvedDependencies/0/annotations", {}),
    ],
)
def test_what_is_no_statement(path: str, value: object) -> None:
    with pytest.raises(FormatError):
        load_step(change(path, value), path="s")


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dump_step(FULL)
    monkeypatch.setattr(limits, "MAX_STATEMENT_BYTES", len(data))
    monkeypatch.setattr(limits, "MAX_DEPENDENCIES", 3)
    load_step(data, path="s")
    monkeypatch.setattr(limits, "MAX_STATEMENT_BYTES", len(data) - 1)
    with pytest.raises(LimitError):
        load_step(data, path="s")
    with pytest.raises(LimitError):
        dump_step(FULL)
    monkeypatch.setattr(limits, "MAX_STATEMENT_BYTES", len(data))
    monkeypatch.setattr(limits, "MAX_DEPENDENCIES", 2)
    with pytest.raises(LimitError):
        load_step(data, path="s")


# --- schemas ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", schema.STEPS)
def test_schemas_are_schemas(step: str) -> None:
    found = schema.load_schema(step)
    jsonschema.Draft202012Validator.check_schema(dict(found))
    assert found["$id"] == schema.build_type(step)
    assert found["properties"]["buildDefinition"]["properties"]["buildType"] == {
        "const": schema.build_type(step)
    }


def mutations(value: Any) -> list[Any]:
    """A predicate with one thing after another replaced, removed or added."""
    made: list[Any] = []

    def walk(here: Any, put: Any) -> None:
        for other in (None, 1, -1.5, True, "x", "", [], {}, ["x"], {"x": 1}):
            made.append(put(other))
        if isinstance(here, dict):
            for key in here:
                made.append(put({k: v for k, v in here.items() if k != key}))
                walk(here[key], lambda v, key=key: put({**here, key: v}))
            made.append(put({**here, "more": 1}))
        if isinstance(here, list):
            for place, item in enumerate(here):
                walk(item, lambda v, n=place: put([*here[:n], v, *here[n + 1 :]]))

    walk(value, lambda v: v)
    return made


@pytest.mark.parametrize("step", [FULL, NOTHING], ids=["full", "nothing"])
def test_our_reading_of_schemas_is_that_of_jsonschema(step: Step) -> None:
    found = dict(schema.load_schema(step.step))
    validator = jsonschema.Draft202012Validator(found)
    predicate = json.loads(dump_step(step))["predicate"]
    accepted = refused = 0
    for value in [predicate, *mutations(predicate)]:
        expected = validator.is_valid(value)
        try:
            schema.check_schema(value, found, "p")
            assert expected, value
            accepted += 1
        except FormatError:
            assert not expected, value
            refused += 1
    assert accepted > 5
    assert refused > 100


def test_unknown_keywords_are_not_taken_as_fulfilled() -> None:
    with pytest.raises(EngineError, match="maximum"):
        schema.check_schema(5, {"maximum": 3}, "p")
    with pytest.raises(UsageError, match="no step"):
        schema.load_schema("steal")
    with pytest.raises(FormatError, match="escape"):
        schema.check_schema({"\x1bescape": 1}, {"additionalProperties": False}, "p")


def test_materials_by_role() -> None:
    assert FULL.of_role("parent") == (PARENT,)
    assert [one.name for one in FULL.of_role("dataset")] == ["corpus", "only a name"]
    assert (PARENT.root, FULL.materials[1].root) == (OTHER, None)
    assert statement.ROLES == ("parent", "dataset", "code", "other")
