# SPDX-License-Identifier: Apache-2.0
"""The schemas of our build types, and the part of JSON Schema (2020-12) that they use.

A schema with a keyword that is not known here is refused, never taken as fulfilled.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from pyhash.errors import EngineError, FormatError, UsageError
from pyhash.strict_json import JsonValue, load_json, show

BUILD_TYPE_PREFIX, BUILD_TYPE_SUFFIX = "https://pyhash-checkpoint.org/build/", "/v1"
STEPS = ("train", "fine-tune", "quantize", "prune", "merge", "convert", "evaluate")
_MAX_SCHEMA_BYTES = 1 << 16
_TYPES: dict[str, Callable[[JsonValue], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_SILENT = frozenset({"$schema", "$id", "$defs", "title", "description"})


def build_type(step: str) -> str:
    """Return the URI of a step's build type. Raises nothing."""
    return f"{BUILD_TYPE_PREFIX}{step}{BUILD_TYPE_SUFFIX}"


@functools.cache
def load_schema(step: str) -> Mapping[str, Any]:
    """Return the schema of a step's predicate.

    Args:
        step: One of ``STEPS``.

    Raises:
        UsageError: There is no such step.
    """
    if step not in STEPS:
        raise UsageError(f"no step {step!r}; there are {', '.join(STEPS)}")
    name = f"{step}.schema.json"
    data = resources.files("pyhash.provenance").joinpath("schemas", name).read_bytes()
    schema = load_json(data, path=name, max_bytes=_MAX_SCHEMA_BYTES)
    if not isinstance(schema, dict):
        raise EngineError(f"{name}: this installation is damaged", name)
    return schema


def check_schema(value: JsonValue, schema: Mapping[str, Any], path: str) -> None:
    """Refuse a value that a schema does not describe.

    Args:
        value: What was parsed.
        schema: The whole schema.
        path: Where the value came from, for messages.

    Raises:
        FormatError: The value does not fit; the message says where.
        EngineError: The schema uses a keyword that is not known here.
    """
    _check(value, schema, schema, "the predicate", path)


def _check(value: JsonValue, part: Any, schema: Mapping[str, Any], where: str, path: str) -> None:
    for keyword, wanted in part.items():
        if keyword in _SILENT:
            continue
        if keyword == "$ref":
            name = str(wanted).removeprefix("#/$defs/")
            _check(value, schema["$defs"][name], schema, where, path)
        elif keyword in _KEYWORDS:
            fault = _KEYWORDS[keyword](value, wanted)
            if fault:
                raise FormatError(f"{path}: {where} {fault}", path)
        elif keyword not in ("properties", "additionalProperties", "items"):
            raise EngineError(f"{path}: a schema with the unknown keyword {keyword!r}", path)
    if isinstance(value, dict):
        _check_fields(value, part, schema, where, path)
    if isinstance(value, list) and "items" in part:
        for number, item in enumerate(value):
            _check(item, part["items"], schema, f"{where}[{number}]", path)


def _check_fields(
    value: dict[str, JsonValue], part: Any, schema: Mapping[str, Any], where: str, path: str
) -> None:
    known = part.get("properties", {})
    others = part.get("additionalProperties", True)
    for name, field in value.items():
        inner = f"{where}.{name}" if name.isprintable() else f"{where}.{show(name)}"
        if name in known:
            _check(field, known[name], schema, inner, path)
        elif others is False:
            raise FormatError(f"{path}: {where} has the unknown field {show(name)}", path)
        elif others is not True:
            _check(field, others, schema, inner, path)


def _type(value: JsonValue, wanted: str) -> str:
    return "" if _TYPES[wanted](value) else f"is not of type {wanted}"


def _const(value: JsonValue, wanted: str) -> str:
    return "" if value == wanted else f"is not {wanted!r}"


def _enum(value: JsonValue, wanted: list[str]) -> str:
    return "" if value in wanted else f"is none of {', '.join(wanted)}"


def _required(value: JsonValue, wanted: list[str]) -> str:
    if not isinstance(value, dict):
        return ""
    missing = [name for name in wanted if name not in value]
    return f"has no field {missing[0]!r}" if missing else ""


def _pattern(value: JsonValue, wanted: str) -> str:
    fits = not isinstance(value, str) or re.search(wanted.replace("$", r"\Z"), value)
    return "" if fits else f"is {show(str(value))}, which does not fit {wanted}"


def _minimum(value: JsonValue, wanted: int) -> str:
    fits = not isinstance(value, (str, list)) or len(value) >= wanted
    return "" if fits else f"has fewer than {wanted}"


_KEYWORDS: dict[str, Callable[[JsonValue, Any], str]] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "required": _required,
    "pattern": _pattern,
    "minLength": _minimum,
    "minItems": _minimum,
}
