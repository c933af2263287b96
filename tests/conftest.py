# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: the process's signal handling is left as it was found."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

# ``pyhash run`` gives them their default action just before it becomes its child. A test that
# calls it within this process would leave that behind, and the next broken pipe would kill it.
LEFT_AS_FOUND = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT)

# Shells start background jobs with Ctrl-C ignored, and every process below inherits that: the tests
# of Ctrl-C would wait for what never comes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def signals_as_found() -> Iterator[None]:
    """Put the handlers back after each test."""
    found = {number: signal.getsignal(number) for number in LEFT_AS_FOUND}
    yield
    for number, handler in found.items():
        signal.signal(number, handler)
