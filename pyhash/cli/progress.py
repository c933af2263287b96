# SPDX-License-Identifier: Apache-2.0
"""The progress bar: bytes, rate, time left, on standard error.

``rich`` is imported when there is something to wait for, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Progress = Callable[[int, int], None]


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Progress | None]:
    """Yield what is to be told the progress; the bar is gone when the block ends. Raises nothing.

    Args:
        shown: False: yield None, which nobody needs to tell anything.
    """
    if not shown:
        yield None
        return
    updates: list[Progress] = []
    with ExitStack() as stack:

        def report(done: int, total: int) -> None:
            if not updates:
                if done >= total:
                    return  # over before anybody could have wondered
                updates.append(_start(stack))
            updates[0](done, total)

        yield report


def _start(stack: ExitStack) -> Progress:
    """Put up the bar until the stack is unwound."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # No thread of its own: a command may take the place of this process right afterwards.
        auto_refresh=False,
        transient=True,
    )
    stack.enter_context(bar)
    task = bar.add_task("", total=None)

    def update(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total, refresh=True)

    return update
