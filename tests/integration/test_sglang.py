# SPDX-License-Identifier: Apache-2.0
"""The load format for SGLang, against SGLang's own code: its plug-in framework as it is, and its
choice of a loader and its ordinary loader, taken out of their module, which cannot be imported
without a GPU's libraries. Models, devices and quantisation are stand-ins.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import enum
import importlib
import logging
import re
import sys
import time
import typing
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import pyhash
from pyhash import errors, sglang
from tests.support import sglang_verifier
from tests.unit._signed import flip, write_keys

REAL = {
    "BaseModelLoader",
    "DefaultModelLoader",
    "ModelOptModelLoader",
    "IncModelLoader",
    "_validate_default_loader_extra_config",
    "get_model_loader",
}
WEIGHTS = {
    "a": torch.arange(6.0).to(torch.bfloat16),
    "model.mtp.layers.0.b": torch.arange(4),
    "model.mtp.layers.1.b": torch.arange(4, 8),
}


class Model:
    """What a model does with its weights: it copies them into its parameters."""

    def __init__(self, **attributes: Any) -> None:
        self.parameters: dict[str, torch.Tensor] = {}
        vars(self).update(attributes)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        for name, tensor in weights:
            self.parameters[name] = tensor.clone()

    def eval(self) -> Model:
        return self


def extracted(member: str, wanted: set[str], names: dict[str, Any]) -> None:
    """Run the definitions of those names in a module of SGLang, and nothing else of it."""
    path = sglang_verifier.sources() / member
    module = ast.parse(path.read_text("utf-8"))
    body = [one for one in module.body if getattr(one, "name", None) in wanted]
    assert {one.name for one in body} == wanted  # type: ignore[attr-defined]
    future = ast.parse("from __future__ import annotations").body
    exec(compile(ast.Module([*future, *body], []), path, "exec"), names)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A process of SGLang before it has looked for plug-ins; its module of loaders."""
    before = dict(sys.modules)
    monkeypatch.syspath_prepend(str(sglang_verifier.sources()))
    importlib.invalidate_caches()
    loader = ModuleType("sglang.srt.model_loader.loader")
    nothing = contextlib.nullcontext
    vars(loader).update(
        {
            **{name: getattr(typing, name) for name in ("Any", "Optional", "Tuple", "Generator")},
            "List": list,
            "Iterable": Iterable,
            "cast": typing.cast,
            "ABC": ABC,
            "abstractmethod": abstractmethod,
            "dataclasses": dataclasses,
            "re": re,
            "time": time,
            "torch": torch,
            "nn": torch.nn,
            "enum": enum,
            "logger": logging.getLogger("sglang"),
            "_get_quantization_config": lambda *_: None,
            "_initialize_model": lambda config, *_: config.made,
            "set_default_torch_dtype": lambda _: nothing(),
            "is_cuda_alike": lambda: False,
            "monokernel_weights_iterator": lambda model, weights: weights,
            "_modules_with_quant_method": lambda _: [],
            "QuantizedRLModelLoader": SimpleNamespace(is_reload_scenario=lambda _: False),
        }
    )
    monkeypatch.setitem(sys.modules, "sglang.srt.model_loader", ModuleType("model_loader"))
    monkeypatch.setitem(sys.modules, loader.__name__, loader)
    extracted(sglang_verifier.LOAD_CONFIG, {"LoadFormat"}, vars(loader))
    extracted(sglang_verifier.LOADER, REAL, vars(loader))
    yield loader
    for name in [one for one in sys.modules if one.split(".")[0] == "sglang"]:
        del sys.modules[name]
    sys.modules.update({name: one for name, one in before.items() if name.startswith("sglang")})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_keys(tmp_path)
    return signed(tmp_path / "model", WEIGHTS)


def signed(root: Path, weights: dict[str, torch.Tensor]) -> Path:
    root.mkdir()
    (root / "config.json").write_text("{}")
    save_file(weights, root / "model.safetensors")
    pyhash.sign(root, root.parent / "publisher.key")
    return root


