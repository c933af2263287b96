# SPDX-License-Identifier: Apache-2.0
"""What the tests of loading share: a signed checkpoint of two safetensors files and a GGUF file.

What its tensors must hold is kept as arrays from which the files were written by other packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import pyhash
from tests.unit._signed import write_keys

SPAN = 1 << 20


@dataclass(frozen=True)
class Loadable:
    """A signed checkpoint, its public key, and what is in it."""

    root: Path
    key: Path
    arrays: dict[str, Any]
    path_of: dict[str, str]

    def load(self, **more: Any) -> pyhash.Loaded:
        """Load it with its own key."""
        return pyhash.load(self.root, keys=[self.key], **more)


def make_loadable(home: Path, *, seed: int = 7) -> Loadable:
    """Write and sign it: 11 spans in two files, a configuration, an empty file."""
    random = np.random.default_rng(seed)
    root = home / "model"
    root.mkdir()
    private, public = write_keys(home)
    first = {
        "wide": random.integers(-1000, 1000, (64, 16384), dtype=np.int32),  # 4 MiB
        "deep": random.random((3, 5, 7), dtype=np.float32),
        "half": random.random((1000, 300)).astype(np.float16),
        "none": np.zeros((0, 4), dtype=np.float32),
        "one": np.array(3.5),
    }
    second = {
        "tall": random.random((4096, 384), dtype=np.float32),  # 6 MiB
        "mask": random.integers(0, 2, 999).astype(bool),
        "wave": (random.random(10) + 1j * random.random(10)).astype(np.complex64),
    }
    path_of = {}
    for path, arrays in (("a.safetensors", first), ("sub/b.safetensors", second)):
        (root / path).parent.mkdir(exist_ok=True)
        save_file(arrays, root / path, metadata={"format": "np", "file": path})
        path_of |= dict.fromkeys(arrays, path)
    (root / "config.json").write_text('{"model_type": "llama"}')
    (root / "empty").touch()
    pyhash.sign(root, private)
    return Loadable(root, public, first | second, path_of)
