# SPDX-License-Identifier: Apache-2.0
"""Statements that must be refused: one change each to our two forms, and what it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from _statements import (
    DIGEST,
    FIRST,
    OURS,
    OWN,
    RESOURCES,
    SERIALIZATION,
    VECTOR,
    Json,
    load_value,
    pop,
    put,
    set_oms_root,
)

from pyhash.errors import FormatError
from pyhash.manifest import (
    OMS_PREDICATE_TYPE,
    PYHASH_PREDICATE_TYPE,
    dump_statement,
    load_statement,
)


def _swap_names(fields: Json) -> None:
    first, second = fields["predicate"]["resources"][:2]
    first["name"], second["name"] = second["name"], first["name"]


def _annotation(*place: str) -> tuple[str | int, ...]:
    return (*FIRST, "annotations", "pyhash-v1", *place)


_NOT_THE_ROOT = "the checkpoint root is not the root of the listed files"
_ALL_OR_NOWHERE = "in the subject and all resources, or nowhere"
_BOTH_FORMS_REFUSED: dict[str, tuple[Callable[[Json], None], str]] = {
    "type": (put("https://in-toto.io/Statement/v0.1", "_type"), "_type is"),
    "no type": (pop("_type"), "no field '_type'"),
    "extra field": (put(1, "extra"), "the statement has the unknown field"),
    "extra in predicate": (put(1, "predicate", "extra"), "the predicate has the unknown field"),
    "extra in serialization": (put(1, *SERIALIZATION, "extra"), "unknown field 'extra'"),
    "newer kind": (
        put("https://model_signing/signature/v1.1", "predicateType"),
        "of another kind: predicateType 'https://model_signing/signature/v1.1'",
    ),
    "other kind": (put("https://slsa.dev/provenance/v1", "predicateType"), "another kind"),
    "old kind": (
        put("https://model_signing/Digests/v0.1", "predicateType"),
        r"old form of the statement.*model-signing 0\.2",
    ),
    "kind is no string": (put(None, "predicateType"), "predicateType is null"),
    "no subject": (put([], "subject"), "0 subjects instead of one"),
    "two subjects": (put([{}, {}], "subject"), "2 subjects instead of one"),
    "subject is no array": (put({}, "subject"), "subject is an object"),
    "subject is no object": (put(["x"], "subject"), "the subject is a string"),
    "no name": (pop("subject", 0, "name"), "name"),
    "empty name": (put("", "subject", 0, "name"), "has no name"),
    "name is no string": (put(1, "subject", 0, "name"), "the subject's name is an integer"),
    "no digest": (pop("subject", 0, "digest"), "digest"),
    "digest is a string": (put("00", *DIGEST), "the subject's digest is a string"),
    "no resources": (put([], *RESOURCES), "a checkpoint without any file"),
    "resources missing": (pop(*RESOURCES), "no field 'resources'"),
    "resource is no object": (put("a", *FIRST), "a resource is a string"),
    "resource without a name": (pop(*FIRST, "name"), "name"),
    "resource name is no string": (put(1, *FIRST, "name"), "name of a resource is an integer"),
    "shards": (
        put("shards", *SERIALIZATION, "method"),
        "method is 'shards'|only beside the SHA-256",
    ),
    "no method": (pop(*SERIALIZATION, "method"), "method"),
    "serialization is no object": (put("files", *SERIALIZATION), "serialization is a string"),
    "ignore_paths is no array": (put("a", *SERIALIZATION, "ignore_paths"), "is a string"),
    "ignored path is no string": (put([1], *SERIALIZATION, "ignore_paths"), "is an integer"),
    "ignored path reaches out": (
        put(["../x"], *SERIALIZATION, "ignore_paths"),
        "'../x' is not relative",
    ),
    "everything ignored": (put(["."], *SERIALIZATION, "ignore_paths"), "'.' is not relative"),
    "signed and ignored": (
        put(["w"], *SERIALIZATION, "ignore_paths"),
        "'w/a.bin' is both signed and ignored",
    ),
}
_ANNOTATED_REFUSED: dict[str, tuple[Callable[[Json], None], str]] = {
    "path reaches out": (put("../a", *FIRST, "name"), "'../a' is not relative"),
    "absolute path": (put("/etc/passwd", *FIRST, "name"), "is not relative"),
    "dot": (put(".", *FIRST, "name"), "'.' is not relative"),
    "NUL": (put("a\0", *FIRST, "name"), "has a NUL"),
    "long path": (put("a" * 4097, *FIRST, "name"), "longer than 4096"),
    "listed twice": (put("w-1", *FIRST, "name"), "'w-1' is listed twice"),
    "below a file": (put("w-1/x", *FIRST, "name"), "'w-1/x' lies below"),
    "renamed": (put("a", *FIRST, "name"), _NOT_THE_ROOT),
    "names swapped": (_swap_names, _NOT_THE_ROOT),
    "size": (put(4, *_annotation("size")), _NOT_THE_ROOT),
    "root": (put("ab" * 32, *_annotation("root")), _NOT_THE_ROOT),
    "negative size": (put(-1, *_annotation("size")), "size is -1"),
    "size is a float": (put(3.0, *_annotation("size")), "size is a number with a fraction"),
    "size is a string": (put("3", *_annotation("size")), "size is a string"),
    "size is true": (put(True, *_annotation("size")), "size is true or false"),
    "size above the cap": (put((1 << 44) + 1, *_annotation("size")), "above the cap"),
    "no size": (pop(*_annotation("size")), "no field 'size'"),
    "no root": (pop(*_annotation("root")), "no field 'root'"),
    "extra in annotation": (put(1, *_annotation("extra")), "unknown field 'extra'"),
    "annotation is no object": (put(1, *_annotation()), "pyhash-v1 is an integer"),
    "annotations are no object": (put([], *FIRST, "annotations"), "annotations is an array"),
    "upper case": (put("AB" * 32, *_annotation("root")), "not 64 lowercase hex"),
    "spaces": (put("ab " * 21 + "a", *_annotation("root")), "not 64 lowercase hex"),
    "newline behind": (put("ab" * 32 + "\n", *_annotation("root")), "not 64 lowercase hex"),
    "other digits": (put("\u0661" * 64, *_annotation("root")), "not 64 lowercase hex"),
    "short": (put("ab" * 31, *_annotation("root")), "not 64 lowercase hex"),
    "long": (put("ab" * 33, *_annotation("root")), "not 64 lowercase hex"),
    "checkpoint root": (put("ab" * 32, *DIGEST, "pyhash-v1"), _NOT_THE_ROOT),
    "checkpoint root too short": (put("ab", *DIGEST, "pyhash-v1"), "not 64 lowercase hex"),
    "one file less": (pop(*FIRST), _NOT_THE_ROOT),
}
_OURS_REFUSED = {
    "no root in the subject": (pop(*DIGEST, "pyhash-v1"), _ALL_OR_NOWHERE),
    "one without annotations": (pop(*FIRST, "annotations"), _ALL_OR_NOWHERE),
    "one without our annotation": (pop(*_annotation()), _ALL_OR_NOWHERE),
}
_OWN_REFUSED = {
    "no root in the subject": (pop(*DIGEST, "pyhash-v1"), "no field 'pyhash-v1'"),
    "one without annotations": (pop(*FIRST, "annotations"), "no field 'annotations'"),
    "one without our annotation": (pop(*_annotation()), "no field 'pyhash-v1'"),
    "OMS root": (put("ab" * 32, *DIGEST, "sha256"), "unknown field 'sha256'"),
    "extra in subject": (put(1, "subject", 0, "extra"), "unknown field 'extra'"),
    "digest": (put("ab" * 32, *FIRST, "digest"), "unknown field 'digest'"),
    "other annotation": (put({}, *FIRST, "annotations", "other"), "unknown field 'other'"),
    "method of OMS": (put("files", *SERIALIZATION, "method"), "method is 'files'"),
    "hash_type": (put("sha256", *SERIALIZATION, "hash_type"), "unknown field 'hash_type'"),
    "no ignore_paths": (pop(*SERIALIZATION, "ignore_paths"), "no field 'ignore_paths'"),
    "predicate type of OMS": (put(OMS_PREDICATE_TYPE, "predicateType"), "serialization.method"),
}
_OMS_REFUSED = {
    "no OMS root": (pop(*DIGEST, "sha256"), "(sha256) is null"),
    "OMS root": (put("ab" * 32, *DIGEST, "sha256"), "root digest is not the root"),
    "OMS root upper case": (put("AB" * 32, *DIGEST, "sha256"), "not 64 lowercase"),
    "file digest": (put("ab" * 32, *FIRST, "digest"), "root digest is not the root"),
    "file digest short": (put("ab" * 20, *FIRST, "digest"), "not 64 lowercase"),
    "no file digest": (pop(*FIRST, "digest"), "digest is null"),
    "digest set": (put({"sha256": "ab" * 32}, *FIRST, "digest"), "digest is an object"),
    "no algorithm": (pop(*FIRST, "algorithm"), "algorithm is null"),
    "algorithm in capitals": (put("SHA-256", *FIRST, "algorithm"), "algorithm is 'SHA-256'"),
    "algorithm downgraded": (put("md5", *FIRST, "algorithm"), "algorithm is 'md5'"),
    "blake3": (
        put("blake3", *SERIALIZATION, "hash_type"),
        "algorithm is 'sha256', and not 'blake3'",
    ),
    "blake2b": (
        put("blake2b", *SERIALIZATION, "hash_type"),
        "algorithm is 'sha256', and not 'blake2b'",
    ),
    "no hash_type": (pop(*SERIALIZATION, "hash_type"), "hash_type is null"),
    "shard_size": (put(1000, *SERIALIZATION, "shard_size"), "unknown field 'shard_size'"),
    "no allow_symlinks": (pop(*SERIALIZATION, "allow_symlinks"), "no field 'allow_symlinks'"),
    "allow_symlinks": (put("no", *SERIALIZATION, "allow_symlinks"), "allow_symlinks is a string"),
    "our predicate type": (put(PYHASH_PREDICATE_TYPE, "predicateType"), "serialization.method"),
}
_REFUSED = [
    (base, name, *fault)
    for base, tables in {
        "ours": (_BOTH_FORMS_REFUSED, _ANNOTATED_REFUSED, _OURS_REFUSED, _OMS_REFUSED),
        "own": (_BOTH_FORMS_REFUSED, _ANNOTATED_REFUSED, _OWN_REFUSED),
    }.items()
    for table in tables
    for name, fault in table.items()
]


@pytest.mark.parametrize(
    ("base", "name", "change", "message"), _REFUSED, ids=[f"{b}-{n}" for b, n, _, _ in _REFUSED]
)
def test_refused(base: str, name: str, change: Callable[[Json], None], message: str) -> None:
    fields = json.loads(dump_statement(OURS if base == "ours" else OWN))
    change(fields)
    if base == "ours" and name in _ANNOTATED_REFUSED:
        set_oms_root(fields)
    with pytest.raises(
        FormatError, match=message.replace("(", r"\(").replace(")", r"\)")
    ) as caught:
        load_value(fields)
    assert caught.value.path == "model.sig"
    assert str(caught.value).startswith("model.sig: ")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", VECTOR[:-1], VECTOR * 2])
def test_not_a_statement(data: bytes) -> None:
    with pytest.raises(FormatError):
        load_statement(data, path="model.sig")


def test_duplicate_keys() -> None:
    twice = VECTOR.replace(b'"name":"config.json"', b'"name":"config.json","n\\u0061me":"x"')
    with pytest.raises(FormatError, match="twice"):
        load_statement(twice, path="model.sig")
