# SPDX-License-Identifier: Apache-2.0
"""The statement of format v1 again, from section 6 of docs/format-v1.md: reading, no writing.

Part of the reference (reference.py has the tree, the order and the paths); the standard library
and nothing of ours. Raises RefusedError with the number of the rule of section 8. The signature
around the statement is not its business.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, NoReturn

from reference import (
    MAX_JSON_DEPTH,
    MAX_JSON_INTEGER,
    MAX_JSON_VALUES,
    MAX_STATEMENT_BYTES,
    OMS_TYPE,
    OWN_TYPE,
    STATEMENT_TYPE,
    RefusedError,
    Shard,
    check_path,
    check_shards,
    in_order,
    parents,
    refuse_if,
    root_of_shards,
)

OWN_KEY = "pyhash-v1"
RELEASE_KEY = "pyhash-release"
VERITY_KEY = "pyhash-verity"
SINGLE_FILE = "."


@dataclass(frozen=True)
class Statement:
    """What a statement says. ``root`` is None where another OMS tool made it."""

    name: str
    predicate_type: str
    shards: list[Shard]  # in byte order of path
    file_digests: list[bytes]  # in the order of shards; empty for our own predicate type
    root: bytes | None
    ignore_paths: list[str]
    release: dict[str, Any] | None  # as signed, times as strings
    verity: list[bytes]  # fs-verity digests in the order of shards; empty where none are signed


# --- section 6.1: strict JSON --------------------------------------------------------------------


def load_json(data: bytes) -> Any:
    refuse_if(len(data) > MAX_STATEMENT_BYTES, "J6", "too many bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("J1", "not UTF-8") from None
    refuse_if(text.startswith("\ufeff"), "J1", "a byte order mark")
    check_structure(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=load_object,
            parse_int=load_integer,
            parse_float=load_float,
            parse_constant=refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise RefusedError("J2", f"not JSON: {error}") from None
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise RefusedError("J4", "half a surrogate pair") from None
    return value


def check_structure(text: str) -> None:
    """Count, outside of strings, what nests and what separates."""
    depth, values = 0, 1
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', '""', text, flags=re.DOTALL):
        if character in "[{":
            depth += 1
            values += 1
        elif character in "]}":
            depth -= 1
        elif character == ",":
            values += 1
        refuse_if(depth > MAX_JSON_DEPTH, "J6", "nested too deeply")
        refuse_if(values > MAX_JSON_VALUES, "J6", "too many values")


def load_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_if(len(dict(pairs)) != len(pairs), "J3", "a key twice")
    return dict(pairs)


def load_integer(digits: str) -> int | float:
    if digits == "-0":
        return -0.0
    wrong = len(digits) > 17 or abs(int(digits)) > MAX_JSON_INTEGER
    refuse_if(wrong, "J5", "an integer out of range")
    return int(digits)


def load_float(digits: str) -> float:
    refuse_if(not math.isfinite(float(digits)), "J5", "a number out of range")
    return float(digits)


def refuse_constant(name: str) -> NoReturn:
    raise RefusedError("J2", f"{name} is not JSON")


# --- sections 6.2 to 6.5: the statement ----------------------------------------------------------


def load_statement(payload: bytes) -> Statement:
    statement = load_json(payload)
    check_fields(statement, ["_type", "subject", "predicateType", "predicate"], "S1")
    refuse_if(statement["_type"] != STATEMENT_TYPE, "S2", "another type of statement")
    refuse_if(statement["predicateType"] not in (OMS_TYPE, OWN_TYPE), "S3", "another predicate")
    own_type = statement["predicateType"] == OWN_TYPE
    predicate = statement["predicate"]
    check_fields(predicate, ["resources", "serialization"], "S6")
    ignore_paths = load_serialization(predicate["serialization"], own_type)
    name, oms_root, root = load_subject(statement["subject"], own_type)
    release = load_release(statement["subject"][0], own_type)
    refuse_if(not isinstance(predicate["resources"], list), "S9", "resources are no array")
    loaded = [load_resource(resource, own_type) for resource in predicate["resources"]]
    verity = load_verity(predicate["resources"])
    shards = [shard for shard, _ in loaded]
    digests = [digest for _, digest in loaded if digest is not None]

    for shard in shards:
        one_sided = (shard.root is None) != (root is None)
        refuse_if(one_sided, "S11", "pyhash-v1 here and not there")
    if root is not None or [shard.path for shard in shards] != [SINGLE_FILE]:
        check_shards(shards)
    for path in ignore_paths:
        check_path(path)
    for shard in shards:
        left_out = {shard.path, *parents(shard.path)} & set(ignore_paths)
        refuse_if(bool(left_out), "S14", "a shard that is left out, too")
    refuse_if(not own_type and oms_root != sha256(b"".join(digests)).digest(), "S12", "OMS root")
    refuse_if(root is not None and root != root_of_shards(shards), "S13", "checkpoint root")
    ordered = in_order(shards)
    by_path = {shard.path: digest for shard, digest in loaded if digest is not None}
    return Statement(
        name=name,
        predicate_type=statement["predicateType"],
        shards=ordered,
        file_digests=[by_path[shard.path] for shard in ordered if shard.path in by_path],
        root=root,
        ignore_paths=ignore_paths,
        release=release,
        verity=[verity[shard.path] for shard in ordered if shard.path in verity],
    )


def load_subject(subjects: Any, own_type: bool) -> tuple[str, bytes | None, bytes | None]:
    refuse_if(not isinstance(subjects, list) or len(subjects) != 1, "S4", "not one subject")
    subject = subjects[0]
    check_fields(
        subject, ["name", "digest"], "S4", optional=["annotations"], others_allowed=not own_type
    )
    name, digest = subject["name"], subject["digest"]
    refuse_if(not isinstance(name, str) or name == "", "S4", "no name")
    check_fields(digest, [OWN_KEY] if own_type else ["sha256"], "S5", others_allowed=not own_type)
    oms_root = None if own_type else load_digest(digest["sha256"], "S5")
    root = load_digest(digest[OWN_KEY], "S5") if OWN_KEY in digest else None
    return name, oms_root, root


def load_release(subject: Any, own_type: bool) -> dict[str, Any] | None:
    """Section 6.6."""
    if "annotations" not in subject:
        return None
    notes = subject["annotations"]
    check_fields(notes, [RELEASE_KEY] if own_type else [], "S15", others_allowed=not own_type)
    if RELEASE_KEY not in notes:
        return None
    release: dict[str, Any] = notes[RELEASE_KEY]
    check_fields(release, ["created"], "S15", optional=["expires", "counter", "name"])
    created = seconds_of(release["created"])
    if "expires" in release:
        refuse_if(seconds_of(release["expires"]) <= created, "S15", "expires before it was made")
    if "counter" in release:
        counter = release["counter"]
        is_integer = isinstance(counter, int) and not isinstance(counter, bool)
        refuse_if(not is_integer or counter < 0, "S15", "a counter is no integer, or negative")
    if "name" in release:
        name = release["name"]
        refuse_if(not isinstance(name, str), "S15", "a name is no string")
        refuse_if(not 1 <= len(name.encode("utf-8")) <= 256, "S15", "a name of other length")
    return release


def seconds_of(time: Any) -> int:
    """Seconds since 1970 of the one form that a time may have."""
    refuse_if(not isinstance(time, str), "S15", "a time is no string")
    form = r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z"
    found = re.fullmatch(form, time, re.ASCII)
    refuse_if(found is None, "S15", "a time in another form")
    year, month, day, hour, minute, second = map(int, found.groups())
    refuse_if(year < 1970 or hour > 23 or minute > 59 or second > 59, "S15", "no such time")
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        raise RefusedError("S15", "no such day") from None
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def load_serialization(serialization: Any, own_type: bool) -> list[str]:
    if own_type:
        check_fields(serialization, ["method", "ignore_paths"], "S7")
        refuse_if(serialization["method"] != OWN_KEY, "S7", "another method")
    else:
        required = ["method", "hash_type", "allow_symlinks"]
        check_fields(serialization, required, "S7", optional=["ignore_paths"])
        refuse_if(serialization["method"] != "files", "S7", "another method")
        refuse_if(serialization["hash_type"] != "sha256", "S7", "another digest")
        refuse_if(not isinstance(serialization["allow_symlinks"], bool), "S7", "not a boolean")
    paths = serialization.get("ignore_paths", [])
    refuse_if(not isinstance(paths, list), "S8", "ignore_paths is no array")
    refuse_if(any(not isinstance(path, str) for path in paths), "S8", "a path is no string")
    return paths


def load_resource(resource: Any, own_type: bool) -> tuple[Shard, bytes | None]:
    required = ["name", "annotations"] if own_type else ["name", "algorithm", "digest"]
    check_fields(resource, required, "S9", others_allowed=not own_type)
    refuse_if(not isinstance(resource["name"], str), "S9", "a name is no string")
    file_digest = None
    if not own_type:
        refuse_if(resource["algorithm"] != "sha256", "S9", "another algorithm")
        file_digest = load_digest(resource["digest"], "S9")
    annotations = resource.get("annotations", {})
    check_fields(
        annotations,
        [OWN_KEY] if own_type else [],
        "S10",
        optional=[VERITY_KEY],
        others_allowed=not own_type,
    )
    if OWN_KEY not in annotations:
        return Shard(resource["name"], None, None), file_digest
    ours = annotations[OWN_KEY]
    check_fields(ours, ["size", "root"], "S10")
    size = ours["size"]
    is_integer = isinstance(size, int) and not isinstance(size, bool)
    refuse_if(not is_integer or size < 0, "S10", "a size is no integer, or negative")
    return Shard(resource["name"], size, load_digest(ours["root"], "S10")), file_digest


def load_verity(resources: Any) -> dict[str, bytes]:
    """Section 6.7: name of a resource -> its fs-verity digest."""
    found = {}
    for resource in resources:
        annotations = resource.get("annotations", {})
        if VERITY_KEY in annotations:
            refuse_if(OWN_KEY not in annotations, "S16", "without pyhash-v1")
            check_fields(annotations[VERITY_KEY], ["digest"], "S16")
            found[resource["name"]] = load_digest(annotations[VERITY_KEY]["digest"], "S16")
    refuse_if(len(found) not in (0, len(resources)), "S16", "in some resources and not in all")
    return found


def load_digest(value: Any, rule: str) -> bytes:
    is_digest = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None
    refuse_if(not is_digest, rule, "not 64 lowercase hex digits")
    return bytes.fromhex(value)


def check_fields(
    value: Any,
    required: list[str],
    rule: str,
    *,
    optional: list[str] | None = None,
    others_allowed: bool = False,
) -> None:
    refuse_if(not isinstance(value, dict), rule, "not an object")
    missing = set(required) - set(value)
    unknown = set(value) - set(required) - set(optional or [])
    refuse_if(bool(missing), rule, f"missing: {sorted(missing)}")
    refuse_if(bool(unknown) and not others_allowed, rule, f"unknown: {sorted(unknown)}")
