# SPDX-License-Identifier: Apache-2.0
"""``from_pretrained`` of any class of transformers, from verified bytes only.

Every file of the checkpoint is verified first, whatever the class needs of it. Weights go to the
model as they lie in memory; configuration, tokenizer and code come from a private copy of the
verified bytes. The checkpoint's own path is read once, and transformers never sees it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pyhash import formats, hashing
from pyhash.access import AccessLog
from pyhash.errors import DependencyError, UsageError
from pyhash.loading import dropping, model_weights, private_copy, read_checkpoint
from pyhash.opening import given_policy
from pyhash.policy import Policy, PolicyFile

__all__ = ["from_pretrained"]

GENERATION = "generation_config.json"
# Files that are no part of the private copy: weights, which go another way or are never unpickled.
WEIGHT_SUFFIXES = (".bin", ".ckpt", ".h5", ".msgpack", ".onnx", ".pt", ".pth", ".index.json")
# Arguments that make transformers take something else than what was verified.
REFUSED = frozenset(
    {
        "adapter_kwargs",
        "cache_dir",
        "code_revision",
        "force_download",
        "from_flax",
        "from_tf",
        "gguf_file",
        "revision",
        "state_dict",
        "subfolder",
        "use_safetensors",
        "variant",
    }
)


def from_pretrained(
    cls: Any,
    path: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | PolicyFile | None = None,
    signature: str | os.PathLike[str] | None = None,
    root: str | None = None,
    log: AccessLog | None = None,
    options: hashing.Options | None = None,
    **arguments: Any,
) -> Any:
    """Make an object of transformers from a signed checkpoint, or raise.

    Args:
        cls: A class with ``from_pretrained``: a model, ``AutoModelForCausalLM`` and its kind, a
            configuration, a tokenizer, a processor.
        path: A directory, laid out as ``save_pretrained`` does, with safetensors weights.
        keys: Public keys to trust, PEM files; any one may have signed.
        policy: Instead of ``keys`` and ``root``.
        signature: The bundle; None: its usual place.
        root: The only checkpoint root to accept; None: any.
        log: As of ``pyhash.load``.
        options: How to read and hash.
        arguments: For the class's own ``from_pretrained``, such as ``dtype``.

    Returns:
        What the class makes. A model's parameters are the verified memory itself, unless the class
        converts them.

    Raises:
        VerificationError: No: some byte of some file is not as signed; nothing was made.
        CheckError: The answer could not be found out, or transformers is not installed.
        UsageError: An argument that would take something from elsewhere, or no safetensors
            weights.
    """
    for name in arguments:
        if name in REFUSED or (name == "config" and isinstance(arguments[name], str)):
            raise UsageError(f"{name}: would take something that was not verified")
    library = _transformers()
    policy = given_policy(path, policy, keys, (), root)
    with dropping():
        contents = read_checkpoint(path, policy, signature=signature, log=log, options=options)
        arguments |= {"local_files_only": True}
        small = {name: data for name, data in contents.items() if not _is_weights(name)}
        with private_copy(small) as directory:
            if hasattr(cls, "from_config") or issubclass(cls, library.PreTrainedModel):
                return _model(library, cls, contents, directory, arguments)
            return cls.from_pretrained(directory, **arguments)


def _model(
    library: Any,
    cls: Any,
    contents: Mapping[str, memoryview],
    directory: str,
    arguments: dict[str, Any],
) -> Any:
    remote = {"trust_remote_code": bool(arguments.pop("trust_remote_code", False))}
    config = arguments.pop("config", None)
    if config is None:
        config = _automatic(library, cls).from_pretrained(
            directory, local_files_only=True, **remote
        )
    if hasattr(cls, "from_config"):
        # Which class it stands for is found out by making one without memory for its weights.
        with _torch().device("meta"):
            cls = type(cls.from_config(config, **remote))
    model = cls.from_pretrained(None, config=config, state_dict=_weights(contents), **arguments)
    if GENERATION in contents and model.can_generate():
        model.generation_config = library.GenerationConfig.from_pretrained(
            directory, local_files_only=True
        )
    return model


def _automatic(library: Any, cls: Any) -> Any:
    """The class that reads the configuration: the model's own, or whichever the file names."""
    return getattr(cls, "config_class", None) or library.AutoConfig


def _weights(contents: Mapping[str, memoryview]) -> dict[str, Any]:
    """The state dict, as views of verified memory."""
    return {tensor.name: tensor.torch() for tensor in model_weights(contents)}


def _is_weights(path: str) -> bool:
    return formats.has_tensors(path) or path.lower().endswith(WEIGHT_SUFFIXES)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise DependencyError("this needs transformers: pip install transformers") from error
    return transformers


def _torch() -> Any:
    import torch

    return torch