def load_plugins() -> None:
    """As SGLang does in each of its processes."""
    importlib.import_module("sglang.srt.plugins").load_plugins()


def configuration(server: ModuleType, model: Path, **changes: Any) -> Any:
    key = str(model.parent / "publisher.pub")
    return SimpleNamespace(
        load_format=server.LoadFormat(sglang.LOAD_FORMAT),
        **{
            "model_loader_extra_config": {"keys": [key]},
            "draft_model_idx": None,
            "modelopt_config": None,
            **changes,
        },
    )


def of(model: Path, **changes: Any) -> Any:
    """A configuration of the model, and the model that SGLang makes of it."""
    settings = {"made": Model(), "quantization": None, "dtype": None, "revision": None}
    return SimpleNamespace(model_path=str(model), **{**settings, **changes})


def start(server: ModuleType, config: Any, of_model: Any) -> dict[str, torch.Tensor]:
    """Choose a loader and load, as SGLang does."""
    loader = server.get_model_loader(config, of_model)
    loader.download_model(of_model)
    device = SimpleNamespace(device="cpu")
    found = loader.load_model(model_config=of_model, device_config=device)
    assert found is of_model.made
    parameters: dict[str, torch.Tensor] = found.parameters
    return parameters


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == one.dtype and torch.equal(found[name], one)
        for name, one in expected.items()
    )


def test_entry_point() -> None:
    (point,) = metadata.entry_points(group="sglang.srt.plugins", name="pyhash")
    assert point.load() is sglang.register


def test_weights_reach_the_model(server: ModuleType, model: Path) -> None:
    load_plugins()
    assert same(start(server, configuration(server, model), of(model)), WEIGHTS)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_one_byte_and_no_weight_is_loaded(server: ModuleType, model: Path, name: str) -> None:
    load_plugins()
    flip(model / name, (model / name).stat().st_size - 1)
    of_model = of(model)
    with pytest.raises(errors.VerificationError):
        start(server, configuration(server, model), of_model)
    assert of_model.made.parameters == {}


# --- it cannot fail open --------------------------------------------------------------------------


def refused(server: ModuleType, model: Path) -> None:
    of_model = of(model)
    with pytest.raises(ValueError, match=r"Failed to import sglang\.private"):
        start(server, configuration(server, model), of_model)
    assert of_model.made.parameters == {}


def test_without_the_plugin(server: ModuleType, model: Path) -> None:
    refused(server, model)


