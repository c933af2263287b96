# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that other tools signed over BLAKE2b or over ranges, and where they differ."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from _signed import write_keys
from _statements import vector

import pyhash
from pyhash import errors, signing
from pyhash.guarantees import CONTENT, Compared
from pyhash.hashing import Options
from pyhash.opening import Opened

DATA = {"a.bin": b"0123456789", "b.bin": b"abcd"}


def write(home: Path, resources: list[dict[str, str]], how: dict[str, Any]) -> Path:
    """Write and sign the checkpoint with these resources."""
    model = home / "model"
    model.mkdir()
    for name, data in DATA.items():
        (model / name).write_bytes(data)
    fields = vector()
    fields["predicate"]["resources"] = resources
    fields["predicate"]["serialization"] |= how
    root = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources))
    fields["subject"][0]["digest"] = {"sha256": root.hexdigest()}
    private, _ = write_keys(home)
    signer = signing.load_signer(str(private))
    bundle = signing.sign_payload(json.dumps(fields).encode(), signer)
    (model / "model.sig").write_bytes(signing.dump_bundle(bundle))
    return model


def resource(name: str, algorithm: str, digest: Any) -> dict[str, str]:
    return {"name": name, "algorithm": algorithm, "digest": digest.hexdigest()}


def ranges_of_four() -> list[dict[str, str]]:
    return [
        resource(
            f"{name}:{at}:{min(at + 4, len(data))}", "sha256", hashlib.sha256(data[at : at + 4])
        )
        for name, data in DATA.items()
        for at in range(0, len(data), 4)
    ]


def verify(model: Path) -> pyhash.Verified:
    return pyhash.verify(model, keys=[model.parent / "publisher.pub"])


def findings(model: Path) -> tuple[errors.Finding, ...]:
    with pytest.raises(errors.VerificationError) as caught:
        verify(model)
    return caught.value.findings


def test_another_digest(tmp_path: Path) -> None:
    resources = [resource(name, "blake2b", hashlib.blake2b(data)) for name, data in DATA.items()]
    model = write(tmp_path, resources, {"hash_type": "blake2b"})
    verified = verify(model)
    assert (verified.size, verified.detail, verified.details) == (14, "", ())
    changed = b"0123456788"
    (model / "a.bin").write_bytes(changed)
    (found,) = findings(model)
    assert (found.code, found.path, found.ranges) == ("digest", "a.bin", ())
    assert found.message == "other bytes than the signed ones in [0, 10)"
    assert found.expected == hashlib.blake2b(DATA["a.bin"]).hexdigest()
    assert found.actual == hashlib.blake2b(changed).hexdigest()


def test_ranges(tmp_path: Path) -> None:
    model = write(tmp_path, ranges_of_four(), {"method": "shards", "shard_size": 4})
    verified = verify(model)
    assert (verified.size, verified.detail, verified.details) == (14, "", ())
    (model / "a.bin").write_bytes(b"0123x567y9")
    found = findings(model)
    assert [(one.code, one.path) for one in found] == [("digest", "a.bin")] * 2
    assert [one.ranges for one in found] == [
        (errors.DamagedRange(4, 8),),
        (errors.DamagedRange(8, 10),),
    ]
    assert [one.message.partition(" in ")[2] for one in found] == ["[4, 8)", "[8, 10)"]


def test_files_without_bytes_beside_ranges(tmp_path: Path) -> None:
    model = write(tmp_path, ranges_of_four(), {"method": "shards", "shard_size": 4})
    (model / "empty").touch()
    verified = verify(model)
    assert verified.size == 14
    assert verified.details == (("unsigned_empty_files", ["empty"]),)
    assert verified.detail.startswith("1 files without bytes, which the method of this bundle")
    (model / "empty").write_bytes(b"x")
    (found,) = findings(model)
    assert (found.code, found.path) == ("unexpected", "empty")


def test_file_without_bytes_that_grows_meanwhile(tmp_path: Path) -> None:
    model = write(tmp_path, ranges_of_four(), {"method": "shards", "shard_size": 4})
    (model / "empty").touch()

    def compare(opened: Opened, options: Options) -> Compared:
        (model / "empty").write_bytes(b"x")
        return CONTENT.compare(opened, options)

    growing = dataclasses.replace(CONTENT, compare=compare)
    with pytest.raises(errors.VerificationError, match="empty"):
        pyhash.verify(model, keys=[tmp_path / "publisher.pub"], guarantee=growing)
