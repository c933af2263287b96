# SPDX-License-Identifier: Apache-2.0
"""What the tests of distribution share: a signed checkpoint of several shards, and its content."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyhash
from pyhash.policy import Policy
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys

BIG = "big.bin"
BIG_SPANS = 40  # more than one request asks for
BIG_BYTES = BIG_SPANS * SPAN + 17

__all__ = ["BIG", "BIG_BYTES", "BIG_SPANS", "SHARD", "SPAN", "Release", "flip", "make_release"]


@dataclass(frozen=True, slots=True)
class Release:
    """A signed checkpoint.

    Attributes:
        model: Its directory.
        key, public: The publisher's key pair.
        root: Its root, as ``sign`` returned it.
        content: What each file holds.
    """

    model: Path
    key: Path
    public: Path
    root: bytes
    content: dict[str, bytes]

    @property
    def policy(self) -> Policy:
        """Trusts the publisher."""
        return Policy.from_key_files([self.public])

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(map(len, self.content.values()))


def make_release(home: Path, name: str = "model") -> Release:
    """Write and sign a checkpoint."""
    key, public = write_keys(home)
    model = home / name
    model.mkdir()
    content = write_checkpoint(model)
    content[BIG] = os.urandom(BIG_BYTES)
    (model / BIG).write_bytes(content[BIG])
    root = pyhash.sign(model, key).root
    return Release(model, key, public, root, content)


def content_of(directory: Path, release: Release) -> dict[str, bytes]:
    """What the files of a release hold in another directory."""
    return {name: (directory / name).read_bytes() for name in release.content}
