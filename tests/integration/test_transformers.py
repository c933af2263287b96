# SPDX-License-Identifier: Apache-2.0
"""Real, tiny models of transformers: the same answers as the ordinary loader's, or no object."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import pyhash
from pyhash import errors
from pyhash.access import open_access_log
from pyhash.log.note_keys import write_note_keys
from pyhash.transformers import from_pretrained
from tests.support.logs import make_log
from tests.unit._signed import flip, write_keys

TOKENS = torch.arange(24).reshape(2, 12)


def save_tokenizer(root: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["[UNK]", "hello", "world"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    fast.save_pretrained(root)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, one file and several, with their keys."""
    home = tmp_path_factory.mktemp("transformers")
    private, _ = write_keys(home)
    torch.manual_seed(3)
    llama = transformers.LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=128,
        max_position_embeddings=64,
        dtype="bfloat16",
    )
    model = transformers.LlamaForCausalLM(llama).to(torch.bfloat16)
    model.generation_config.max_new_tokens = 5
    model.save_pretrained(home / "sharded", max_shard_size="50KB")
    save_tokenizer(home / "sharded")
    bert = transformers.BertConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=99,
    )
    transformers.BertModel(bert).save_pretrained(home / "single")
    for name in ("sharded", "single"):
        pyhash.sign(home / name, private)
    return home


def key(home: Path) -> list[Path]:
    return [home / "publisher.pub"]


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("sharded", transformers.LlamaForCausalLM),
        ("sharded", transformers.AutoModelForCausalLM),
        ("single", transformers.BertModel),
        ("single", transformers.AutoModel),
    ],
)
def test_forward_pass(home: Path, name: str, cls: Any) -> None:
    ordinary = cls.from_pretrained(home / name)
    verified = from_pretrained(cls, home / name, keys=key(home))
    assert type(verified) is type(ordinary)
    with torch.no_grad():
        ours, theirs = verified(TOKENS), ordinary(TOKENS)
    assert torch.equal(ours[0], theirs[0])
    assert verified.dtype == ordinary.dtype and not verified.training
    assert ordinary.state_dict().keys() == verified.state_dict().keys()
    if name == "sharded":
        assert verified.generation_config.max_new_tokens == 5
        expected = ordinary.generate(TOKENS, do_sample=False)
        assert torch.equal(verified.generate(TOKENS, do_sample=False), expected)


def test_dtype_and_configuration_of_the_caller(home: Path) -> None:
    policy = pyhash.Policy.from_key_files(key(home))
    cls = transformers.AutoModelForCausalLM
    model = from_pretrained(cls, home / "sharded", policy=policy, dtype=torch.float32)
    assert model.dtype == torch.float32
    config = transformers.LlamaConfig.from_pretrained(home / "sharded")
    config.attention_dropout = 0.25
    model = from_pretrained(cls, home / "sharded", policy=policy, config=config)
    assert model.config.attention_dropout == 0.25


def test_tokenizer_and_configuration(home: Path) -> None:
    cls = transformers.AutoTokenizer
    tokenizer = from_pretrained(cls, home / "sharded", keys=key(home))
    assert tokenizer("hello world hello")["input_ids"] == [1, 2, 1]
    config = from_pretrained(transformers.AutoConfig, home / "sharded", keys=key(home))
    assert isinstance(config, transformers.LlamaConfig)


def test_one_byte_of_any_file_and_there_is_no_object(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "model"
    for file in sorted(path for path in (home / "sharded").iterdir() if path.name != "model.tree"):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(home / "sharded", root)
        flip(root / file.name, file.stat().st_size // 2)
        for cls in (transformers.AutoModelForCausalLM, transformers.AutoTokenizer):
            with pytest.raises((errors.VerificationError, errors.CheckError)):
                from_pretrained(cls, root, keys=key(home))


def test_code_is_taken_from_verified_bytes(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "custom"
    shutil.copytree(home / "single", root)
    (root / "custom_model.py").write_text(
        "from transformers import BertConfig, BertModel\n"
        "class CustomConfig(BertConfig):\n    model_type = 'custom'\n"
        "class CustomModel(BertModel):\n    config_class = CustomConfig\n    mark = 7\n"
    )
    config = (root / "config.json").read_text().replace('"bert"', '"custom"')
    code = {"AutoConfig": "custom_model.CustomConfig", "AutoModel": "custom_model.CustomModel"}
    mapped = str(code).replace("'", '"')
    (root / "config.json").write_text(config.replace("{", f'{{"auto_map": {mapped},', 1))
    pyhash.sign(root, home / "publisher.key")
    cls = transformers.AutoModel
    model = from_pretrained(cls, root, keys=key(home), trust_remote_code=True)
    assert model.mark == 7
    with pytest.raises(ValueError, match="trust_remote_code"):
        from_pretrained(cls, root, keys=key(home), trust_remote_code=False)
    flip(root / "custom_model.py", 9)
    with pytest.raises(errors.DigestMismatchError, match=r"custom_model\.py"):
        from_pretrained(cls, root, keys=key(home), trust_remote_code=True)


def test_access_is_recorded_before_there_is_an_object(home: Path, tmp_path: Path) -> None:
    made = make_log(tmp_path / "access")
    write_note_keys(made.signer, str(made.directory))
    log = open_access_log(made.directory)
    config = from_pretrained(transformers.AutoConfig, home / "single", keys=key(home), log=log)
    assert config.hidden_size == 32
    (entry,) = made.entries()
    assert b'"operation":"load","outcome":"done"' in entry
    (made.directory / "checkpoint").write_bytes(b"no log")
    with pytest.raises(errors.PyhashError, match="access"):
        from_pretrained(transformers.AutoConfig, home / "single", keys=key(home), log=log)


def test_nothing_is_left_in_shared_memory(home: Path) -> None:
    before = set(Path("/dev/shm").iterdir())
    from_pretrained(transformers.AutoConfig, home / "single", keys=key(home))
    assert set(Path("/dev/shm").glob("pyhash-*")) <= before


@pytest.mark.parametrize(
    "arguments",
    [{"revision": "main"}, {"state_dict": {}}, {"subfolder": ".."}, {"config": "/elsewhere"}],
    ids=str,
)
def test_what_would_come_from_elsewhere(home: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError, match="not verified"):
        from_pretrained(transformers.AutoModel, home / "single", keys=key(home), **arguments)


def test_no_weights(home: Path, tmp_path: Path) -> None:
    root = tmp_path / "none"
    root.mkdir()
    shutil.copy(home / "single/config.json", root)
    pyhash.sign(root, home / "publisher.key")
    with pytest.raises(errors.UsageError, match=r"neither model\.safetensors nor"):
        from_pretrained(transformers.AutoModel, root, keys=key(home))


def test_without_transformers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(errors.DependencyError, match="pip install transformers"):
        from_pretrained(object, home / "single", keys=key(home))
