# SPDX-License-Identifier: Apache-2.0
"""A load format for SGLang: ``--load-format private`` gives the model verified memory alone.

SGLang's load formats are a closed list with one place for a loader of one's own: for ``private`` it
imports the module PRIVATE_MODULE, which its releases do not have. ``register``, which it finds
through the entry point ``sglang.srt.plugins``, puts a module there. SGLang logs a plug-in that
fails and goes on; then the module is missing and it does not start. Loaders that it would choose
for other reasons refuse the keys of ``--model-loader-extra-config`` that this one needs.
docs/runtimes.md has the contract that this relies on, and what it does not cover.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pyhash.errors import UsageError
from pyhash.load_format import Trust
from pyhash.loading import dropping

__all__ = ["LOAD_FORMAT", "PRIVATE_MODULE", "register"]

LOAD_FORMAT = "private"
PRIVATE_MODULE = "sglang.private.private_model_loader"


def register() -> None:
    """Have SGLang find the loader; called by SGLang in each of its processes.

    Imports nothing of SGLang. A loader that an operator's own build has in this place is not used.
    Raises nothing.
    """
    module = ModuleType(PRIVATE_MODULE)
    module.PrivateModelLoader = _Loaders()  # type: ignore[attr-defined]
    sys.modules[PRIVATE_MODULE] = module


class _Loaders:
    """Makes loaders, as the class would that SGLang expects.

    The first one says whom this process trusts. When weights are replaced while the server runs,
    SGLang asks for another one and tells it nothing; it trusts the same.
    """

    def __init__(self) -> None:
        self._trust: Trust | None = None

    def __call__(self, load_config: Any) -> Any:
        """Return a loader.

        Raises:
            UsageError, CheckError: As ``Trust.read``.
        """
        extra = load_config.model_loader_extra_config
        if self._trust is None or extra:
            self._trust = Trust.read(extra, LOAD_FORMAT)
        return _loader_class()(load_config, self._trust)


def _loader_class() -> Any:
    """The loader, made when it is wanted: SGLang imports plug-ins before its own loaders."""
    from sglang.srt.model_loader.loader import BaseModelLoader, DefaultModelLoader

    class VerifiedModelLoader(DefaultModelLoader):  # type: ignore[misc]
        """SGLang's ordinary loader over tensors that were verified in memory."""

        def __init__(self, load_config: Any, trust: Trust) -> None:
            # Not the ordinary loader's: it refuses all keys but its own.
            BaseModelLoader.__init__(self, load_config)
            self._trust = trust

        def download_model(self, model_config: Any) -> None:
            """Nothing is fetched: a signed checkpoint is a directory of this host."""

        def load_model(self, *, model_config: Any, device_config: Any) -> Any:
            """Refuse what the ordinary loader would read by another way."""
            if getattr(model_config, "modelopt_quant", None):
                raise UsageError(
                    "ModelOpt reads the checkpoint by itself, and --load-format private does not"
                )
            return super().load_model(model_config=model_config, device_config=device_config)

        def _prepare_weights(self, *_: Any, **__: Any) -> Any:
            raise UsageError(
                "this would read files that nobody verified; --load-format private reads"
                " the checkpoint once, into memory: leave out what overlaps or prefetches"
            )

        def _get_weights_iterator(self, source: Any, **how: Any) -> Iterator[tuple[str, Any]]:
            if how.get("resolved_source") is not None or source.allow_patterns_overrides:
                self._prepare_weights()
            with dropping():
                weights = self._trust.weights(source.model_or_path)
            draft = self.load_config.draft_model_idx
            if draft is not None:
                filtered: Iterator[tuple[str, Any]] = self._filter_mtp_weights(
                    weights, source.prefix, draft
                )
                return filtered
            return ((source.prefix + name, tensor) for name, tensor in weights)

    return VerifiedModelLoader
