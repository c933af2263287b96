# SPDX-License-Identifier: Apache-2.0
"""Files that say one thing twice, so that two readers understand two things.

Duplicates in safetensors headers, indexes and config.json are in test_attack_table.py; here are
GGUF, files whose names do not tell what they are, and the small files beside them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pyhash
from pyhash.errors import ClosureError
from tests.attacks._stage import Stage, sign_blindly
from tests.support import mutations as do

GGUF = Path(__file__).resolve().parents[1] / "vectors/formats/gguf"


@pytest.fixture
def stage(large_stage: Stage) -> Stage:
    """Spans matter here."""
    return large_stage


def _expect_not_closed(stage: Stage, path: str) -> None:
    with pytest.raises(ClosureError) as caught:
        pyhash.sign(stage.model, stage.key)
    assert [(one.code, one.path) for one in caught.value.findings] == [("closure", path)]
    sign_blindly(stage)
    stage.expect_refused(ClosureError, code="closure", path=path)


@pytest.mark.parametrize("sample", ["name_twice", "key_twice", "overlap", "alias"])
@pytest.mark.parametrize("name", ["model.gguf", "model.GGUF"])
def test_gguf(sample: str, name: str, stage: Stage) -> None:
    valid = min((GGUF / "valid").iterdir())
    shutil.copyfile(valid, stage.model / name)
    pyhash.sign(stage.model, stage.key)
    stage.expect_verified()
    shutil.copyfile(GGUF / "invalid" / f"{sample}.gguf", stage.model / name)
    _expect_not_closed(stage, name)


@pytest.mark.parametrize("name", ["model.SafeTensors", "weights.bin", "no_ending"])
@pytest.mark.parametrize("escaped", [False, True])
def test_safetensors_under_another_name(name: str, escaped: bool, stage: Stage) -> None:
    shutil.copyfile(stage.model / do.SHARD_1, stage.model / name)
    pyhash.sign(stage.model, stage.key)
    stage.expect_verified()
    do.repeat_tensor(stage.model / name, escaped=escaped)
    _expect_not_closed(stage, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer_config.json", '{"auto_map": {}, "\\u0061uto_map": {}}'),
        ("generation_config.json", '{"a": 1, "a": 2}'),
        ("modules.json", '[{"path": "onnx", "path": "../outside"}]'),
        ("config.json", '{"a": 1e999}'),
        ("config.json", '{"a": 9007199254740993}'),
        ("config.json", '\ufeff{"a": 1}'),
        ("config.json", '{"a": 1} {"a": 2}'),
        ("config.json", '{"a": "\\ud800"}'),
        (do.INDEX, '{"weight_map": {}, "weight_m\\u0061p": {"a": "../outside"}}'),
    ],
)
def test_json(name: str, text: str, stage: Stage) -> None:
    (stage.model / name).write_text(text, "utf-8")
    _expect_not_closed(stage, name)
