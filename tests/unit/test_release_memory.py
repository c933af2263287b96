# SPDX-License-Identifier: Apache-2.0
"""The memory of releases: what is written is read; what is damaged, or in reach of others, is a
question without an answer and never "nothing was accepted before".
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _statements import OURS

from pyhash import limits
from pyhash.errors import PolicyError, PolicyFileError, ReadError, WriteError
from pyhash.manifest import Release
from pyhash.policy import Policy, Remembered, recall_release, remember_release
from pyhash.policy._memory import recall, remember
from pyhash.signing.ecdsa import generate_key

KEY = generate_key().public_key
NAME = "path:/srv/llama"
FOUND = Remembered(7, b"\xab" * 32, 1_795_595_400)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def file_of(state: Path, name: str = NAME) -> Path:
    return state / f"{hashlib.sha256(name.encode()).hexdigest()}.json"


def test_what_is_written(state: Path) -> None:
    remember(str(state), NAME, FOUND)
    assert [path.name for path in state.iterdir()] == [file_of(state).name]
    assert json.loads(file_of(state).read_text()) == {
        "version": 1,
        "name": NAME,
        "counter": 7,
        "root": "ab" * 32,
        "checked": "2026-11-25T08:30:00Z",
    }
    assert recall(str(state), NAME) == FOUND
    assert recall(str(state), "path:/srv/other") is None


def test_it_never_goes_down(state: Path) -> None:
    """What another process accepted while this one was verifying counts as well."""
    remember(str(state), NAME, FOUND)
    for late in (Remembered(3, b"\1" * 32, FOUND.checked), Remembered(6, None, FOUND.checked)):
        with pytest.raises(PolicyError, match="release 7 was accepted here while it was verified"):
            remember(str(state), NAME, late)
    with pytest.raises(PolicyError, match="release 7 was accepted here, with another root"):
        remember(str(state), NAME, Remembered(7, b"\1" * 32, FOUND.checked))
    assert recall(str(state), NAME) == FOUND
    remember(str(state), NAME, Remembered(8, None, FOUND.checked))
    assert recall(str(state), NAME) == Remembered(8, None, FOUND.checked)


def test_clock_never_goes_down(state: Path) -> None:
    """Small steps back, each within what clocks may differ by, would reach any time in the end."""
    remember(str(state), NAME, FOUND)
    for back in (200, 400, 100_000):
        remember(str(state), NAME, replace(FOUND, checked=FOUND.checked - back))
        assert recall(str(state), NAME) == FOUND
    remember(str(state), NAME, replace(FOUND, counter=9, checked=FOUND.checked - 200))
    assert recall(str(state), NAME) == replace(FOUND, counter=9)
    remember(str(state), NAME, replace(FOUND, counter=9, checked=FOUND.checked + 10))
    assert recall(str(state), NAME) == replace(FOUND, counter=9, checked=FOUND.checked + 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "of another version"),
        ({"name": "path:/srv/other"}, "of another name"),
        ({"counter": -1}, "counter"),
        ({"counter": "7"}, "counter"),
        ({"counter": None}, "counter"),
        ({"root": "xy"}, "root is not hex"),
        ({"root": 1}, "root"),
        ({"checked": 0}, "checked"),
        ({"checked": "now"}, "no time like"),
        ({"extra": 1}, "unknown field"),
    ],
)
def test_what_is_not_understood(state: Path, change: dict[str, Any], message: str) -> None:
    remember(str(state), NAME, FOUND)
    fields = json.loads(file_of(state).read_text()) | change
    file_of(state).write_text(json.dumps(fields))
    for work in (lambda: recall(str(state), NAME), lambda: remember(str(state), NAME, FOUND)):
        with pytest.raises(PolicyFileError, match=message) as caught:
            work()
        assert "restore it, or remove it on purpose" in str(caught.value)
    assert json.loads(file_of(state).read_text()) == fields  # not repaired behind anybody's back


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"version": 1', b"7"])
def test_damaged(state: Path, data: bytes) -> None:
    file_of(state).write_bytes(data)
    with pytest.raises(PolicyFileError, match="restore it"):
        recall(str(state), NAME)


def test_cap(state: Path) -> None:
    remember(str(state), NAME, FOUND)
    data = file_of(state).read_bytes()
    file_of(state).write_bytes(data.ljust(limits.MAX_STATE_BYTES))
    assert recall(str(state), NAME) == FOUND
    file_of(state).write_bytes(data.ljust(limits.MAX_STATE_BYTES + 1))
    with pytest.raises(PolicyFileError, match="larger than"):
        recall(str(state), NAME)


def test_others_can_write(state: Path) -> None:
    remember(str(state), NAME, FOUND)
    file_of(state).chmod(0o666)
    with pytest.raises(PolicyFileError, match="lets others write"):
        recall(str(state), NAME)
    file_of(state).chmod(0o644)
    state.chmod(0o777)
    for work in (lambda: recall(str(state), NAME), lambda: remember(str(state), NAME, FOUND)):
        with pytest.raises(PolicyFileError, match="lets others write"):
            work()


def test_misspelt_directory_is_no_empty_memory(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(PolicyFileError, match="cannot be read"):
        recall(missing, NAME)
    with pytest.raises(ReadError, match="cannot be read"):
        remember(missing, NAME, FOUND)
    assert not (tmp_path / "missing").exists()


def test_link_to_nothing_is_no_empty_memory(state: Path) -> None:
    file_of(state).symlink_to("nowhere")
    with pytest.raises(PolicyFileError, match="cannot be read"):
        recall(str(state), NAME)


def test_what_cannot_be_looked_at_is_no_empty_memory(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.lstat

    def refuse(path: str) -> os.stat_result:
        if path == str(file_of(state)):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(PolicyFileError, match="cannot be read: Permission denied"):
        recall(str(state), NAME)


def test_what_cannot_be_written_is_not_accepted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(WriteError, match="Read-only file system"):
        remember(str(state), NAME, FOUND)
    assert recall(str(state), NAME) is None


def test_many_at_once(state: Path) -> None:
    accepted: list[int] = []

    def accept(number: int) -> None:
        with suppress(PolicyError):
            remember(str(state), NAME, Remembered(number, None, number))
            accepted.append(number)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recall(str(state), NAME) == Remembered(19, None, 19)
    assert 19 in accepted


# --- what it is remembered under ------------------------------------------------------------------


def test_under_the_path_of_the_checkpoint(state: Path, tmp_path: Path) -> None:
    policy = Policy((KEY,), state=str(state))
    manifest = replace(OURS, release=Release(100, 5))
    assert recall_release(policy, "/srv/llama") is None
    remember_release(policy, "/srv/llama", manifest, 1000)
    assert recall(str(state), NAME) == Remembered(5, OURS.root, 1000)
    assert recall_release(policy, "/srv/llama/") == Remembered(5, OURS.root, 1000)
    assert recall_release(policy, "/srv/other") is None
    located = replace(policy, location="/srv/llama")
    assert recall_release(located, "/tmp/quarantine") == Remembered(5, OURS.root, 1000)


def test_under_the_name_that_is_demanded(state: Path) -> None:
    policy = Policy((KEY,), state=str(state), release_name="acme/llama")
    manifest = replace(OURS, release=Release(100, 5, name="acme/llama"))
    remember_release(policy, "/srv/a", manifest, 1000)
    assert recall(str(state), "name:acme/llama") == Remembered(5, OURS.root, 1000)
    assert recall_release(policy, "/srv/b") == Remembered(5, OURS.root, 1000)


def test_names_and_paths_are_not_mixed_up(state: Path) -> None:
    remember(str(state), "path:x", FOUND)
    assert recall(str(state), "name:x") is None


def test_name_that_is_not_utf_8(state: Path) -> None:
    name = "path:" + os.fsdecode(b"/srv/\xff")
    remember(str(state), name, FOUND)
    assert recall(str(state), name) == FOUND
    assert recall(str(state), "path:/srv/\\udcff") is None


def test_nothing_to_remember(state: Path) -> None:
    remember_release(Policy((KEY,)), "/srv/x", replace(OURS, release=Release(1, 1)), 1)
    assert recall_release(Policy((KEY,)), "/srv/x") is None
    remembering = Policy((KEY,), state=str(state))
    remember_release(remembering, "/srv/x", OURS, 1)
    remember_release(remembering, "/srv/x", replace(OURS, release=Release(1)), 1)
    assert list(state.iterdir()) == []
