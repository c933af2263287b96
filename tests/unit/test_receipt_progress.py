# SPDX-License-Identifier: Apache-2.0
"""Progress of an interrupted pass: what this host's key wrote counts, up to a first doubt."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyhash import errors, limits
from pyhash.files import CheckpointFile, Identity
from pyhash.merkle import SPAN_BYTES
from pyhash.receipts import (
    Binding,
    Store,
    Stretch,
    open_progress,
    open_store,
)
from pyhash.receipts import _progress as progress_module
from pyhash.span_hashing import Run

BINDING = Binding("/srv/model", "ab" * 32, "cd" * 32, "0-1-2")
OLD = Identity(1, 2, 3, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789)
FILE = CheckpointFile("a.bin", OLD)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "deep/receipts", create=True)


def place(store: Store, suffix: str = "receipt") -> Path:
    return Path(store.place(BINDING.location, suffix))


STRETCHES = [
    Stretch(FILE, Run(0, SPAN_BYTES), bytes(range(32))),
    Stretch(FILE, Run(SPAN_BYTES, SPAN_BYTES + 5), bytes(32)),
    Stretch(CheckpointFile("b", OLD), Run(0, 0), b""),
]


def write_progress(store: Store) -> Path:
    with open_progress(store, BINDING) as progress:
        assert progress.found == ()
        progress.add(STRETCHES[:1])
        progress.add(STRETCHES[1:])
    return place(store, "progress")


def found_in(store: Store, binding: Binding = BINDING) -> tuple[Stretch, ...]:
    with open_progress(store, binding) as progress:
        return progress.found


def test_progress_is_kept(store: Store) -> None:
    path = write_progress(store)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert found_in(store) == tuple(STRETCHES)
    with open_progress(store, BINDING) as progress:
        progress.remove()
    assert not path.exists()


def test_torn_or_edited_progress_counts_up_to_there(store: Store) -> None:
    path = write_progress(store)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    ends = [sum(map(len, lines[: count + 1])) for count in range(len(lines))]
    for cut in range(0, len(data), 37):
        path.write_bytes(data[:cut])
        whole = max(0, sum(end <= cut for end in ends) - 1)
        assert found_in(store) == tuple(STRETCHES[:whole])
    for number, line in enumerate(lines):
        start = ends[number] - len(line)
        for offset in (start, start + 70, start + len(line) - 1):
            path.write_bytes(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])
            assert found_in(store) == tuple(STRETCHES[: max(0, number - 1)])


def test_lines_cannot_be_moved_or_taken_out(store: Store) -> None:
    path = write_progress(store)
    head, one, two, three = path.read_bytes().splitlines(keepends=True)
    for lines, count in (
        ((head, two, three), 0),
        ((head, one, three), 1),
        ((head, two, one), 0),
        ((head, one, one), 1),
        ((one, two), 0),
    ):
        path.write_bytes(b"".join(lines))
        assert len(found_in(store)) == count


def test_what_follows_a_torn_line_is_appended_behind_the_good_ones(store: Store) -> None:
    path = write_progress(store)
    path.write_bytes(path.read_bytes()[:-5])
    with open_progress(store, BINDING) as progress:
        progress.add(STRETCHES[2:])
    assert found_in(store) == tuple(STRETCHES)


@pytest.mark.parametrize("field", Binding.__slots__)
def test_progress_of_something_else_is_dropped(field: str, store: Store) -> None:
    path = write_progress(store)
    values = {name: getattr(BINDING, name) for name in Binding.__slots__}
    other = Binding(**(values | {field: "other"}))
    os.rename(path, store.place(other.location, "progress"))
    assert found_in(store, other) == ()
    assert found_in(store, other) == ()


def test_two_at_once(store: Store) -> None:
    with (
        open_progress(store, BINDING),
        pytest.raises(errors.ReceiptError, match="another verification"),
        open_progress(store, BINDING),
    ):
        pass


def test_authentic_progress_that_makes_no_sense(store: Store) -> None:
    with open_progress(store, BINDING) as progress:
        progress.add([Stretch(FILE, Run(0, SPAN_BYTES), bytes(33))])
    with pytest.raises(errors.FormatError, match="33 of nodes"):
        found_in(store)


def test_progress_that_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("write", "fsync", "ftruncate", "open"):
        with monkeypatch.context() as patched:
            patched.setattr(progress_module.os, step, fail)
            with pytest.raises(errors.WriteError, match="No space left"):
                found_in(store)
    with open_progress(store, BINDING) as progress:
        os.unlink(place(store, "progress"))
        with pytest.raises(errors.WriteError, match="No such file"):
            progress.remove()


def test_cap_on_progress(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    size = write_progress(store).stat().st_size
    monkeypatch.setattr(limits, "MAX_PROGRESS_BYTES", size)
    assert found_in(store) == tuple(STRETCHES)
    monkeypatch.setattr(limits, "MAX_PROGRESS_BYTES", size - 1)
    with pytest.raises(errors.LimitError):
        found_in(store)
