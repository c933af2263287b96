# SPDX-License-Identifier: Apache-2.0
"""Between the verification and the start: whatever changed meanwhile, nothing is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import gate
from pyhash.errors import (
    ChangedWhileReadError,
    PyhashError,
    ReadError,
    UnexpectedFileError,
)
from tests.attacks._stage import Stage
from tests.support import mutations as do


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Programs that were started; nothing is, really."""
    calls: list[object] = []
    monkeypatch.setattr(gate.os, "execv", lambda *arguments: calls.append(arguments))
    return calls


def _replace_by_equal_file(path: Path) -> None:
    copy = path.parent / "copy"
    copy.write_bytes(path.read_bytes())
    status = path.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.rename(path)


def _on(name: str, act: Callable[..., object], *rest: object) -> Callable[[Stage], object]:
    return lambda stage: act(stage.model / name, *rest)


CASES: dict[str, tuple[Callable[[Stage], object], type[PyhashError], str | None]] = {
    "modified": (_on(do.SHARD_1, do.flip_byte, 0), ChangedWhileReadError, do.SHARD_1),
    "modified_and_time_put_back": (
        _on(do.SHARD_1, do.flip_byte_keep_times, 0),
        ChangedWhileReadError,
        do.SHARD_1,
    ),
    "equal_file_in_its_place": (
        _on(do.NESTED, _replace_by_equal_file),
        ChangedWhileReadError,
        do.NESTED,
    ),
    "grown": (_on(do.EMPTY, do.append, b"x"), ChangedWhileReadError, do.EMPTY),
    "cut": (_on(do.SHARD_3, do.cut, 1), ChangedWhileReadError, do.SHARD_3),
    "removed": (_on("config.json", os.unlink), ChangedWhileReadError, "config.json"),
    "added": (_on("evil.py", do.add_file), ChangedWhileReadError, "evil.py"),
    "renamed": (_on("config.json", do.rename, "x.json"), ChangedWhileReadError, "x.json"),
    "replaced_by_link": (
        _on(do.SHARD_1, do.replace_by_symlink),
        UnexpectedFileError,
        do.SHARD_1,
    ),
    "directory_replaced_by_link": (
        _on("onnx", do.replace_by_symlink),
        UnexpectedFileError,
        "onnx",
    ),
    "replaced_by_pipe": (_on(do.SHARD_1, do.replace_by_fifo), UnexpectedFileError, do.SHARD_1),
    "tree_file_becomes_directory": (
        _on("model.tree", do.replace_by_directory),
        UnexpectedFileError,
        "model.tree",
    ),
    "moved_away": (lambda stage: stage.model.rename(stage.home / "away"), ReadError, None),
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_started(name: str, stage: Stage, started: list[object]) -> None:
    act, error, path = CASES[name]
    verified = stage.verify()
    gate.check_unchanged(verified)
    act(stage)
    with pytest.raises(error) as caught:
        gate.start(verified, ["true"])
    assert type(caught.value) is error
    assert started == []
    if path is not None:
        assert path in {one.path for one in getattr(caught.value, "findings", ())}


def test_what_is_ignored_may_change(stage: Stage, started: list[object]) -> None:
    do.add_file(stage.model / "logs/log.txt")
    verified = stage.verify(ignore=["logs"])
    do.add_file(stage.model / "logs/more.txt")
    stage.tree.unlink()
    with pytest.raises(PyhashError, match="did not start"):
        gate.start(verified, ["true"])
    assert len(started) == 1


def test_the_proof_of_yesterday_is_for_the_files_of_yesterday(
    stage: Stage, started: list[object]
) -> None:
    verified = stage.verify()
    do.flip_byte(stage.model / do.SHARD_1, 0)
    do.flip_byte(stage.model / do.SHARD_1, 0)
    stage.verify()  # the bytes are the signed ones again
    with pytest.raises(ChangedWhileReadError):
        gate.start(verified, ["true"])
    assert started == []
