# SPDX-License-Identifier: Apache-2.0
"""Configurations that lead a loader to weights, vocabularies or code that nobody signed."""

from __future__ import annotations

import pytest

import pyhash
from pyhash.errors import ClosureError, MissingShardError
from tests.attacks._stage import Stage, read_json, sign_blindly, write_json
from tests.support import mutations as do

REMOTE = "evil/repo--modeling.Model"
OUTSIDE = "../outside.safetensors"


def _edit(stage: Stage, name: str, values: object) -> None:
    path = stage.model / name
    if isinstance(values, dict):
        values = (read_json(path) if path.exists() else {}) | values
    write_json(path, values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"transformers_weights": OUTSIDE}),
        ("config.json", {"transformers_weights": "absent.safetensors.index.json"}),
        ("config.json", {"transformers_weights": "/tmp/model.safetensors"}),
        ("config.json", {"vision": {"backbone": ["/tmp/backbone.pth"]}}),
        ("config.json", {"auto_map": {"AutoModel": REMOTE}}),
        ("config.json", {"auto_map": {"AutoModel": "absent.Model"}}),
        ("config.json", {"auto_map": {"AutoModel": "../outside.Model"}}),
        ("config.json", {"auto_map": {"AutoModel": "config.Model"}}),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": REMOTE}}}),
        ("config.json", {"custom_pipelines": {"x": {"impl": "absent.Pipeline"}}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": [REMOTE, None]}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": [None, REMOTE]}}),
        ("tokenizer_config.json", {"auto_map": REMOTE}),
        ("tokenizer_config.json", {"vocab_file": "/tmp/vocab.txt"}),
        ("tokenizer_config.json", {"tokenizer_file": "../tokenizer.json"}),
        ("tokenizer_config.json", {"merges_file": "absent.txt"}),
        ("processor_config.json", {"auto_map": {"AutoProcessor": REMOTE}}),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": REMOTE}}),
        ("video_preprocessor_config.json", {"auto_map": {"AutoVideoProcessor": REMOTE}}),
        ("generation_config.json", {"custom_generate": "absent.py"}),
        ("adapter_config.json", {"auto_mapping": {"weights": OUTSIDE}}),
        ("model_index.json", {"unet": ["diffusers", OUTSIDE]}),
        ("onnx/config.json", {"transformers_weights": do.SHARD_1}),
        ("modules.json", [{"path": "../outside"}]),
        ("modules.json", [{"path": "/tmp"}]),
        ("modules.json", [{"path": "", "type": "evil/repo--custom.Module"}]),
    ],
    ids=str,
)
def test_leads_elsewhere(name: str, values: object, stage: Stage) -> None:
    (stage.home / "outside.safetensors").write_bytes(b"evil")
    _edit(stage, name, values)
    with pytest.raises(ClosureError) as caught:
        pyhash.sign(stage.model, stage.key)
    assert [(one.code, one.path) for one in caught.value.findings] == [("closure", name)]
    sign_blindly(stage)
    stage.expect_refused(ClosureError, code="closure", path=name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"transformers_weights": do.SHARD_1}),
        ("config.json", {"auto_map": {"AutoModel": "modeling.Model"}}),
        ("config.json", {"_name_or_path": "/home/somebody/model.safetensors"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["modeling.Slow", None]}}),
        ("tokenizer_config.json", {"vocab_file": "tokenizer.json", "merges_file": None}),
        ("tokenizer_config.json", {"special_tokens_map_file": "/home/user/.cache/map.json"}),
        ("adapter_config.json", {"base_model_name_or_path": "somebody/model"}),
        ("onnx/config.json", {"transformers_weights": "empty.bin"}),
        ("modules.json", [{"path": "1_Normalize"}, {"path": ""}, "x", {}]),
    ],
    ids=str,
)
def test_leads_to_what_is_signed(name: str, values: object, stage: Stage) -> None:
    (stage.model / "modeling.py").write_text("class Model: ...\n")
    _edit(stage, name, values)
    pyhash.sign(stage.model, stage.key)
    stage.expect_verified()


def test_code_that_was_signed_cannot_be_taken_away(stage: Stage) -> None:
    (stage.model / "modeling.py").write_text("class Model: ...\n")
    _edit(stage, "config.json", {"auto_map": {"AutoModel": "modeling.Model"}})
    pyhash.sign(stage.model, stage.key)
    stage.expect_verified()
    (stage.model / "modeling.py").unlink()
    stage.expect_refused(MissingShardError, code="missing", path="modeling.py")


def test_deep_configuration(stage: Stage) -> None:
    text = '{"a":' * 100 + "1" + "}" * 100
    (stage.model / "config.json").write_text(text)
    with pytest.raises(ClosureError, match="nested deeper"):
        pyhash.sign(stage.model, stage.key)
    sign_blindly(stage)
    stage.expect_refused(ClosureError, code="closure", path="config.json")
