# SPDX-License-Identifier: Apache-2.0
"""What the tests of repair and scrub share: a signed checkpoint, a good copy of it, ways to damage
it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyhash
from pyhash.policy import Policy
from pyhash.repair import RepairOptions, RepairResult, repair
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys

BIG = "sub/big.bin"
BIG_BYTES = 5 * SPAN + 17

__all__ = [
    "BIG",
    "BIG_BYTES",
    "SHARD",
    "SPAN",
    "Pair",
    "content_of",
    "flip",
    "make_pair",
    "mend",
    "verified",
]


@dataclass(frozen=True, slots=True)
class Pair:
    """A signed checkpoint twice: one to damage, and one that stays whole.

    Attributes:
        model: The one to damage.
        copy: The other.
        key, public: The publisher's key pair.
        content: What each file holds.
    """

    model: Path
    copy: Path
    key: Path
    public: Path
    content: dict[str, bytes]

    @property
    def policy(self) -> Policy:
        """Trusts the publisher."""
        return Policy.from_key_files([self.public])

    def is_whole(self) -> bool:
        """Whether every signed file holds what it held."""
        return content_of(self.model, self.content) == self.content


def make_pair(home: Path) -> Pair:
    """Write, sign and copy a checkpoint."""
    key, public = write_keys(home)
    copy = home / "copy"
    copy.mkdir()
    content = write_checkpoint(copy)
    content[BIG] = os.urandom(BIG_BYTES)
    (copy / BIG).write_bytes(content[BIG])
    pyhash.sign(copy, key)
    model = home / "model"
    shutil.copytree(copy, model)
    return Pair(model, copy, key, public, content)


def content_of(directory: Path, names: dict[str, bytes]) -> dict[str, bytes | None]:
    """What these files hold; None for those that are not there."""
    return {
        name: (directory / name).read_bytes() if (directory / name).is_file() else None
        for name in names
    }


def mend(pair: Pair, *sources: Path, **options: Any) -> RepairResult:
    """Repair the one from the other, or from these sources."""
    return repair(
        pair.model,
        [str(one) for one in sources or (pair.copy,)],
        pair.policy,
        options=RepairOptions(**options),
    )


def verified(pair: Pair) -> bool:
    """Whether every byte of it is as signed."""
    return pyhash.verify(pair.model, keys=[pair.public]).guarantee == "content"
