# SPDX-License-Identifier: Apache-2.0
"""Which lines of one module each test runs, so that a mutant meets only tests that run it."""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]


class LinesByTest:
    """Watches the lines of one file and whose they are.

    Attributes:
        lines: For each test, by its place in the list, the lines that it ran.
    """

    def __init__(self, path: str) -> None:
        self.lines: dict[int, set[int]] = defaultdict(set)
        self._path = path

    @contextmanager
    def watching(self, test: int) -> Iterator[None]:
        """Note the lines that run meanwhile, in every thread, as this test's."""
        found = self.lines[test]

        def lines(frame: FrameType, event: str, argument: Any) -> Trace:
            found.add(frame.f_lineno)
            return lines

        def calls(frame: FrameType, event: str, argument: Any) -> Trace | None:
            return lines(frame, event, argument) if frame.f_code.co_filename == self._path else None

        threading.settrace(calls)
        sys.settrace(calls)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def in_functions(self) -> list[int]:
        """Return the tests that run any function of the file."""
        return [test for test, lines in self.lines.items() if lines]

    def for_mutant(self, line: int, function: range, noticed: Sequence[int]) -> list[int]:
        """Order the tests that could notice a mutant: those of its line first, then the likeliest.

        Args:
            line: Where the mutant is.
            function: The lines of its function: who runs none of them cannot notice anything.
            noticed: How many mutants each test has noticed so far.
        """
        found = [one for one, lines in self.lines.items() if not lines.isdisjoint(function)]
        return sorted(found, key=lambda one: (line not in self.lines[one], -noticed[one], one))