def test_plugin_that_is_not_wanted(
    server: ModuleType, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGLANG_PLUGINS", "another")
    load_plugins()
    refused(server, model)


@pytest.mark.parametrize("how", ["import", "call"])
def test_plugin_that_fails(
    server: ModuleType, model: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "import":
        monkeypatch.setitem(sys.modules, "pyhash.sglang", None)
    else:
        monkeypatch.setattr(sglang, "register", lambda: 1 / 0)
    load_plugins()
    refused(server, model)


@pytest.mark.parametrize(
    "quantization", ["modelopt_fp8", "modelopt_fp4", "modelopt_mixed", "auto-round-int8"]
)
@pytest.mark.parametrize("quantized", [True, False])
def test_loaders_that_come_before_the_format(
    server: ModuleType, model: Path, quantization: str, quantized: bool
) -> None:
    """SGLang chooses these by the quantisation, whatever the format is; they refuse our keys."""
    load_plugins()
    of_model = of(model, quantization=quantization, _is_already_quantized=lambda: quantized)
    config = configuration(server, model)
    if (quantization, quantized) == ("modelopt_fp4", False):  # this one looks at the format
        assert same(start(server, config, of_model), WEIGHTS)
        return
    with pytest.raises(ValueError, match="Unexpected extra config keys"):
        start(server, config, of_model)
    assert of_model.made.parameters == {}


@pytest.mark.parametrize("quantization", ["modelopt_fp8", "auto-round-int8"])
def test_known_limit_of_no_configuration(
    server: ModuleType, model: Path, quantization: str
) -> None:
    """With nothing to refuse, SGLang's own loader is chosen; docs/runtimes.md says so."""
    load_plugins()
    of_model = of(model, quantization=quantization, _is_already_quantized=lambda: False)
    bare = configuration(server, model, model_loader_extra_config={})
    loader = server.get_model_loader(bare, of_model)
    assert type(loader).__name__ in {"ModelOptModelLoader", "IncModelLoader"}


def test_other_ways_to_the_files(server: ModuleType, model: Path) -> None:
    load_plugins()
    config = configuration(server, model)
    with pytest.raises(ValueError, match="Unexpected extra config keys"):
        start(server, config, of(model, modelopt_quant="fp8"))
    online = {"quantization": "modelopt_fp4", "_is_already_quantized": lambda: False}
    with pytest.raises(errors.UsageError, match="ModelOpt reads the checkpoint by itself"):
        start(server, config, of(model, modelopt_quant="fp8", **online))
    loader = server.get_model_loader(config, of(model))
    with pytest.raises(errors.UsageError, match="nobody verified"):
        loader.resolve_model_weights(of(model), Model())
    with pytest.raises(errors.UsageError, match="nobody verified"):
        start(server, config, of(model, made=Model(allow_patterns_overrides=["*.bin"])))
    source = server.DefaultModelLoader.Source(str(model), None)
    with pytest.raises(errors.UsageError, match="nobody verified"):
        loader._get_weights_iterator(source, resolved_source=object())


# --- whom it trusts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({}, "--load-format private needs --model-loader-extra-config"),
        ({"polcy": "x"}, "'polcy' means nothing"),
        ({"keys": []}, "key"),
    ],
)
def test_nobody_is_trusted_unless_somebody_is_named(
    server: ModuleType, model: Path, extra: dict[str, Any], message: str
) -> None:
    load_plugins()
    config = configuration(server, model, model_loader_extra_config=extra)
    with pytest.raises(errors.UsageError, match=message):
        start(server, config, of(model))


def test_weights_that_are_replaced_later(server: ModuleType, model: Path) -> None:
    """SGLang makes another loader then, without the configuration; whom it trusts is remembered."""
    load_plugins()
    start(server, configuration(server, model), of(model))
    bare = configuration(server, model, model_loader_extra_config={})
    newer = signed(model.parent / "newer", {"a": torch.ones(3)})
    loader = server.get_model_loader(bare, of(newer))
    assert isinstance(loader, server.DefaultModelLoader)  # what SGLang asks before it goes on
    source = server.DefaultModelLoader.Source.init_new(of(newer), Model())
    assert same(dict(loader._get_weights_iterator(source)), {"a": torch.ones(3)})
    flip(newer / "config.json", 0)
    with pytest.raises(errors.VerificationError):
        loader._get_weights_iterator(source)


# --- what SGLang's own loader does besides --------------------------------------------------------


def test_secondary_weights_are_verified_too(server: ModuleType, model: Path) -> None:
    load_plugins()
    second = signed(model.parent / "second", {"c": torch.zeros(2)})
    source = server.DefaultModelLoader.Source(str(second), None, prefix="tower.")
    found = start(
        server, configuration(server, model), of(model, made=Model(secondary_weights=[source]))
    )
    assert same(found, {**WEIGHTS, "tower.c": torch.zeros(2)})
    flip(second / "model.safetensors", 9)
    with pytest.raises(errors.VerificationError):
        start(
            server, configuration(server, model), of(model, made=Model(secondary_weights=[source]))
        )


def test_one_layer_of_a_draft_model(server: ModuleType, model: Path) -> None:
    load_plugins()
    found = start(server, configuration(server, model, draft_model_idx=1), of(model))
    assert same(found, {"a": WEIGHTS["a"], "model.mtp.layers.0.b": WEIGHTS["model.mtp.layers.1.b"]})
