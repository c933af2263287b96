# SPDX-License-Identifier: Apache-2.0
"""Closure: which files are looked into, what is found there, and what is none of its business.

The attacks themselves are in tests/attacks (test_index_escapes.py, test_config_escapes.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyhash import closure, files, limits
from pyhash.errors import ChangedWhileReadError, Finding, TruncatedError
from tests.support.checkpoints import copy_real_checkpoint, make_gguf, make_hf_checkpoint


def listing_of(root: Path) -> files.Listing:
    return files.list_checkpoint(root, lambda path: path == ".gitattributes")


def check(root: Path, **contents: object) -> list[tuple[str, str]]:
    """Write files ("__" is "/", "_json" the ending) and look; path and message of each finding."""
    for name, value in contents.items():
        put(root, name.replace("__", "/").removesuffix("_json") + ".json", value)
    return found_in(root)


def put(root: Path, name: str, value: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")


def found_in(root: Path) -> list[tuple[str, str]]:
    found = closure.check_closure(listing_of(root))
    assert all(isinstance(one, Finding) and one.code == "closure" for one in found)
    return [(one.path, one.message) for one in found]


# --- real checkpoints are fine --------------------------------------------------------------------


def test_published_model(tmp_path: Path) -> None:
    assert found_in(copy_real_checkpoint(tmp_path / "model")) == []


def test_sharded_checkpoint(tmp_path: Path) -> None:
    assert found_in(make_hf_checkpoint(tmp_path / "model", shards=2, shard_bytes=1 << 17)) == []


def test_gguf(tmp_path: Path) -> None:
    make_gguf(tmp_path / "model.gguf", layers=1)
    assert found_in(tmp_path) == []
    assert found_in(tmp_path / "model.gguf") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # of most models of the Llama and Mistral families: Python's int(1e30)
        ("tokenizer_config.json", '{"model_max_length": 1000000000000000019884624838656}'),
        ("config.json", '{"time_step_limit": [0.0, Infinity], "x": [-Infinity, NaN]}'),
        ("config.json", '{"id2label": {"0": ".py", "1": "setup.py"}}'),
        ("config.json", '{"attention": {"impl": "flash"}, "auto_map": {"AutoModel": "x"}}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"5": {"content": "__init__.py"}}}'),
        ("tokenizer_config.json", '{"chat_template": "You are main.py"}'),
    ],
)
def test_what_real_configurations_say(name: str, text: str, tmp_path: Path) -> None:
    put(tmp_path, name, text)
    assert found_in(tmp_path) == []


def test_nothing_to_look_into(tmp_path: Path) -> None:
    for name in ("a.txt", "index.json", "my_config.json", "weights.bin", "config.json.bak"):
        (tmp_path / name).write_text('{"a": 1, "a": 2}')
    assert found_in(tmp_path) == []


# --- indexes --------------------------------------------------------------------------------------


def test_index(tmp_path: Path) -> None:
    put(tmp_path, "sub/w.safetensors.index.json", {"weight_map": {"a": "w.bin", "b": "w.bin"}})
    (tmp_path / "w.bin").write_bytes(b"")
    assert found_in(tmp_path) == [
        (
            "sub/w.safetensors.index.json",
            "weight_map sends tensor 'a' to 'w.bin', which is not a signed file of this checkpoint",
        )
    ]
    (tmp_path / "sub/w.bin").write_bytes(b"")
    assert found_in(tmp_path) == []


def test_each_target_once_each_type_always(tmp_path: Path) -> None:
    weight_map = {"a": "x", "b": "x", "c": 1, "d": None, "e": "y"}
    found = [message for _, message in check(tmp_path, **{"m.index": {"weight_map": weight_map}})]
    assert [message.split(",")[0] for message in found] == [
        "weight_map sends tensor 'c' to something that is not a file name",
        "weight_map sends tensor 'd' to something that is not a file name",
        "weight_map sends tensor 'a' to 'x'",
        "weight_map sends tensor 'e' to 'y'",
    ]


@pytest.mark.parametrize("value", [{}, [], '"text"', 5, None, {"weight_map": None}, {"a": "../x"}])
def test_index_that_sends_nothing_anywhere(value: object, tmp_path: Path) -> None:
    assert check(tmp_path, **{"m.index": value}) == []


def test_index_whose_map_is_none(tmp_path: Path) -> None:
    assert check(tmp_path, **{"m.index": {"weight_map": ["a"]}}) == [
        ("m.index.json", "weight_map is not an object")
    ]


# --- configurations -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(closure.CONFIG_NAMES))
def test_every_configuration_is_looked_into(name: str, tmp_path: Path) -> None:
    put(tmp_path, f"sub/{name}", {"a": {"b": [1, None, True, "../x.safetensors"]}})
    assert found_in(tmp_path) == [
        (
            f"sub/{name}",
            "b names '../x.safetensors', which is not a signed file of this checkpoint",
        )
    ]


@pytest.mark.parametrize("ending", closure.LOADABLE)
def test_every_ending(ending: str, tmp_path: Path) -> None:
    assert len(check(tmp_path, config={"a": f"x{ending}"})) == 1
    (tmp_path / f"x{ending}").write_text("{}" if ending == ".index.json" else "")
    if not ending.endswith((".safetensors", ".gguf")):
        assert found_in(tmp_path) == []


def test_code(tmp_path: Path) -> None:
    value = {"auto_map": {"A": "m.A", "B": ["m.B", None, "other/repository--m.B"]}, "m": "m.A"}
    assert check(tmp_path, config=value) == [
        ("config.json", "A takes code from 'm.py', which is not a signed file"),
        ("config.json", "B takes code from 'm.py', which is not a signed file"),
        ("config.json", "B takes code from another repository: 'other/repository--m.B'"),
    ]
    (tmp_path / "m.py").touch()
    assert len(found_in(tmp_path)) == 1


def test_string_alone(tmp_path: Path) -> None:
    assert check(tmp_path, config="x.bin".join('""')) == [
        ("config.json", "it names 'x.bin', which is not a signed file of this checkpoint")
    ]


def test_files_of_tokenizers(tmp_path: Path) -> None:
    value = {
        "vocab_file": "v.txt",
        "added_tokens_file": "/x",
        "special_tokens_map_file": "/y",
        "tokenizer_file": None,
    }
    assert check(tmp_path, tokenizer_config=value, config={"log_file": "/var/log/x"}) == [
        (
            "tokenizer_config.json",
            "vocab_file names 'v.txt', which is not a signed file of this checkpoint",
        )
    ]
    (tmp_path / "v.txt").touch()
    assert found_in(tmp_path) == []


def test_files_of_marian(tmp_path: Path) -> None:
    (tmp_path / "source.spm").write_bytes(b"x")
    files = {"source_spm": "source.spm", "target_spm": "/tmp/target.spm", "vocab": "../vocab.json"}
    assert check(tmp_path, tokenizer_config_json=files) == [
        (
            "tokenizer_config.json",
            f"{key} names {files[key]!r}, which is not a signed file of this checkpoint",
        )
        for key in ("target_spm", "vocab")
    ]
    assert check(tmp_path, tokenizer_config_json={"vocab": {"a": 1}}) == []


def test_modules(tmp_path: Path) -> None:
    value = [
        {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        {"path": "", "type": "repository--m.M"},
        {"path": "../x"},
        {"path": 5, "type": 5},
        "text",
    ]
    assert check(tmp_path, modules=value) == [
        ("modules.json", "a module takes code from another repository: 'repository--m.M'"),
        ("modules.json", "a module lies in '../x', which leads out of this checkpoint"),
    ]
    assert check(tmp_path, modules={"path": "../x"}) == []


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.safetensors", "a.gguf", "A.SAFETENSORS", "a.Gguf"])
def test_weights_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nonsense of no format whatever")
    ((path, message),) = found_in(tmp_path)
    assert path == name
    assert not message.startswith(name)


def test_weights_by_size(tmp_path: Path) -> None:
    for size, count in ((closure.WEIGHT_BYTES - 1, 0), (closure.WEIGHT_BYTES, 1)):
        (tmp_path / "a").write_bytes(b"GGUF" + bytes(size - 4))
        assert len(found_in(tmp_path)) == count
    (tmp_path / "a").write_bytes(bytes(closure.WEIGHT_BYTES))
    assert found_in(tmp_path) == []


# --- what cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cap"), [("config.json", "MAX_CONFIG_BYTES"), ("m.index.json", "MAX_INDEX_BYTES")]
)
def test_caps(name: str, cap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_text("[1, 2, 3]")
    monkeypatch.setattr(limits, cap, 9)
    assert found_in(tmp_path) == []
    monkeypatch.setattr(limits, cap, 8)
    ((path, message),) = found_in(tmp_path)
    assert path == name
    assert "above the cap of 8" in message


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 1}', "\ufeff{}", "nan"])
def test_what_is_no_json_is_a_finding(text: str, tmp_path: Path) -> None:
    ((path, message),) = check(tmp_path, config=text)
    assert path == "config.json"
    assert not message.startswith("config.json")


def test_all_files_are_looked_into(tmp_path: Path) -> None:
    found = check(tmp_path, config="{", **{"a.index": "{"}, modules="{", sub__config="{")
    assert [path for path, _ in found] == [
        "a.index.json",
        "config.json",
        "modules.json",
        "sub/config.json",
    ]


def test_another_file_than_was_listed(tmp_path: Path) -> None:
    put(tmp_path, "config.json", {})
    listing = listing_of(tmp_path)
    put(tmp_path, "config.json", {"a": 1})
    with pytest.raises(ChangedWhileReadError):
        closure.check_closure(listing)


def test_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "config.json", {})
    monkeypatch.setattr(closure.files.os, "pread", lambda *_: b"")
    with pytest.raises(TruncatedError):
        closure.check_closure(listing_of(tmp_path))
