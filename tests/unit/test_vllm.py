# SPDX-License-Identifier: Apache-2.0
"""The load format for vLLM, against a stand-in for the part that docs/runtimes.md writes down.

The stand-in has the two public symbols, and the answer to a load format that nobody registered.
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import pyhash
from pyhash import errors, vllm
from pyhash.log.note_keys import write_note_keys
from tests.support.logs import make_log
from tests.unit._signed import flip, write_keys


class BaseModelLoader(ABC):
    def __init__(self, load_config: Any) -> None:
        self.load_config = load_config

    @abstractmethod
    def download_model(self, model_config: Any) -> None: ...

    @abstractmethod
    def load_weights(self, model: Any, model_config: Any) -> None: ...

    def load_model(self, vllm_config: Any, model_config: Any) -> Any:
        model = Model()
        self.load_weights(model, model_config)
        return model


class Model:
    """What a model of vLLM does with its weights: it copies them into its parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, torch.Tensor] = {}

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        for name, tensor in weights:
            self.parameters[name] = tensor.clone()


class Registry:
    def __init__(self) -> None:
        self.loaders: dict[str, type[BaseModelLoader]] = {}

    def register_model_loader(self, name: str) -> Callable[[Any], Any]:
        def register(cls: type[BaseModelLoader]) -> type[BaseModelLoader]:
            assert issubclass(cls, BaseModelLoader)
            self.loaders[name] = cls
            return cls

        return register

    def get_model_loader(self, load_config: Any) -> BaseModelLoader:
        if load_config.load_format not in self.loaders:
            raise ValueError(f"Load format `{load_config.load_format}` is not supported")
        return self.loaders[load_config.load_format](load_config)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    package = ModuleType("vllm.model_executor.model_loader")
    package.register_model_loader = found.register_model_loader  # type: ignore[attr-defined]
    base = ModuleType("vllm.model_executor.model_loader.base_loader")
    base.BaseModelLoader = BaseModelLoader  # type: ignore[attr-defined]
    for name in ("vllm", "vllm.model_executor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for module in (package, base):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    private, _ = write_keys(tmp_path)
    root = tmp_path / "model"
    root.mkdir()
    (root / "config.json").write_text("{}")
    weights = {"a": torch.arange(6.0).to(torch.bfloat16), "b": torch.arange(4)}
    save_file(weights, root / "model.safetensors")
    pyhash.sign(root, private)
    return root


def config(**extra: Any) -> Any:
    return SimpleNamespace(load_format="pyhash", model_loader_extra_config=extra)


def start(registry: Registry, model: Path, **extra: Any) -> Model:
    loader = registry.get_model_loader(config(**extra))
    of = SimpleNamespace(model=str(model))
    loader.download_model(of)
    found = loader.load_model(None, of)
    assert isinstance(found, Model)
    return found


def test_entry_point() -> None:
    (point,) = metadata.entry_points(group="vllm.general_plugins", name="pyhash")
    assert point.load() is vllm.register


def test_weights_reach_the_model(registry: Registry, model: Path) -> None:
    vllm.register()
    found = start(registry, model, keys=[str(model.parent / "publisher.pub")])
    assert found.parameters["a"].dtype == torch.bfloat16
    assert found.parameters["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.parameters["b"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_one_byte_and_no_model_starts(registry: Registry, model: Path, name: str) -> None:
    vllm.register()
    flip(model / name, (model / name).stat().st_size - 1)
    with pytest.raises(errors.VerificationError):
        start(registry, model, keys=[str(model.parent / "publisher.pub")])


def test_without_the_plugin_the_format_is_unknown(registry: Registry, model: Path) -> None:
    with pytest.raises(ValueError, match="not supported"):
        start(registry, model, keys=[str(model.parent / "publisher.pub")])


def test_nobody_is_trusted_unless_somebody_is_named(registry: Registry, model: Path) -> None:
    vllm.register()
    for extra, message in (
        ({}, "needs --model-loader-extra-config"),
        ({"polcy": "x"}, "'polcy' means nothing"),
        ({"keys": []}, "key"),
    ):
        with pytest.raises(errors.UsageError, match=message):
            start(registry, model, **extra)
    with pytest.raises(errors.CheckError):
        start(registry, model, policy=str(model.parent / "none.toml"))


def test_accesses_are_recorded(registry: Registry, model: Path, tmp_path: Path) -> None:
    vllm.register()
    log = make_log(tmp_path / "access")
    write_note_keys(log.signer, str(tmp_path / "writer"))
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'version = 1\n[[rule]]\nname = "*"\nkeys = ["publisher.pub"]\nrequire-log = true\n'
    )
    with pytest.raises(errors.PolicyError, match="every access is recorded"):
        start(registry, model, policy=str(policy))
    with pytest.raises(errors.UsageError, match="log-key without log"):
        start(registry, model, policy=str(policy), **{"log-key": "x"})
    with pytest.raises(errors.PyhashError, match=r"access\.key"):
        start(registry, model, policy=str(policy), log=str(log.directory))
    where = {"log": str(log.directory), "log-key": str(tmp_path / "writer.key")}
    assert start(registry, model, policy=str(policy), **where).parameters["b"].tolist() == [
        0,
        1,
        2,
        3,
    ]
    flip(model / "config.json", 0)
    with pytest.raises(errors.VerificationError):
        start(registry, model, policy=str(policy), **where)
    events = [json.loads(one) for one in log.entries()]
    assert [(one["operation"], one["outcome"]) for one in events] == [
        ("load", "done"),
        ("load", "refused"),
    ]


def test_another_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(errors.DependencyError, match="pip install vllm"):
        vllm.register()
