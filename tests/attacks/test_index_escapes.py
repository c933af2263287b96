# SPDX-License-Identifier: Apache-2.0
"""Indexes that lead a loader to a file that nobody signed.

Everything is validly signed in these cases, by a publisher who was careless or hostile.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import pyhash
from pyhash.errors import ClosureError, DigestMismatchError
from tests.attacks._stage import Stage, read_json, sign_blindly, write_json
from tests.support import mutations as do


def _expect_not_closed(stage: Stage, path: str) -> None:
    with pytest.raises(ClosureError) as caught:
        pyhash.sign(stage.model, stage.key)
    assert [(one.code, one.path) for one in caught.value.findings] == [("closure", path)]
    sign_blindly(stage)
    stage.expect_refused(ClosureError, code="closure", path=path)


def _point(stage: Stage, target: object, *, index: str = do.INDEX) -> None:
    value = read_json(stage.model / do.INDEX)
    value["weight_map"][min(value["weight_map"])] = target
    write_json(stage.model / index, value)


@pytest.mark.parametrize(
    "target",
    [
        "../outside.safetensors",
        "/etc/passwd",
        "absent.safetensors",
        f"./{do.SHARD_1}",
        f"onnx/../{do.SHARD_1}",
        f"onnx//{do.SHARD_1}",
        f"{do.SHARD_1}/",
        f"{do.SHARD_1}\0",
        do.SHARD_1.upper(),
        "onnx",
        "model.tree",
        "",
        ".",
        None,
        7,
        [do.SHARD_1],
        {"file": do.SHARD_1},
    ],
    ids=repr,
)
def test_target(target: object, stage: Stage) -> None:
    (stage.home / "outside.safetensors").write_bytes(b"evil")
    _point(stage, target)
    _expect_not_closed(stage, do.INDEX)


@pytest.mark.parametrize(
    "index",
    [
        "model.safetensors.index.json",
        "model.safetensors.index.fp16.json",  # where the loaders put a variant's name
        "pytorch_model.bin.index.json",
        "diffusion_pytorch_model.safetensors.index.json",
        "tf_model.h5.index.json",
    ],
)
def test_every_kind_of_index(index: str, stage: Stage) -> None:
    _point(stage, "../outside.safetensors", index=index)
    _expect_not_closed(stage, index)


def test_index_leads_from_its_own_directory(stage: Stage) -> None:
    index = f"onnx/{do.INDEX}"
    # This name is that of a signed file only from the top.
    write_json(stage.model / index, {"weight_map": {"a": do.SHARD_1}})
    _expect_not_closed(stage, index)
    # A signed file, but by a way out and in again.
    write_json(stage.model / index, {"weight_map": {"a": f"../{do.SHARD_1}"}})
    _expect_not_closed(stage, index)
    write_json(stage.model / index, {"weight_map": {"a": Path(do.EMPTY).name}})
    pyhash.sign(stage.model, stage.key)
    stage.expect_verified()


@pytest.mark.parametrize("weight_map", [[], "model.safetensors", 1, [["a", do.SHARD_1]]])
def test_weight_map_of_another_type(weight_map: object, stage: Stage) -> None:
    write_json(stage.model / do.INDEX, {"weight_map": weight_map})
    _expect_not_closed(stage, do.INDEX)


def test_every_escape_is_named(stage: Stage) -> None:
    targets = ("../a", "/b", "c")
    write_json(stage.model / do.INDEX, {"weight_map": dict(zip("xyz", targets, strict=True))})
    with pytest.raises(ClosureError) as caught:
        pyhash.sign(stage.model, stage.key)
    for target in targets:
        assert any(repr(target) in one.message for one in caught.value.findings)


def test_wrong_bytes_count_more_than_where_they_lead(stage: Stage) -> None:
    _point(stage, "../outside.safetensors")
    sign_blindly(stage)
    do.flip_byte(stage.model / do.SHARD_3, -1)
    error = stage.expect_refused(DigestMismatchError, code="closure", path=do.INDEX)
    assert isinstance(error, pyhash.VerificationError)
    assert [one.code for one in error.findings] == ["digest", "closure"]
