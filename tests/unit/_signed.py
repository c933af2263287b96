# SPDX-License-Identifier: Apache-2.0
"""What the tests of signing, verifying and starting share: a small checkpoint and its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyhash import signing
from pyhash.signing.ecdsa import generate_key, write_key_pair

SPAN = 1 << 20
SHARD = "model.safetensors"
TENSORS = {"a": SPAN - 4096, "b": SPAN, "c": SPAN // 2}


def write_keys(home: Path, name: str = "publisher") -> tuple[Path, Path]:
    """Write a key pair; the private and the public file."""
    private, public = home / f"{name}.key", home / f"{name}.pub"
    write_key_pair(generate_key(), private, public)
    return private, public


def write_shard(path: Path) -> None:
    """Three spans: header to 4096 and tensor "a", tensor "b", half a span of tensor "c"."""
    entries, start = {}, 0
    for name, size in TENSORS.items():
        entries[name] = {"dtype": "U8", "shape": [size], "data_offsets": [start, start + size]}
        start += size
    header = json.dumps(entries).encode().ljust(4096 - 8)
    data = (b"%d," % start) * (start // 4)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[:start])


def write_checkpoint(root: Path) -> dict[str, bytes]:
    """Write the checkpoint; path -> content."""
    (root / "sub").mkdir(parents=True)
    write_shard(root / SHARD)
    (root / "config.json").write_text('{"model_type": "llama"}')
    (root / "sub/caf\u00e9").write_text("x")
    (root / "sub/empty").touch()
    names = (SHARD, "config.json", "sub/caf\u00e9", "sub/empty")
    return {name: (root / name).read_bytes() for name in names}


def statement_of(bundle: Path) -> dict[str, Any]:
    """The statement in a bundle, unchecked."""
    found = json.loads(signing.load_bundle(bundle.read_bytes(), "x").envelope.payload)
    assert isinstance(found, dict)
    return found


def flip(path: Path, offset: int) -> None:
    """Invert the lowest bit of one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
