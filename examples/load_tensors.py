# SPDX-License-Identifier: Apache-2.0
"""Verified tensors of a signed checkpoint: python load_tensors.py MODEL PUBLIC_KEY"""

from __future__ import annotations

import sys

import pyhash


def main(model: str, key: str) -> int:
    """Print what is in there, or why it is refused."""
    try:
        loaded = pyhash.load(model, keys=[key])
    except pyhash.VerificationError as error:  # the answer is no
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except pyhash.CheckError as error:  # could not find out: refuse, too
        print(f"could not check: {error}", file=sys.stderr)
        return 3
    for name, tensor in loaded.tensors.items():
        print(name, tensor.dtype, list(tensor.shape))
    print(f"{loaded.guarantee}: {loaded.size} bytes in {loaded.seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
