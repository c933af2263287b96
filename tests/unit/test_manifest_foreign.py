# SPDX-License-Identifier: Apache-2.0
"""Statements of other tools: other digests, first releases; and that none is ever written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from _statements import VECTOR, load_value, sha256, vector

from pyhash.errors import FormatError
from pyhash.manifest import SignedRange, dump_statement, load_statement
from tests.support.old_bundles import old_payload

FILES = {"a.bin": b"a", "dir/b.bin": b"bb"}


def blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data).digest()


def statement_over_blake2b() -> dict[str, Any]:
    fields = vector()
    fields["predicate"]["resources"] = [
        {"name": name, "algorithm": "blake2b", "digest": blake2b(data).hex()}
        for name, data in FILES.items()
    ]
    fields["predicate"]["serialization"]["hash_type"] = "blake2b"
    root = hashlib.sha256(b"".join(map(blake2b, FILES.values()))).hexdigest()
    fields["subject"][0]["digest"] = {"sha256": root}
    return fields


def test_other_digests() -> None:
    manifest = load_value(statement_over_blake2b())
    assert manifest.root is None
    for shard, (name, data) in zip(manifest.shards, FILES.items(), strict=True):
        assert (shard.path, shard.size, shard.root, shard.file_digest) == (name, None, None, None)
        assert shard.ranges == (SignedRange(0, None, "blake2b", blake2b(data)),)


def test_other_digests_are_bound_by_the_root() -> None:
    fields = statement_over_blake2b()
    fields["predicate"]["resources"][1]["digest"] = blake2b(b"other").hex()
    with pytest.raises(FormatError, match="root digest is not the root of the listed"):
        load_value(fields)


def test_first_releases_on_request() -> None:
    manifest = load_statement(old_payload(FILES), path="old.sig", accept_historical=True)
    found = {shard.path: shard.file_digest for shard in manifest.shards}
    assert found == {name: sha256(data) for name, data in FILES.items()}
    with pytest.raises(FormatError, match="only with --accept-historical"):
        load_statement(old_payload(FILES), path="old.sig")
    today = load_statement(VECTOR, path="model.sig", accept_historical=True)
    assert today == load_statement(VECTOR, path="model.sig")


def test_another_remark_on_a_digest() -> None:
    fields = json.loads(old_payload(FILES))
    fields["subject"][0]["annotations"]["actual_hash_algorithm"] = "file-blake2b"
    with pytest.raises(FormatError, match="is not that of a whole file by SHA-256"):
        load_statement(json.dumps(fields).encode(), path="old.sig", accept_historical=True)


def test_what_only_others_sign_is_never_written() -> None:
    manifest = load_statement(VECTOR, path="model.sig")
    first, *others = manifest.shards
    ranged = replace(first, ranges=(SignedRange(0, 3, "sha256", bytes(32)),))
    for wrong in (
        replace(manifest, omits_empty=True),
        replace(manifest, shards=(ranged, *others)),
    ):
        with pytest.raises(ValueError, match=r"ranges are read .* and never written"):
            dump_statement(wrong)
