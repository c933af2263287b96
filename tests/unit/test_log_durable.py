# SPDX-License-Identifier: Apache-2.0
"""A log's checkpoint is on the drive before it has its name: a power cut loses no promise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyhash.errors import FormatError, WriteError
from pyhash.log import writer
from tests.support.logs import TestLog, make_log


@pytest.fixture
def log(tmp_path: Path) -> TestLog:
    return make_log(tmp_path / "log", b"a")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """Contents that a sync reached, and those that were then renamed to ``checkpoint``."""
    found: dict[str, list[bytes]] = {"synced": [], "named": [], "directories": []}
    rename = os.rename

    def sync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_dir():
            found["directories"].append(str(path).encode())
        else:
            found["synced"].append(Path(f"/proc/self/fd/{descriptor}").read_bytes())

    def named(source: str, target: str) -> None:
        if os.path.basename(target) == "checkpoint":
            data = Path(source).read_bytes()
            assert data in found["synced"], "a name for bytes that a power cut would lose"
            found["named"].append(data)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(os, "rename", named)
    return found


def test_a_checkpoint_is_on_the_drive_before_it_has_its_name(
    log: TestLog, synced: dict[str, list[bytes]]
) -> None:
    log.append(b"b")
    log.append(*(b"%d" % number for number in range(300)))
    assert len(synced["named"]) == 2
    assert synced["named"][-1] == (log.directory / "checkpoint").read_bytes()
    journal = next(n for n, data in enumerate(synced["synced"]) if data.startswith(b"pyhash-log"))
    assert journal < synced["synced"].index(synced["named"][0])


def test_the_first_checkpoint_has_its_name_on_the_drive(
    tmp_path: Path, synced: dict[str, list[bytes]]
) -> None:
    """An append overwrites the journal in place, which takes no name along to the drive."""
    make_log(tmp_path / "new")
    assert len(synced["named"]) == 1
    assert synced["directories"][-1] == str(tmp_path / "new").encode()


def test_a_checkpoint_that_cannot_be_made_durable_gets_no_name(
    log: TestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (log.directory / "checkpoint").read_bytes()
    sync = os.fdatasync

    def refuse(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".next"):
            raise OSError(5, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        with pytest.raises(WriteError, match="Input/output error"):
            log.append(b"b")
    assert (log.directory / "checkpoint").read_bytes() == before
    writer.check_writable(log.directory, log.signer)
    assert log.entries() == [b"a", b"b"]  # it was durable in the journal


def test_a_checkpoint_of_zeros_stops_the_writer(log: TestLog) -> None:
    """Nothing says what was promised: to sign anew would let whoever zeroed it rewrite the log."""
    path = log.directory / "checkpoint"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(FormatError):
        log.append(b"b")
