# SPDX-License-Identifier: Apache-2.0
"""A load format for vLLM: ``--load-format pyhash`` gives the model verified memory, nothing else.

vLLM finds ``register`` through the entry point ``vllm.general_plugins``. Where this package is not
installed, or fails to import, the load format is unknown and vLLM does not start: it cannot fail
open. docs/runtimes.md has the contract that this relies on.
"""

from __future__ import annotations

from typing import Any

from pyhash.errors import DependencyError
from pyhash.load_format import Trust
from pyhash.loading import dropping

__all__ = ["LOAD_FORMAT", "register"]

LOAD_FORMAT = "pyhash"


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
            self._trust = Trust.read(load_config.model_loader_extra_config, LOAD_FORMAT)

        def download_model(self, model_config: Any) -> None:
            """Nothing is fetched: a signed checkpoint is a directory of this host."""

        def load_weights(self, model: Any, model_config: Any) -> None:
            """Read, verify, and only then let the model copy what it needs."""
            with dropping():
                model.load_weights(self._trust.weights(model_config.model))

    register_model_loader(LOAD_FORMAT)(VerifiedModelLoader)
