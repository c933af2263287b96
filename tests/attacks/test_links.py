# SPDX-License-Identifier: Apache-2.0
"""Links: what is refused (symbolic ones, whatever they lead to) and what is not (hard ones).

A hard link is no reference to a file, it is one of its names: nothing tells it from the only one,
stores that hold equal files once consist of them, and the bytes were hashed. What could be held
against it, that somebody writes through another name, is true of every file, and is answered by
comparing inode and times.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import closure, files, gate
from pyhash.errors import (
    ChangedWhileReadError,
    DigestMismatchError,
    Finding,
    MissingShardError,
    ReadError,
)
from tests.attacks._stage import Stage, found_by
from tests.support import mutations as do


def test_symbolic_link_to_the_right_content(stage: Stage) -> None:
    do.replace_by_symlink(stage.model / do.SHARD_1)
    error = stage.expect_refused(MissingShardError, code="missing", path=do.SHARD_1)
    assert found_by(error) == {("missing", do.SHARD_1), ("unexpected", do.SHARD_1)}


def test_symbolic_link_within_the_checkpoint(stage: Stage) -> None:
    (stage.model / do.SHARD_1).rename(stage.model / "onnx/aside")
    (stage.model / do.SHARD_1).symlink_to("onnx/aside")
    error = stage.expect_refused(MissingShardError, code="unexpected", path="onnx/aside")
    assert ("unexpected", do.SHARD_1) in found_by(error)


def test_directory_link_is_not_walked(stage: Stage) -> None:
    do.replace_by_symlink(stage.model / "onnx")
    error = stage.expect_refused(MissingShardError, code="unexpected", path="onnx")
    missing = {("missing", path) for path in (do.EMPTY, do.ACCENTED, do.NESTED)}
    assert found_by(error) == {*missing, ("unexpected", "onnx")}


def test_link_to_the_whole_checkpoint_is_a_place_like_any_other(stage: Stage) -> None:
    moved = stage.home / "moved"
    stage.model.rename(moved)
    stage.model.symlink_to(moved)
    stage.expect_verified()


def test_hard_link_to_the_same_content_outside(stage: Stage) -> None:
    shard, outside = stage.model / do.SHARD_1, stage.home / "outside"
    outside.write_bytes(shard.read_bytes())
    shard.unlink()
    shard.hardlink_to(outside)
    verified = stage.expect_verified()
    gate.check_unchanged(verified)
    # Through the other name, and with the time put back.
    do.flip_byte_keep_times(outside, 5)
    with pytest.raises(ChangedWhileReadError):
        gate.check_unchanged(verified)
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_1)


def _swap_for_link(path: Path) -> None:
    aside = path.with_name(path.name + "-aside")
    path.rename(aside)
    path.symlink_to(aside.name)


def _swap_for_evil_directory(path: Path) -> None:
    evil = path.parent.parent / "evil"
    for name in sorted(path.rglob("*")):
        copy = evil / name.relative_to(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if name.is_file():
            copy.write_bytes(name.read_bytes())
    path.rename(path.parent.parent / "aside")
    path.symlink_to(evil)


@pytest.mark.parametrize(
    ("name", "act", "error"),
    [
        # The link is not followed.
        (do.SHARD_2, _swap_for_link, ReadError),
        # The link on the way is followed, and leads to a file that was not listed.
        ("onnx", _swap_for_evil_directory, ChangedWhileReadError),
    ],
)
def test_swapped_for_a_link_between_listing_and_opening(
    name: str,
    act: Callable[[Path], None],
    error: type[Exception],
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check(listing: files.Listing, *_: object) -> list[Finding]:
        act(stage.model / name)
        return []

    monkeypatch.setattr(closure, "check_closure", check)
    with pytest.raises(error):
        stage.verify()
    assert (stage.model / name).is_symlink()


def test_directory_swapped_for_a_link_while_it_is_listed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = files._Walk._entry

    def swap(self: files._Walk, descriptor: int, name: str, path: str) -> int:
        mode = look(self, descriptor, name, path)
        if path == "onnx":
            _swap_for_evil_directory(stage.model / path)
        return mode

    monkeypatch.setattr(files._Walk, "_entry", swap)
    with pytest.raises(ReadError):
        stage.verify()
    assert (stage.model / "onnx").is_symlink()


def test_checkpoint_swapped_for_another_between_listing_and_opening(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(listing: files.Listing, *_: object) -> list[Finding]:
        copy = stage.home / "copy"
        shutil.copytree(stage.model, copy)
        stage.model.rename(stage.home / "aside")
        os.rename(copy, stage.model)
        return []

    monkeypatch.setattr(closure, "check_closure", check)
    with pytest.raises(ChangedWhileReadError) as caught:
        stage.verify()
    assert caught.value.findings[0].code == "changed"
