# SPDX-License-Identifier: Apache-2.0
"""A Ray Serve deployment whose replicas exist only with verified weights.

serve run ray_deployment:build model=/srv/model key=/etc/pyhash/publisher.pub

Each replica verifies in its constructor. What the constructor raises, Ray reports as a replica that
failed to start: no request reaches it.
"""

from __future__ import annotations

from typing import Any

from ray import serve

import pyhash


@serve.deployment
class VerifiedModel:
    """Answers with facts about the tensors that it was given."""

    def __init__(self, model: str, key: str) -> None:
        # Raises on every refusal and on every check that could not be made; do not catch it here.
        loaded = pyhash.load(model, keys=[key])
        self._guarantee = loaded.guarantee
        self._weights = loaded.numpy()

    def __call__(self, request: Any) -> dict[str, Any]:
        """Use the verified weights."""
        return {"guarantee": str(self._guarantee), "tensors": sorted(self._weights)}


def build(arguments: dict[str, str]) -> Any:
    """Return the application; the arguments are those of the command line."""
    return VerifiedModel.bind(arguments["model"], arguments["key"])
