# SPDX-License-Identifier: Apache-2.0
"""A load format for vLLM: ``--load-format pyhash`` gives the model verified memory, nothing else.

vLLM finds ``register`` through the entry point ``vllm.general_plugins``. Where this package is not
installed, or fails to import, the load format is unknown and vLLM does not start: it cannot fail
open. docs/runtimes.md has the contract that this relies on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyhash.access import AccessLog, open_access_log
from pyhash.errors import DependencyError, UsageError
from pyhash.loading import dropping, model_weights, read_checkpoint
from pyhash.opening import given_policy
from pyhash.policy import PolicyFile

__all__ = ["LOAD_FORMAT", "register"]

LOAD_FORMAT = "pyhash"
EXTRA_KEYS = frozenset({"policy", "keys", "signature", "root", "log", "log-key"})


def register() -> None:
    """Make vLLM know the load format; called by vLLM in each of its processes.

    Raises:
        DependencyError: vLLM is not installed, or is one whose interface is another.
    """
    try:
        from vllm.model_executor.model_loader import register_model_loader
        from vllm.model_executor.model_loader.base_loader import BaseModelLoader
    except ImportError as error:
        raise DependencyError(
            f"no vLLM with model loaders to register: {error}; pip install vllm"
        ) from error

    class VerifiedModelLoader(BaseModelLoader):  # type: ignore[misc]
        """Verifies every file of the model and hands over its tensors."""

        def __init__(self, load_config: Any) -> None:
            super().__init__(load_config)
            self._trust = _trust(load_config.model_loader_extra_config)

        def download_model(self, model_config: Any) -> None:
            """Nothing is fetched: a signed checkpoint is a directory of this host."""

        def load_weights(self, model: Any, model_config: Any) -> None:
            """Read, verify, and only then let the model copy what it needs."""
            trust = self._trust
            policy = given_policy(
                model_config.model, trust["policy"], trust["keys"], (), trust["root"]
            )
            with dropping():
                contents = read_checkpoint(
                    model_config.model, policy, signature=trust["signature"], log=trust["log"]
                )
                model.load_weights(
                    (tensor.name, tensor.torch()) for tensor in model_weights(contents)
                )

    register_model_loader(LOAD_FORMAT)(VerifiedModelLoader)


def _trust(extra: Any) -> dict[str, Any]:
    """What ``--model-loader-extra-config`` says: a policy file, or keys and a root; and a log."""
    if not isinstance(extra, Mapping) or not extra:
        raise UsageError(
            f"--load-format {LOAD_FORMAT} needs --model-loader-extra-config with a policy or keys,"
            ' such as {"policy": "/etc/pyhash/policy.toml"}'
        )
    unknown = sorted(extra.keys() - EXTRA_KEYS)
    if unknown:
        raise UsageError(f"--model-loader-extra-config: {unknown[0]!r} means nothing here")
    policy = extra.get("policy")
    return {
        "policy": None if policy is None else PolicyFile.read(policy),
        "keys": extra.get("keys", ()),
        "signature": extra.get("signature"),
        "root": extra.get("root"),
        "log": _log(extra),
    }


def _log(extra: Mapping[str, Any]) -> AccessLog | None:
    """The log that accesses are recorded in, found writable before any work."""
    if "log" in extra:
        return open_access_log(extra["log"], extra.get("log-key"))
    if "log-key" in extra:
        raise UsageError("--model-loader-extra-config: log-key without log")
    return None
