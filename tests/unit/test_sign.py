# SPDX-License-Identifier: Apache-2.0
"""Signing: what is signed, what is written where, and what is refused before anything is."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from _signed import SHARD, flip, statement_of, write_checkpoint, write_keys

import pyhash
from pyhash import atomic, errors, hashing, manifest, signing
from tests import reference

PAE = b"DSSEv1 28 application/vnd.in-toto+json %d %s"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_keys(tmp_path)[0]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, bytes]:
    return write_checkpoint(tmp_path / "model")


@pytest.fixture
def model(tmp_path: Path, data: dict[str, bytes]) -> Path:
    return tmp_path / "model"


def test_result(model: Path, key: Path, data: dict[str, bytes]) -> None:
    result = pyhash.sign(model, key)
    assert result.root == reference.checkpoint_root(data)
    assert (result.bundle_path, result.tree_path) == (f"{model}/model.sig", f"{model}/model.tree")
    assert result.size == sum(map(len, data.values()))
    assert result.key_hint == hashlib.sha256(key.with_suffix(".pub").read_bytes()).hexdigest()
    assert result.manifest.root == result.root
    assert [shard.path for shard in result.manifest.shards] == sorted(data)


def test_statement(model: Path, key: Path, data: dict[str, bytes]) -> None:
    pyhash.sign(model, key)
    statement = statement_of(model / "model.sig")
    assert statement["predicateType"] == reference.OMS_TYPE
    (subject,) = statement["subject"]
    assert subject["name"] == "model"
    assert subject["digest"]["pyhash-v1"] == reference.checkpoint_root(data).hex()
    assert statement["predicate"]["resources"] == [
        {
            "name": name,
            "algorithm": "sha256",
            "digest": hashlib.sha256(data[name]).hexdigest(),
            "annotations": {
                "pyhash-v1": {
                    "size": len(data[name]),
                    "root": reference.shard_root(data[name]).hex(),
                }
            },
        }
        for name in sorted(data)
    ]
    assert sorted(statement["predicate"]["serialization"]["ignore_paths"]) == sorted(
        [*reference.LEFT_OUT, "model.provenance.jsonl", "model.proofs.jsonl"]
    )


def test_tree_file(model: Path, key: Path, data: dict[str, bytes]) -> None:
    pyhash.sign(model, key)
    assert (model / "model.tree").read_bytes() == reference.tree_file(data)


def test_signature_is_over_the_encoded_payload(model: Path, key: Path) -> None:
    pyhash.sign(model, key)
    envelope = signing.load_bundle((model / "model.sig").read_bytes(), "x").envelope
    message = PAE % (len(envelope.payload), envelope.payload)
    signing.load_verifier(key.with_suffix(".pub")).verify(message, envelope.signatures[0])


def test_same_checkpoint_same_statement(model: Path, key: Path) -> None:
    pyhash.sign(model, key)
    once = statement_of(model / "model.sig")
    for options in (
        hashing.Options(threads=1, reader="buffered"),
        hashing.Options(threads=3, kernel="portable"),
    ):
        pyhash.sign(model, key, options=options)
        assert statement_of(model / "model.sig") == once


def test_without_file_digests(model: Path, key: Path, data: dict[str, bytes]) -> None:
    result = pyhash.sign(model, key, file_digests=False)
    assert result.root == reference.checkpoint_root(data)
    assert result.manifest.predicate_type == manifest.PYHASH_PREDICATE_TYPE
    statement = statement_of(model / "model.sig")
    assert statement["predicateType"] == reference.OWN_TYPE
    assert "sha256" not in statement["subject"][0]["digest"]
    assert not any("digest" in one for one in statement["predicate"]["resources"])


def test_single_file(tmp_path: Path, key: Path, data: dict[str, bytes], model: Path) -> None:
    file = tmp_path / "one.safetensors"
    os.rename(model / SHARD, file)
    result = pyhash.sign(file, key)
    assert result.root == reference.checkpoint_root({"one.safetensors": data[SHARD]})
    assert (result.bundle_path, result.tree_path) == (f"{file}.sig", f"{file}.tree")
    statement = statement_of(Path(result.bundle_path))
    assert [one["name"] for one in statement["predicate"]["resources"]] == ["one.safetensors"]
    assert statement["predicate"]["serialization"]["ignore_paths"] == []


def test_places_of_the_callers_choice(
    tmp_path: Path, model: Path, key: Path, data: dict[str, bytes]
) -> None:
    result = pyhash.sign(model, key, signature=tmp_path / "a.sig", tree=tmp_path / "a.tree")
    assert (tmp_path / "a.tree").read_bytes() == reference.tree_file(data)
    assert result.root == reference.checkpoint_root(data)
    assert sorted(os.listdir(model)) == ["config.json", SHARD, "sub"]


def test_places_inside_the_checkpoint_are_left_out(
    model: Path, key: Path, data: dict[str, bytes]
) -> None:
    places: dict[str, Any] = {"signature": model / "sub/my.sig", "tree": model / "my.tree"}
    for _ in range(2):
        result = pyhash.sign(model, key, **places)
        assert result.root == reference.checkpoint_root(data)
        assert {"sub/my.sig", "my.tree", "model.sig"} <= set(result.manifest.ignore_paths)


def test_ignored_paths(model: Path, key: Path, data: dict[str, bytes]) -> None:
    for name in ("logs/a", "logs/b/c", ".git/config"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).touch()
    result = pyhash.sign(model, key, ignore=["logs", "sub/empty", "logs"])
    del data["sub/empty"]
    assert result.root == reference.checkpoint_root(data)
    assert result.manifest.ignore_paths.count("logs") == 1
    assert statement_of(model / "model.sig")["predicate"]["serialization"]["ignore_paths"] == list(
        result.manifest.ignore_paths
    )


@pytest.mark.parametrize("ignore", [["../x"], ["/x"], ["*.bin"], [""], ["."], ["a\0"], "logs"])
def test_paths_that_cannot_be_ignored(
    ignore: Any, model: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "hash_listing", None)  # nothing is hashed before
    with pytest.raises(errors.UsageError):
        pyhash.sign(model, key, ignore=ignore)
    assert not (model / "model.sig").exists()


def test_bundle_whose_name_could_not_be_left_out(
    model: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "hash_listing", None)
    with pytest.raises(errors.UsageError, match="cannot leave this path out"):
        pyhash.sign(model, key, signature=model / "model[1].sig")


# --- what stands where they go --------------------------------------------------------------------


def test_bundle_and_tree_file_in_one_place(tmp_path: Path, model: Path, key: Path) -> None:
    with pytest.raises(errors.UsageError, match="cannot both be"):
        pyhash.sign(model, key, signature=tmp_path / "x", tree=f"{tmp_path}/./x")


def test_earlier_bundle_and_tree_file_are_replaced(model: Path, key: Path) -> None:
    pyhash.sign(model, key)
    before = (model / "model.sig").read_bytes()
    flip(model / "config.json", 3)
    pyhash.sign(model, key)
    assert (model / "model.sig").read_bytes() != before
    pyhash.verify(model, keys=[key.with_suffix(".pub")])


@pytest.mark.parametrize("argument", ["signature", "tree"])
@pytest.mark.parametrize("name", [SHARD, "config.json", "sub", "sub/empty", "dangling"])
def test_nothing_else_is_written_over(argument: str, name: str, model: Path, key: Path) -> None:
    (model / "dangling").symlink_to("nowhere")
    before = sorted(os.listdir(model))
    data = (model / "config.json").read_bytes()
    with pytest.raises(errors.UsageError, match="is not written over"):
        pyhash.sign(model, key, **{argument: model / name})  # type: ignore[arg-type]
    assert sorted(os.listdir(model)) == before
    assert (model / "config.json").read_bytes() == data


def test_tree_file_is_no_bundle(model: Path, key: Path) -> None:
    pyhash.sign(model, key)
    with pytest.raises(errors.UsageError, match="is no bundle"):
        pyhash.sign(model, key, signature=model / "model.tree", tree=model / "other")
    with pytest.raises(errors.UsageError, match="is no tree file"):
        pyhash.sign(model, key, signature=model / "other", tree=model / "model.sig")


# --- refusals -------------------------------------------------------------------------------------


def test_bad_key_before_anything_else(tmp_path: Path, key: Path) -> None:
    with pytest.raises(errors.KeyFileError):
        pyhash.sign(tmp_path / "absent", tmp_path / "absent.key")
    with pytest.raises(errors.KeyFileError):
        pyhash.sign(tmp_path / "absent", key.with_suffix(".pub"))
    key.chmod(0o644)
    with pytest.raises(errors.KeyFileError):
        pyhash.sign(tmp_path / "absent", key)


@pytest.mark.parametrize("name", [".pyhash-12-34", ".pyhash-repair-ab/part", "sub/.pyhash-1-2"])
def test_what_an_ended_process_left_behind_is_not_signed(name: str, model: Path, key: Path) -> None:
    left = model / name
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half a bundle")
    with pytest.raises(errors.UnexpectedFileError, match="left behind by a pyhash") as caught:
        pyhash.sign(model, key)
    assert [finding.path for finding in caught.value.findings] == [name]
    assert not (model / "model.sig").exists()
    pyhash.sign(model, key, ignore=[name])
    left.unlink()
    pyhash.sign(model, key)


def test_no_such_checkpoint(tmp_path: Path, key: Path) -> None:
    with pytest.raises(errors.ReadError):
        pyhash.sign(tmp_path / "absent", key)
    assert sorted(os.listdir(tmp_path)) == ["publisher.key", "publisher.pub"]


def test_no_file(tmp_path: Path, key: Path) -> None:
    (tmp_path / "empty/directory").mkdir(parents=True)
    with pytest.raises(errors.FormatError, match="without any file"):
        pyhash.sign(tmp_path / "empty", key)
    assert os.listdir(tmp_path / "empty") == ["directory"]


@pytest.mark.parametrize(("step", "left"), [("model.tree", []), ("model.sig", ["model.tree"])])
def test_disk_that_is_full(
    step: str, left: list[str], model: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = atomic.write_file

    def write(location: str, data: bytes) -> None:
        if location.endswith(step):
            raise errors.WriteError(f"{location}: no space", location, errno.ENOSPC)
        real(location, data)

    monkeypatch.setattr(atomic, "write_file", write)
    with pytest.raises(errors.WriteError):
        pyhash.sign(model, key)
    assert sorted(os.listdir(model)) == sorted(["config.json", SHARD, "sub", *left])


def test_interrupted_while_hashing(model: Path, key: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pyhash.sign(model, key, options=hashing.Options(progress=interrupt))
    assert sorted(os.listdir(model)) == ["config.json", SHARD, "sub"]


def test_modes_of_the_files(model: Path, key: Path) -> None:
    pyhash.sign(model, key)
    for name in ("model.sig", "model.tree"):
        assert stat.S_IMODE((model / name).stat().st_mode) == 0o644
