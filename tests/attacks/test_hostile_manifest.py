# SPDX-License-Identifier: Apache-2.0
"""Statements that a trusted key has signed and that must be refused all the same.

A publisher's key may be used by a hostile publisher, or sign what a broken tool has written. The
roots are made to fit, so that it is the fault itself that is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from pyhash import merkle
from pyhash.errors import (
    DigestMismatchError,
    FormatError,
    LimitError,
    MissingShardError,
    SizeMismatchError,
    UnexpectedFileError,
)
from tests.attacks._stage import Stage, payload_of, sign_payload
from tests.support import mutations as do

Json = Any
Change = Callable[[Json], object]


def _resign(stage: Stage, change: Change, *, fit_roots: bool = True) -> None:
    statement = json.loads(payload_of(stage))
    change(statement)
    if fit_roots:
        _fit_roots(statement)
    sign_payload(stage, json.dumps(statement).encode("utf-8", "surrogatepass"))


def _fit_roots(statement: Json) -> None:
    resources = statement["predicate"]["resources"]
    digests = statement["subject"][0]["digest"]
    digests["sha256"] = hashlib.sha256(
        b"".join(bytes.fromhex(one["digest"]) for one in resources)
    ).hexdigest()
    names = {one["name"] for one in resources}
    own = [(one["name"], one["annotations"].get("pyhash-v1")) for one in resources]
    if len(names) == len(resources) and all(notes for _, notes in own):
        digests["pyhash-v1"] = merkle.checkpoint_root(
            (name, notes["size"], bytes.fromhex(notes["root"])) for name, notes in own
        ).hex()


def _resource(statement: Json, name: str = do.SHARD_1) -> Json:
    return next(one for one in statement["predicate"]["resources"] if one["name"] == name)


def _rename(name: str) -> Change:
    return lambda statement: _resource(statement).update(name=name)


def test_resigned_by_itself_verifies(stage: Stage) -> None:
    """What every case here begins with is fine until it is changed."""
    _resign(stage, lambda statement: None)
    stage.expect_verified()


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "..",
        ".",
        "",
        "/etc/passwd",
        "onnx/../../outside",
        "onnx//x",
        "onnx/./x",
        f"{do.SHARD_1}/",
        f"./{do.SHARD_1}",
        f"{do.SHARD_1}\0",
        do.SHARD_2,  # twice
        f"{do.SHARD_2}/x",  # below a file
        "onnx",  # a file and a directory
        "model.sig",  # signed and ignored
        ".git/config",
    ],
    ids=repr,
)
def test_name(name: str, stage: Stage) -> None:
    (stage.home / "outside").write_bytes((stage.model / do.SHARD_1).read_bytes())
    _resign(stage, _rename(name))
    stage.expect_refused(FormatError)


@pytest.mark.parametrize("name", ["x" * 4097, "/".join("d" * 65)], ids=["long", "deep"])
def test_name_above_its_cap(name: str, stage: Stage) -> None:
    _resign(stage, _rename(name))
    stage.expect_refused(LimitError)


def test_half_a_surrogate_pair_in_a_name(stage: Stage) -> None:
    statement = payload_of(stage).replace(do.SHARD_1.encode(), b"\\ud800")
    sign_payload(stage, statement)
    stage.expect_refused(FormatError)


def _put(*names: str | int, value: object) -> Change:
    def change(fields: Json) -> None:
        for name in names[:-1]:
            fields = fields[name]
        fields[names[-1]] = value

    return change


def _pop(*names: str | int) -> Change:
    def change(fields: Json) -> None:
        for name in names[:-1]:
            fields = fields[name]
        del fields[names[-1]]

    return change


SERIALIZATION = ("predicate", "serialization")
NOTES = ("predicate", "resources", 0, "annotations", "pyhash-v1")


@pytest.mark.parametrize(
    "change",
    [
        _put("predicate", "resources", value=[]),
        _put("subject", value=[]),
        lambda statement: statement["subject"].append(statement["subject"][0]),
        _put("subject", 0, "name", value=""),
        _put("_type", value="https://in-toto.io/Statement/v0.1"),
        _put("predicateType", value="https://slsa.dev/provenance/v1"),
        _put("predicateType", value="https://model_signing/Digests/v0.1"),
        _put("predicateType", value="https://model_signing/signature/v2.0"),
        _put("predicateType", value="https://pyhash-checkpoint.org/statement/v1"),
        _put("predicateType", value="https://pyhash-checkpoint.org/statement/v2"),
        _put(*SERIALIZATION, "method", value="shards"),
        _put(*SERIALIZATION, "method", value="pyhash-v1"),
        _put(*SERIALIZATION, "hash_type", value="blake2b"),
        _put(*SERIALIZATION, "hash_type", value="md5"),
        _put(*SERIALIZATION, "ignore_paths", value=["../outside"]),
        _put(*SERIALIZATION, "ignore_paths", value="onnx"),
        _put("predicate", "resources", 0, "algorithm", value="md5"),
        _put("predicate", "resources", 0, "digest", value=""),
        _put("subject", 0, "digest", "sha256", value="0" * 64),
        _put("subject", 0, "digest", "pyhash-v1", value="0" * 64),
        _pop("subject", 0, "digest", "pyhash-v1"),
        _pop("subject", 0, "digest", "sha256"),
        _pop(*NOTES),  # of one file only
        _put(*NOTES, "size", value=-1),
        _put(*NOTES, "size", value=1.0),
        _put(*NOTES, "size", value="1"),
        _put(*NOTES, "size", value=True),
        _put(*NOTES, "size", value=1 << 53),
        _put(*NOTES, "root", value="0" * 64),  # with a checkpoint root that does not fit
        _put(*NOTES, "root", value="0" * 63),
        _put(*NOTES, "more", value=1),
        _put("more", value=1),
    ],
)
def test_statement(change: Change, stage: Stage) -> None:
    _resign(stage, change, fit_roots=False)
    stage.expect_refused(FormatError)


def test_size_above_its_cap(stage: Stage) -> None:
    _resign(stage, _put(*NOTES, "size", value=(1 << 44) + 1))
    stage.expect_refused(LimitError)


@pytest.mark.parametrize("payload", [b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 1000])
def test_payload_that_is_no_statement(payload: bytes, stage: Stage) -> None:
    sign_payload(stage, payload)
    with pytest.raises(FormatError):
        stage.verify()
    stage.expect_not_started(FormatError)


@pytest.mark.parametrize("key", ['"subject"', '"\\u0073ubject"'])
def test_key_twice(key: str, stage: Stage) -> None:
    payload = payload_of(stage)
    sign_payload(stage, payload.replace(b'"subject"', key.encode() + b':[],"subject"', 1))
    stage.expect_refused(FormatError)


# --- statements that are well formed and say something wrong ------------------------------------


def test_root_of_other_bytes(stage: Stage) -> None:
    _resign(stage, lambda statement: _notes(statement).update(root="0" * 64))
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_1)


def _notes(statement: Json) -> Json:
    return _resource(statement)["annotations"]["pyhash-v1"]


def test_other_size(stage: Stage) -> None:
    _resign(stage, lambda statement: _notes(statement).update(size=5))
    stage.expect_refused(SizeMismatchError, code="size", path=do.SHARD_1)


def test_one_file_less(stage: Stage) -> None:
    def drop(statement: Json) -> None:
        statement["predicate"]["resources"].remove(_resource(statement))

    # The index that leads to it is not even looked at: a file that nobody signed is there.
    _resign(stage, drop)
    stage.expect_refused(UnexpectedFileError, code="unexpected", path=do.SHARD_1)


def test_one_file_more(stage: Stage) -> None:
    def add(statement: Json) -> None:
        statement["predicate"]["resources"].append({**_resource(statement), "name": "more"})

    _resign(stage, add)
    stage.expect_refused(MissingShardError, code="missing", path="more")


def _without_our_part(statement: Json) -> None:
    """What another OMS tool writes."""
    del statement["subject"][0]["digest"]["pyhash-v1"]
    for one in statement["predicate"]["resources"]:
        del one["annotations"]


def test_without_our_part_every_byte_still_counts(stage: Stage) -> None:
    _resign(stage, _without_our_part, fit_roots=False)
    assert stage.expect_verified().root is None
    do.flip_byte_keep_times(stage.model / do.SHARD_2, -1)
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_2)


def test_without_our_part_names_still_count(stage: Stage) -> None:
    # The root of such a statement binds digests only; its list of resources binds the names.
    _resign(stage, _without_our_part, fit_roots=False)
    stage.expect_verified()
    do.swap_files(stage.model / do.SHARD_1, stage.model / do.SHARD_2)
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_1)


def test_single_file_statement_for_a_directory(stage: Stage) -> None:
    def shrink(statement: Json) -> None:
        _without_our_part(statement)
        only = {**_resource(statement), "name": "."}
        statement["predicate"]["resources"] = [only]
        statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(
            bytes.fromhex(only["digest"])
        ).hexdigest()

    _resign(stage, shrink, fit_roots=False)
    stage.expect_refused(MissingShardError, code="unexpected", path=do.SHARD_1)
