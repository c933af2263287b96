# SPDX-License-Identifier: Apache-2.0
"""Statements to be read, changed and spoiled by the vectors: whole ones, and small changes.

Built from reference.py; nothing here says whether a statement must be accepted.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import reference as ref

Json = dict[str, Any]

STATEMENT_FILES = {
    "a b": b"",
    "a.b": b"1",
    "a/b": b"2",
    "weights.bin": b"a" * ref.CHUNK_BYTES + b"b",
}


def oms_statement(files: dict[str, bytes] = STATEMENT_FILES) -> Json:
    resources = [
        {
            "name": path,
            "algorithm": "sha256",
            "digest": sha256(files[path]).hexdigest(),
            "annotations": {
                "pyhash-v1": {"size": len(files[path]), "root": ref.shard_root(files[path]).hex()}
            },
        }
        for path in sorted(files, key=lambda path: path.encode("utf-8"))
    ]
    statement = {
        "_type": ref.STATEMENT_TYPE,
        "subject": [{"name": "tiny-model", "digest": {"sha256": "", "pyhash-v1": ""}}],
        "predicateType": ref.OMS_TYPE,
        "predicate": {
            "resources": resources,
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": ref.LEFT_OUT,
            },
        },
    }
    return reseal(copy.deepcopy(statement))


def own_statement(files: dict[str, bytes] = STATEMENT_FILES) -> Json:
    statement = oms_statement(files)
    statement["predicateType"] = ref.OWN_TYPE
    statement["predicate"]["serialization"] = {
        "method": "pyhash-v1",
        "ignore_paths": list(ref.LEFT_OUT),
    }
    del statement["subject"][0]["digest"]["sha256"]
    for resource in statement["predicate"]["resources"]:
        del resource["algorithm"], resource["digest"]
    return statement


def foreign_statement() -> Json:
    """What another OMS tool writes."""
    statement = oms_statement()
    del statement["subject"][0]["digest"]["pyhash-v1"]
    for resource in statement["predicate"]["resources"]:
        del resource["annotations"]
    return statement


def reseal(statement: Json) -> Json:
    """Make the roots fit what the statement lists now, where it has them at all."""
    digest = statement["subject"][0]["digest"]
    resources = statement["predicate"]["resources"]
    if "sha256" in digest:
        digests = b"".join(bytes.fromhex(resource["digest"]) for resource in resources)
        digest["sha256"] = sha256(digests).hexdigest()
    if "pyhash-v1" in digest:
        notes = {one["name"]: one["annotations"]["pyhash-v1"] for one in resources}
        order = sorted(notes, key=lambda path: path.encode("utf-8"))
        entries = [
            ref.shard_entry(path, notes[path]["size"], bytes.fromhex(notes[path]["root"]))
            for path in order
        ]
        digest["pyhash-v1"] = ref.rfc6962_root(entries).hex()
    return statement


def compact(statement: Json) -> str:
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":"))


def changed(make: Callable[[], Json], change: Callable[[Json], object]) -> Json:
    statement = make()
    change(statement)
    return reseal(statement)


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels > 1 else []


def follow(statement: Json) -> None:
    statement["predicate"]["serialization"]["allow_symlinks"] = True


def set_note(statement: Json, field: str, value: Any, index: int = -1) -> None:
    statement["predicate"]["resources"][index]["annotations"]["pyhash-v1"][field] = value


RELEASE: Json = {
    "created": "2026-11-25T08:30:00Z",
    "expires": "2027-02-28T23:59:59Z",
    "counter": 12,
    "name": "acme/tiny",
}


def set_release(statement: Json, release: Any = RELEASE) -> None:
    statement["subject"][0]["annotations"] = {"pyhash-release": copy.deepcopy(release)}


def released(make: Callable[[], Json], **fields: Any) -> Json:
    """A statement with a release; fields that are None are left out of it."""
    statement = make()
    kept = {key: value for key, value in (RELEASE | fields).items() if value is not None}
    set_release(statement, kept)
    return statement


def sealed(make: Callable[[], Json]) -> Json:
    """A statement with an fs-verity digest in every resource: of its files, by section 6.7."""
    statement = make()
    for resource in statement["predicate"]["resources"]:
        digest = ref.verity_digest(STATEMENT_FILES[resource["name"]]).hex()
        resource.setdefault("annotations", {})["pyhash-verity"] = {"digest": digest}
    return statement


def add_extra_fields(statement: Json) -> None:
    statement["subject"][0]["annotations"] = {"origin": "somewhere", "pyhash-release2": 1}
    statement["subject"][0]["digest"]["gitcommit"] = "00" * 20
    statement["predicate"]["resources"][0]["mediaType"] = "application/octet-stream"
    statement["predicate"]["resources"][1]["annotations"]["pyhash-v2"] = {"root": "unknown"}
