# SPDX-License-Identifier: Apache-2.0
"""Watching a log: it only ever grows, and only known witnesses count."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyhash.errors import (
    FormatError,
    LogError,
    ReadError,
    SignatureError,
)
from pyhash.log import witness
from pyhash.log.note_keys import WITNESS, generate_note_key
from tests.support.logs import TestLog, make_log


@pytest.fixture
def log(tmp_path: Path) -> TestLog:
    return make_log(tmp_path / "log", *(b"entry %d" % number for number in range(5)))


def test_watch(log: TestLog, tmp_path: Path) -> None:
    first = witness.watch_log(log.directory, log.trust, tmp_path / "memory")
    assert (first.before, first.log.tree.size) == (None, 5)
    log.append(b"x")
    second = witness.watch_log(log.directory, log.trust, tmp_path / "memory")
    assert (second.before, second.log.tree.size) == (5, 6)
    (tmp_path / "memory").write_bytes(b"no note")
    with pytest.raises(FormatError):
        witness.watch_log(log.directory, log.trust, tmp_path / "memory")
    (tmp_path / "memory").unlink()
    (tmp_path / "memory").mkdir()
    with pytest.raises(ReadError):
        witness.watch_log(log.directory, log.trust, tmp_path / "memory")


def test_memory_of_another_log(log: TestLog, tmp_path: Path) -> None:
    other = make_log(tmp_path / "other", b"x")
    witness.watch_log(other.directory, other.trust, tmp_path / "memory")
    with pytest.raises(SignatureError, match="memory of another log"):
        witness.watch_log(log.directory, log.trust, tmp_path / "memory")


def test_cosignatures_of_an_older_checkpoint(log: TestLog, tmp_path: Path) -> None:
    seen = witness.watch_log(log.directory, log.trust, tmp_path / "m", witness=log.witness, now=9)
    (tmp_path / "cosigned").write_bytes(seen.note)
    log.append(b"x")
    with pytest.raises(LogError, match="another checkpoint than the log has now"):
        witness.add_cosignatures(log.directory, log.witnessed, tmp_path / "cosigned")


def test_cosignatures_of_unknown_witnesses(log: TestLog, tmp_path: Path) -> None:
    stranger = generate_note_key("stranger.example", WITNESS)
    seen = witness.watch_log(log.directory, log.trust, tmp_path / "m", witness=stranger, now=9)
    (tmp_path / "cosigned").write_bytes(seen.note)
    with pytest.raises(SignatureError):
        witness.add_cosignatures(log.directory, log.witnessed, tmp_path / "cosigned")
