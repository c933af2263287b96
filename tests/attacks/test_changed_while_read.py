# SPDX-License-Identifier: Apache-2.0
"""Files that change between being listed and the end of hashing: never a mixture, always a no.

In-process cases act from the progress callback; those through the command line change the file
from within its own reads (tests/support/faults.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pyhash
from pyhash import _native, closure, gate
from pyhash.errors import ChangedWhileReadError, DigestMismatchError, ReadError, TruncatedError
from pyhash.files import Listing
from tests.attacks._stage import REPOSITORY, Stage
from tests.support import mutations as do
from tests.support.faults import Fault, Shim, compile_shim

READERS = tuple(name for name in _native.READERS if name != "auto")
# From here on the engine runs on a thread of its own, and progress is told meanwhile.
LARGE_BYTES = 48 << 20


@pytest.fixture
def stage(large_stage: Stage) -> Stage:
    """Spans matter here."""
    return large_stage


class Once:
    """A progress callback that does something the first time it is called."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        act, self.act = self.act, None
        if act:
            act()


def _modify(path: Path) -> None:
    do.flip_byte_keep_times(path, -1)


def _modify_and_put_back(path: Path) -> None:
    do.flip_byte_keep_times(path, -1)
    do.flip_byte_keep_times(path, -1)


def _replace_by_rename(path: Path) -> None:
    evil = path.with_name("evil")
    evil.write_bytes(path.read_bytes())
    do.flip_byte(evil, 0)
    evil.rename(path)


def _move_aside_and_replace(path: Path, home: Path) -> None:
    evil = home / "evil"
    evil.write_bytes(path.read_bytes())
    do.flip_byte(evil, 0)
    path.rename(home / "aside")
    evil.rename(path)


def _grow(path: Path) -> None:
    do.append(path, b"evil")


def _shrink(path: Path) -> None:
    os.truncate(path, 5)


def _touch(path: Path) -> None:
    os.utime(path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "act", [_modify, _modify_and_put_back, _replace_by_rename, _grow, _shrink, _touch]
)
def test_after_hashing_and_before_the_second_look(
    act: Callable[[Path], None], reader: str, stage: Stage
) -> None:
    progress = Once(lambda: act(stage.model / do.SHARD_2))
    with pytest.raises(ChangedWhileReadError) as caught:
        stage.verify(options=pyhash.Options(reader=reader, progress=progress))
    assert progress.calls
    assert {(one.code, one.path) for one in caught.value.findings} == {("changed", do.SHARD_2)}


@pytest.mark.parametrize("reader", READERS)
def test_moved_aside_after_hashing(reader: str, stage: Stage) -> None:
    # The open file is the one that was signed, its name means another one now. Where moving a
    # file leaves no trace on it, the gate, which looks at names, is the one to see it.
    progress = Once(lambda: _move_aside_and_replace(stage.model / do.SHARD_2, stage.home))
    with pytest.raises(ChangedWhileReadError) as caught:
        gate.check_unchanged(stage.verify(options=pyhash.Options(reader=reader, progress=progress)))
    assert progress.calls
    assert caught.value.findings[0].path == do.SHARD_2
    stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_2)


def _large(stage: Stage) -> Path:
    """Add a file that takes the slowest kernel a good while, and sign anew."""
    path = stage.model / "large.bin"
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    pyhash.sign(stage.model, stage.key)
    stage.expect_verified()
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("act", [_modify, _replace_by_rename, _shrink])
def test_while_hashing(act: Callable[[Path], None], reader: str, stage: Stage) -> None:
    path = _large(stage)
    progress = Once(lambda: act(path))
    options = pyhash.Options(threads=1, reader=reader, kernel="portable", progress=progress)
    with pytest.raises(ChangedWhileReadError) as caught:
        stage.verify(options=options)
    assert progress.calls
    assert {(one.code, one.path) for one in caught.value.findings} == {("changed", "large.bin")}


@pytest.mark.parametrize("reader", READERS)
def test_sign_refuses_too(reader: str, stage: Stage) -> None:
    before = stage.bundle.read_bytes()
    progress = Once(lambda: _modify(stage.model / do.SHARD_1))
    with pytest.raises(ChangedWhileReadError):
        pyhash.sign(
            stage.model, stage.key, options=pyhash.Options(reader=reader, progress=progress)
        )
    path = _large(stage)
    after = stage.bundle.read_bytes()
    assert after != before
    options = pyhash.Options(
        threads=1, reader=reader, kernel="portable", progress=Once(lambda: _shrink(path))
    )
    with pytest.raises((ChangedWhileReadError, TruncatedError)):
        pyhash.sign(stage.model, stage.key, options=options)
    assert stage.bundle.read_bytes() == after


def test_changed_between_listing_and_opening(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(listing: Listing, *_: object) -> list[pyhash.Finding]:
        do.flip_byte_keep_times(stage.model / do.SHARD_3, 0)
        return []

    monkeypatch.setattr(closure, "check_closure", check)
    with pytest.raises(ChangedWhileReadError) as caught:
        stage.verify()
    assert caught.value.findings[0].path == do.SHARD_3


def test_removed_between_listing_and_opening(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(listing: Listing, *_: object) -> list[pyhash.Finding]:
        (stage.model / do.SHARD_3).unlink()
        return []

    monkeypatch.setattr(closure, "check_closure", check)
    with pytest.raises(ReadError, match=do.SHARD_3):
        stage.verify()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Shim:
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.parametrize(
    ("kind", "path", "reason"),
    [
        ("rewrite", do.SHARD_3, "changed while it was being read"),
        ("truncate", do.SHARD_3, "became shorter while it was being read"),
        ("rewrite", "tokenizer.json", "changed while it was being read"),
    ],
)
def test_through_the_command_line(
    kind: str, path: str, reason: str, stage: Stage, shim: Shim
) -> None:
    started = stage.home / "started"
    line = ("run", "--reader", "buffered", "--threads", "1", "--key", stage.trusted, stage.model)
    # The header of a shard is read for the closure; later reads are those of the engine.
    call = 1 if path == "tokenizer.json" else 4
    fault = Fault(kind, stage.model / path, offset=0, length=1 << 20, call=call)
    done = subprocess.run(
        [sys.executable, "-m", "pyhash", *map(str, line), "--", "touch", str(started)],
        cwd=REPOSITORY,
        env=shim.environment(fault),
        capture_output=True,
        text=True,
        check=False,
    )
    assert shim.injected(), done.stderr
    assert done.returncode == 1, done.stderr
    assert f"{path}: {reason}" in done.stderr
    assert not started.exists()
