# SPDX-License-Identifier: Apache-2.0
"""A pinned root refuses other releases by the same key; keys inside a checkpoint are refused; a
path that leads nowhere could not be checked.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pyhash
from pyhash.errors import CheckError, PolicyError, ReadError, UsageError
from pyhash.signing import ecdsa


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "k.key", tmp_path / "k.pub"
    ecdsa.write_key_pair(ecdsa.generate_key(), private, public)
    return private, public


@pytest.fixture
def releases(tmp_path: Path, keys: tuple[Path, Path]) -> tuple[Path, Path]:
    """Two releases by the same key."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_text(f"{name} weights")
        pyhash.sign(tmp_path / name, keys[0])
    return tmp_path / "old", tmp_path / "new"


def test_pinned_root(releases: tuple[Path, Path], keys: tuple[Path, Path]) -> None:
    old, new = releases
    root = pyhash.format_root(pyhash.hash_checkpoint(new).root)
    assert pyhash.verify(new, keys=[keys[1]], root=root).manifest.name == "new"
    assert pyhash.verify(old, keys=[keys[1]]).manifest.name == "old"
    with pytest.raises(PolicyError, match="only pyhash-v1:"):
        pyhash.verify(old, keys=[keys[1]], root=root)


def test_older_release_in_place_of_the_new_one(
    releases: tuple[Path, Path], keys: tuple[Path, Path]
) -> None:
    old, new = releases
    root = pyhash.format_root(pyhash.hash_checkpoint(new).root)
    shutil.rmtree(new)
    old.rename(new)
    with pytest.raises(PolicyError):
        pyhash.verify(new, keys=[keys[1]], root=root)


@pytest.mark.parametrize("root", ["", "pyhash-v1:", "pyhash-v1:" + "A" * 64, "0" * 64])
def test_root_that_is_none(releases: tuple[Path, Path], keys: tuple[Path, Path], root: str) -> None:
    with pytest.raises(UsageError):
        pyhash.verify(releases[1], keys=[keys[1]], root=root)


def test_policy_or_root_not_both(releases: tuple[Path, Path], keys: tuple[Path, Path]) -> None:
    policy = pyhash.Policy.from_key_files([keys[1]])
    with pytest.raises(UsageError, match="not both"):
        pyhash.verify(releases[0], policy=policy, root="pyhash-v1:" + "0" * 64)


def test_private_key_inside(releases: tuple[Path, Path], keys: tuple[Path, Path]) -> None:
    inside = releases[0] / "publisher.key"
    shutil.copy(keys[0], inside)
    with pytest.raises(UsageError, match="keep keys apart"):
        pyhash.sign(releases[0], inside)


def test_public_key_inside(releases: tuple[Path, Path], keys: tuple[Path, Path]) -> None:
    inside = releases[0] / "publisher.pub"
    shutil.copy(keys[1], inside)
    with pytest.raises(UsageError, match="keep keys apart"):
        pyhash.verify(releases[0], keys=[inside])
    link = releases[0].parent / "link.pub"
    link.symlink_to(inside)
    with pytest.raises(UsageError, match="keep keys apart"):
        pyhash.verify(releases[0], keys=[link])


def test_nothing_there(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(ReadError, match="No such file"):
        pyhash.verify(tmp_path / "nowhere", keys=[keys[1]])
    with pytest.raises(CheckError):
        pyhash.verify(f"{tmp_path}/a\0b", keys=[keys[1]])
