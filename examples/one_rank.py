# SPDX-License-Identifier: Apache-2.0
"""What one rank of a tensor-parallel model needs: python one_rank.py FILE PUBLIC_KEY RANK RANKS

Matrices are cut along their first dimension; everything else is taken whole. Only the spans of the
rank's own slices are read and verified.
"""

from __future__ import annotations

import sys
from typing import Any

from pyhash.safetensors import safe_open


def load_rank(path: str, key: str, rank: int, ranks: int) -> dict[str, Any]:
    """Return this rank's tensors by name."""
    found = {}
    with safe_open(path, "np", keys=[key]) as file:
        for name in file.offset_keys():
            part = file.get_slice(name)
            shape = part.get_shape()
            if len(shape) < 2:
                found[name] = file.get_tensor(name)
            else:
                found[name] = part[shape[0] * rank // ranks : shape[0] * (rank + 1) // ranks]
    return found


if __name__ == "__main__":
    for name, array in load_rank(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])).items():
        print(name, list(array.shape))
