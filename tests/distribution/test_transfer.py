# SPDX-License-Identifier: Apache-2.0
"""When a source is asked again: at once elsewhere, after growing pauses at the same place, and not
for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyhash import errors
from pyhash.fetch import Network
from pyhash.merkle import SPAN_BYTES
from pyhash.pull import transfer
from pyhash.pull.finding import Place
from pyhash.pull.quarantine import Quarantine
from pyhash.pull.transfer import Throttle, Transfer, Wanted

SPANS = 3


class Source:
    """Fails so many times, then gives a span each time, and fails again."""

    def __init__(self, name: str, failures: int, asked: list[str]) -> None:
        self.name = name
        self._left = failures
        self._asked = asked

    def fetch_spans(self, path: str, start: int, end: int, size: int) -> Iterator[bytes]:
        self._asked.append(self.name)
        if self._left:
            self._left -= 1
            raise errors.FetchError(f"{self.name}: not now", path, self.name)
        yield bytes(SPAN_BYTES)
        if start + SPAN_BYTES < end:
            raise errors.FetchError(f"{self.name}: cut off", path, self.name)


def fetch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attempts: int,
    failures: tuple[int, ...],
) -> tuple[list[str], list[float]]:
    """Who was asked, in order, and how long was waited in between."""
    monkeypatch.setattr(transfer, "BACKOFF_SECONDS", 0.2)
    asked: list[str] = []
    pauses: list[float] = []
    places = [
        Place(Source("ab"[number], count, asked), "")  # type: ignore[arg-type]
        for number, count in enumerate(failures)
    ]
    quarantine = Quarantine(str(tmp_path), "out")
    quarantine.make_file("x", SPANS * SPAN_BYTES)
    moved = Transfer(places, quarantine, Network(attempts=attempts), Throttle(None), connections=1)
    monkeypatch.setattr(moved._stop, "wait", pauses.append)
    wanted = Wanted("x", SPANS * SPAN_BYTES, 0, SPANS * SPAN_BYTES, None)
    try:
        moved.fetch([wanted])
    except errors.FetchError:
        asked.append("gave up")
    return asked, pauses


def test_asked_again_after_growing_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, pauses = fetch(tmp_path, monkeypatch, 4, (99,))
    assert asked == ["a", "a", "a", "a", "gave up"]
    assert pauses == pytest.approx([0.4, 0.8, 1.6])


def test_another_place_is_asked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, pauses = fetch(tmp_path, monkeypatch, 2, (99, 99))
    assert asked == ["a", "b", "a", "b", "gave up"]
    assert pauses == pytest.approx([0, 0.4, 0.4])


def test_what_came_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after every span, it goes on; only how often nothing came is counted."""
    asked, pauses = fetch(tmp_path, monkeypatch, 2, (1,))
    assert asked == ["a"] * (1 + SPANS)
    assert pauses == pytest.approx([0.4, 0.4, 0.4])
    assert (tmp_path / "x").read_bytes() == bytes(SPANS * SPAN_BYTES)
