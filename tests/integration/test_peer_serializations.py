# SPDX-License-Identifier: Apache-2.0
"""Bundles of other OMS tools with other digests and with ranges: really made by the reference tool,
and by hand as the specification has them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import pytest

import pyhash
from pyhash import errors, gate, signing
from pyhash.cli import group
from tests.support import mutations, peer

# Names with colons and empty files are left to the bundles made by hand: the peer's own reader
# breaks on the one, and its method "shards" does not list the other.
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "weights/a.bin": bytes(range(256)) * 20,  # 5 ranges and a bit
    "weights-2/exact.bin": b"x" * 2000,  # ends where a range ends
    "modèle/été.txt": b"y" * 999,
}
RANGE = 1000
Hash = Callable[[bytes], Any]
HASHES: dict[str, Hash] = {
    "sha256": hashlib.sha256,
    "blake2b": hashlib.blake2b,
    "blake3": blake3.blake3,
}
PEER_WAYS = [
    ("files", "blake2"),
    ("files", "blake3"),
    ("shards", "sha256"),
    ("shards", "blake2"),
    ("shards", "blake3"),  # the peer makes "files" of it
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    for name, data in FILES.items():
        mutations.add_file(directory / name, data)
    return directory


@pytest.fixture
def keys(tmp_path: Path) -> peer.KeyPair:
    return peer.make_key_pair(tmp_path / "keys")


def refused(model: Path, keys: peer.KeyPair, kind: type[errors.VerificationError]) -> set[Any]:
    with pytest.raises(kind) as caught:
        pyhash.verify(model, keys=[keys.public])
    return {(one.code, one.path) for one in caught.value.findings}


# --- made by the peer ----------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "algorithm"), PEER_WAYS)
def test_ours_verifies_what_the_peer_made(
    model: Path, keys: peer.KeyPair, method: str, algorithm: str
) -> None:
    peer.peer_sign_by_api(
        *(model, keys, model / "model.sig"), method=method, algorithm=algorithm, shard_size=RANGE
    )
    verified = pyhash.verify(model, keys=[keys.public])
    assert verified.size == sum(map(len, FILES.values()))
    assert (verified.root, verified.guarantee, verified.detail) == (None, "content", "")
    assert [shard.path for shard in verified.manifest.shards] == sorted(FILES)
    gate.check_unchanged(verified)
    for name, data in FILES.items():
        mutations.flip_byte(model / name, -1)
        assert refused(model, keys, errors.DigestMismatchError) == {("digest", name)}
        (model / name).write_bytes(data)
    mutations.add_file(model / "extra.bin")
    assert refused(model, keys, errors.UnexpectedFileError) == {("unexpected", "extra.bin")}
    (model / "extra.bin").unlink()
    (model / "config.json").unlink()
    assert refused(model, keys, errors.MissingShardError) == {("missing", "config.json")}


def test_a_wrong_range_is_named(model: Path, keys: peer.KeyPair) -> None:
    peer.peer_sign_by_api(model, keys, model / "model.sig", method="shards", shard_size=RANGE)
    mutations.flip_byte(model / "weights/a.bin", 3500)
    with pytest.raises(errors.DigestMismatchError) as caught:
        pyhash.verify(model, keys=[keys.public])
    (finding,) = caught.value.findings
    assert [(one.start, one.end) for one in finding.ranges] == [(3000, 4000)]
    whole = (model / "weights/a.bin").read_bytes()
    assert finding.actual == hashlib.sha256(whole[3000:4000]).hexdigest()


@pytest.mark.parametrize("change", [b"", b"\0"])
def test_another_size_is_refused_before_hashing(
    model: Path, keys: peer.KeyPair, change: bytes
) -> None:
    peer.peer_sign_by_api(model, keys, model / "model.sig", method="shards", shard_size=RANGE)
    path = model / "weights-2/exact.bin"
    path.write_bytes(FILES["weights-2/exact.bin"] + change if change else b"x" * 1000)
    assert refused(model, keys, errors.SizeMismatchError) == {("size", "weights-2/exact.bin")}


@pytest.mark.parametrize(("method", "algorithm"), PEER_WAYS)
def test_single_file_of_the_peer(
    tmp_path: Path, keys: peer.KeyPair, method: str, algorithm: str
) -> None:
    path, signature = tmp_path / "alone.gguf.bin", tmp_path / "alone.gguf.bin.sig"
    path.write_bytes(b"z" * 2500)
    peer.peer_sign_by_api(
        *(path, keys, signature), method=method, algorithm=algorithm, shard_size=RANGE
    )
    assert pyhash.verify(path, keys=[keys.public]).size == 2500
    mutations.flip_byte(path, 2499)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(path, keys=[keys.public])


# --- made by hand, as the specification has it ----------------------------------------------------


def statement(
    files: dict[str, bytes], hash_type: str, size: int | None, *, tool_spelling: bool = False
) -> dict[str, Any]:
    """A statement of another tool: whole files, or ranges of ``size`` bytes."""
    new = HASHES[hash_type]
    algorithm = f"{hash_type}-sharded-{size}" if tool_spelling else hash_type
    resources = []
    for name, data in sorted(files.items()):
        if size is None:
            resources.append((name, new(data).digest()))
            continue
        for start in range(0, len(data), size):
            end = min(start + size, len(data))
            resources.append((f"{name}:{start}:{end}", new(data[start:end]).digest()))
    serialization: dict[str, Any] = {
        "method": "files" if size is None else "shards",
        "hash_type": hash_type,
        "allow_symlinks": False,
    }
    if size is not None:
        serialization["shard_size"] = float(size) if tool_spelling else size
    root = hashlib.sha256(b"".join(digest for _, digest in resources)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": [
                {"name": name, "algorithm": algorithm, "digest": digest.hex()}
                for name, digest in resources
            ],
            "serialization": serialization,
        },
    }


def sign_statement(value: dict[str, Any], keys: peer.KeyPair, bundle: Path) -> None:
    signed = signing.sign_payload(json.dumps(value).encode(), signing.load_signer(keys.private))
    bundle.write_bytes(signing.dump_bundle(signed))


ODD = {
    "a:0:1000": b"p" * 1500,  # named like a range
    "new\nline": b"q" * 10,
    "big": b"r" * 4000,
}


@pytest.mark.parametrize("tool_spelling", [False, True])
@pytest.mark.parametrize("hash_type", HASHES)
def test_ranges_by_hand(
    tmp_path: Path, keys: peer.KeyPair, hash_type: str, tool_spelling: bool
) -> None:
    model = tmp_path / "odd"
    for name, data in ODD.items():
        mutations.add_file(model / name, data)
    value = statement(ODD, hash_type, RANGE, tool_spelling=tool_spelling)
    sign_statement(value, keys, model / "model.sig")
    assert pyhash.verify(model, keys=[keys.public]).size == 5510
    mutations.flip_byte(model / "a:0:1000", 1200)
    assert refused(model, keys, errors.DigestMismatchError) == {("digest", "a:0:1000")}


def test_empty_files_beside_ranges_are_taken_and_told(
    model: Path, keys: peer.KeyPair, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    sign_statement(statement(FILES, "sha256", RANGE), keys, model / "model.sig")
    mutations.add_file(model / "weights/empty.bin", b"")
    mutations.add_file(model / "__init__.py", b"")
    verified = pyhash.verify(model, keys=[keys.public])
    empty = ["__init__.py", "weights/empty.bin"]
    assert verified.details == (("unsigned_empty_files", empty),)
    assert verified.detail.startswith("2 files without bytes")
    gate.check_unchanged(verified)
    assert group.run(("verify", str(model), "--key", str(keys.public))) == 0
    assert b"2 files without bytes" in capsysbinary.readouterr().out
    (model / "__init__.py").write_bytes(b"import evil")
    with pytest.raises(errors.ChangedWhileReadError):
        gate.check_unchanged(verified)
    assert refused(model, keys, errors.UnexpectedFileError) == {("unexpected", "__init__.py")}


def test_empty_files_beside_whole_files_are_refused(model: Path, keys: peer.KeyPair) -> None:
    sign_statement(statement(FILES, "blake3", None), keys, model / "model.sig")
    mutations.add_file(model / "__init__.py", b"")
    assert refused(model, keys, errors.UnexpectedFileError) == {("unexpected", "__init__.py")}


@pytest.mark.parametrize("name", [".", "alone.bin"])
@pytest.mark.parametrize("size", [None, RANGE])
def test_single_file_in_both_spellings(
    tmp_path: Path, keys: peer.KeyPair, name: str, size: int | None
) -> None:
    path = tmp_path / "alone.bin"
    path.write_bytes(b"z" * 2500)
    sign_statement(statement({name: b"z" * 2500}, "sha256", size), keys, tmp_path / "alone.bin.sig")
    assert pyhash.verify(path, keys=[keys.public]).size == 2500
    mutations.flip_byte(path, 0)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(path, keys=[keys.public])


# --- statements that say nothing clear ------------------------------------------------------------


def _drop_range(value: dict[str, Any]) -> None:
    del value["predicate"]["resources"][2]


def _same_range_twice(value: dict[str, Any]) -> None:
    value["predicate"]["resources"].append(value["predicate"]["resources"][0])


def _rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        for resource in value["predicate"]["resources"]:
            if resource["name"] == old:
                resource["name"] = new

    return change


def _put(name: str, new: object) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["predicate"]["serialization"][name] = new

    return change


def _algorithm(word: str) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["predicate"]["resources"][0]["algorithm"] = word

    return change


FAULTS = {
    "a hole": (_drop_range, "not one after the other"),
    "a range twice": (_same_range_twice, "not one after the other"),
    "no range in the name": (_rename("config.json:0:23", "config.json"), "path:start:end"),
    "negative": (_rename("config.json:0:23", "config.json:-1:23"), "path:start:end"),
    "other digits": (_rename("config.json:0:23", "config.json:0:2\u0663"), "path:start:end"),
    "leading zero": (_rename("config.json:0:23", "config.json:0:023"), "path:start:end"),
    "backwards": (_rename("config.json:0:23", "config.json:23:1"), "not one after the other"),
    "escape": (_rename("config.json:0:23", "../config.json:0:23"), "not relative and normal"),
    "too long": (_rename("config.json:0:23", "config.json:0:1001"), "not one after the other"),
    "other shard_size": (_put("shard_size", 999), "not one after the other"),
    "half a byte": (_put("shard_size", 999.5), "not a whole number"),
    "no bytes": (_put("shard_size", 0), "not a whole number"),
    "true": (_put("shard_size", True), "not a whole number"),
    "text": (_put("shard_size", "1000"), "not a whole number"),
    "default size": (_put("shard_size", None), "not one after the other"),
    "method": (_put("method", "lines"), "checks only 'files' and 'shards'"),
    "hash_type": (_put("hash_type", "md5"), "checks only 'sha256' and 'blake2b' and 'blake3'"),
    "algorithm of another size": (_algorithm("sha256-sharded-1001"), "as serialization says"),
    "algorithm of another kind": (_algorithm("blake3"), "as serialization says"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_unclear_statements_are_refused(
    model: Path, keys: peer.KeyPair, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    value = statement(FILES, "sha256", RANGE)
    change(value)
    digests = [bytes.fromhex(one["digest"]) for one in value["predicate"]["resources"]]
    value["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(digests)).hexdigest()
    sign_statement(value, keys, model / "model.sig")
    with pytest.raises(errors.FormatError, match=message):
        pyhash.verify(model, keys=[keys.public])


def test_root_over_long_digests_is_checked(model: Path, keys: peer.KeyPair) -> None:
    value = statement(FILES, "blake2b", None)
    value["subject"][0]["digest"]["sha256"] = "0" * 64
    sign_statement(value, keys, model / "model.sig")
    with pytest.raises(errors.FormatError, match="not the root of the listed"):
        pyhash.verify(model, keys=[keys.public])
