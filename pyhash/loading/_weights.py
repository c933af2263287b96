# SPDX-License-Identifier: Apache-2.0
"""Which files of a Hugging Face checkpoint are the model's weights, and their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyhash import limits
from pyhash.errors import UsageError
from pyhash.loading._load import tensors_in_file
from pyhash.loading._views import Tensor
from pyhash.strict_json import expect_object, expect_string, load_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def model_weights(contents: Mapping[str, memoryview]) -> Iterator[Tensor]:
    """Yield every tensor of the model, as a view of verified memory.

    Args:
        contents: Verified content by path of the whole checkpoint.

    Raises:
        UsageError: No safetensors weights where loaders look for them.
        FormatError: The index or a header breaks a rule of its format.
    """
    for name in _files(contents):
        yield from tensors_in_file(name, contents[name])


def _files(contents: Mapping[str, memoryview]) -> list[str]:
    if WEIGHTS in contents:
        return [WEIGHTS]
    if INDEX not in contents:
        raise UsageError(f"neither {WEIGHTS} nor {INDEX} in this checkpoint: no model to load")
    index = load_json(bytes(contents[INDEX]), path=INDEX, max_bytes=limits.MAX_INDEX_BYTES)
    weight_map = expect_object(
        expect_object(index, "the index", INDEX).get("weight_map"), "weight_map", INDEX
    )
    return sorted({expect_string(one, "weight_map", INDEX) for one in weight_map.values()})
