# SPDX-License-Identifier: Apache-2.0
"""Reads YAML: the front matter of a model card (README.md), and descriptions of a step.

Safe loading only, no aliases (a few bytes could stand for gigabytes), no key twice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from pyhash import files, limits
from pyhash.errors import DependencyError, FormatError
from pyhash.provenance.statement import Material

_FENCE = "---"
_RELATIONS = {
    "finetune": "fine-tune",
    "adapter": "fine-tune",
    "quantized": "quantize",
    "merge": "merge",
}


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model card says about the origin of a model; nobody has checked it.

    Attributes:
        step: The step that its relation to the base model is, or None.
        materials: Base models and data sets, by name only.
        license: As the card has it, or None.
    """

    step: str | None
    materials: tuple[Material, ...]
    license: str | None


def load_model_card(location: str | os.PathLike[str]) -> ModelCard:
    """Read the front matter of a model card.

    Args:
        location: README.md, or a directory with one.

    Raises:
        DependencyError: PyYAML is not installed.
        FormatError: No front matter, or not such YAML.
        ReadError, LimitError: It cannot be read.
    """
    name = os.fspath(location)
    if os.path.isdir(name):
        name = os.path.join(name, "README.md")
    data = files.read_small(name, limits.MAX_MODEL_CARD_BYTES)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: not UTF-8", name, error.start) from None
    if not lines or lines[0].rstrip() != _FENCE or _FENCE not in map(str.rstrip, lines[1:]):
        raise FormatError(f"{name}: no front matter between two lines of {_FENCE}", name)
    end = [line.rstrip() for line in lines].index(_FENCE, 1)
    card = load_yaml("\n".join(lines[1:end]), name)
    relation = card.get("base_model_relation")
    return ModelCard(
        _RELATIONS.get(str(relation)),
        (
            *_materials("parent", card.get("base_model"), "base_model", name),
            *_materials("dataset", card.get("datasets"), "datasets", name),
        ),
        str(card["license"]) if "license" in card else None,
    )


def load_yaml(text: str, path: str) -> dict[str, Any]:
    """Read one YAML mapping strictly.

    Args:
        text: The YAML.
        path: Where it came from, for messages.

    Raises:
        DependencyError: PyYAML is not installed.
        FormatError: Not a mapping, an alias, a key twice, or not YAML.
    """
    try:
        import yaml
    except ImportError as error:
        raise DependencyError(
            "reading YAML needs PyYAML: pip install 'pyhash-checkpoint[provenance]'"
        ) from error
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise FormatError(f"{path}: YAML with aliases is not read", path)
        _check_keys(yaml.compose(text, yaml.SafeLoader), yaml, path)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"{path}: not YAML that is read here: {error}", path) from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise FormatError(f"{path}: not a YAML mapping with names", path)
    return value


def _check_keys(node: Any, yaml: Any, path: str) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) != len(node.value):
            raise FormatError(f"{path}: YAML with a key twice, or one that is no name", path)
        for _, value in node.value:
            _check_keys(value, yaml, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, yaml, path)


def _materials(role: str, value: object, where: str, path: str) -> list[Material]:
    listed = [] if value is None else value if isinstance(value, list) else [value]
    names = [name for name in listed if isinstance(name, str) and name]
    if len(names) != len(listed):
        raise FormatError(f"{path}: {where} is neither a name nor a list of names", path)
    kind = "datasets/" if role == "dataset" else ""
    return [Material(role, name, (), f"https://huggingface.co/{kind}{name}") for name in names]
