# SPDX-License-Identifier: Apache-2.0
"""Runs a piece of Python in a process of its own, for what might end or hang the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

# For what takes a second at most: a child that hangs must not hang the suite, seconds.
PATIENCE_SECONDS = 60


def run(
    code: str, *arguments: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program text; its arguments are ``sys.argv[1:]``."""
    return subprocess.run(
        command(code, *arguments),
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program text, with a pipe from its standard output."""
    return subprocess.Popen(
        command(code, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def command(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)]
