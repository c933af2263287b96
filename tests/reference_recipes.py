# SPDX-License-Identifier: Apache-2.0
"""The data of test vectors from the recipes that tests/vectors/v1/README.md describes.

So the committed vectors hold sizes and digests and no megabytes. Standard library only; knows
nothing of trees.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

Json = dict[str, Any]

LONG_SEED = "pyhash-v1"
LONG_BYTES = 33 << 20  # the stream of LONG_SEED is made once, this long


def counter(seed: str, size: int) -> Json:
    return {"recipe": "counter", "seed": seed, "size": size}


def repeat(byte: int, size: int) -> Json:
    return {"recipe": "repeat", "byte": byte, "size": size}


def text(content: str) -> Json:
    return {"recipe": "text", "text": content}


def make_data(recipe: Json) -> bytes:
    """The bytes that a recipe describes."""
    if recipe["recipe"] == "text":
        return recipe["text"].encode("utf-8")
    if recipe["recipe"] == "repeat":
        return bytes([recipe["byte"]]) * recipe["size"]
    if recipe["seed"] == LONG_SEED and recipe["size"] <= LONG_BYTES:
        return long_stream()[: recipe["size"]]
    return counter_stream(recipe["seed"], recipe["size"])


def counter_stream(seed: str, size: int) -> bytes:
    key = seed.encode("utf-8")
    blocks = (sha256(key + i.to_bytes(8, "big")).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]


@lru_cache(maxsize=1)
def long_stream() -> bytes:
    return counter_stream(LONG_SEED, LONG_BYTES)


def make_files(vector: Json) -> dict[str, bytes]:
    """The content by path of a checkpoint vector, in the order of the vector."""
    files = vector["files"]
    if isinstance(files, dict):  # {"recipe": "small-files", "count": n}
        return {
            path: counter_stream(path, i % 257)
            for i, path in enumerate(f"part-{i % 10}/{i:05}.bin" for i in range(files["count"]))
        }
    return {file["path"]: make_data(file["data"]) for file in files}
