# SPDX-License-Identifier: Apache-2.0
"""Which lines of one module each test runs, so that a mutant meets the tests of its line first."""

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

    def first(self, line: int, tests: Sequence[int], noticed: Sequence[int]) -> list[int]:
        """Order tests for a mutant of a line: those that run it, the likeliest to notice first.

        Args:
            line: Where the mutant is.
            tests: All of them.
            noticed: How many mutants each has noticed so far.
        """
        return sorted(tests, key=lambda one: (line not in self.lines[one], -noticed[one], one))
