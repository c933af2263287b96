# SPDX-License-Identifier: Apache-2.0
"""Scrubs a checkpoint once for each call that changes something on the drive, and kills the process
with SIGKILL right before that call. Prints each state that was left.

    python _scrub_killer.py STATE WORK ARGUMENT…

STATE is copied for every kill; ``{state}`` in an argument of the command stands for the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyhash.cli import group
from pyhash.scrub import main as scrub_main
from pyhash.scrub import sweep

CHANGING = ("open", "write", "fsync", "fchmod", "link", "rename", "unlink", "mkdir", "ftruncate")

# What is killed loses nothing that the system has, synced or not; it is killed there all the same.
os.fsync = lambda descriptor: None  # type: ignore[assignment]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

# So that a small checkpoint has several places where a pass is put down.
sweep.BATCH_SPANS = 3
scrub_main.SAVE_SECONDS = -1.0


def killing(name: str, left: list[int]) -> Callable[..., Any]:
    """Return a call that dies at the step when ``left`` has come to nothing."""
    real = getattr(os, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if name != "open" or arguments[1] & WRITING:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    return call


def killed_at(step: int, arguments: list[str]) -> int | None:
    """Scrub in a fork that dies at its step-th change; its exit code if it did not come to that."""
    child = os.fork()
    if child == 0:
        left = [step]
        for name in CHANGING:
            setattr(os, name, killing(name, left))
        os._exit(group.run(arguments))
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def main() -> None:
    state, work, arguments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    # Once in this process, so that no fork has to import everything again.
    shutil.copytree(state, work / "first")
    group.run([one.format(state=work / "first") for one in arguments])
    step, code = 0, None
    while code is None:
        step += 1
        copy = work / str(step)
        shutil.copytree(state, copy)
        code = killed_at(step, [one.format(state=copy) for one in arguments])
        os.write(output, (json.dumps({"state": str(copy), "code": code}) + "\n").encode())


main()
