# SPDX-License-Identifier: Apache-2.0
"""Repairs a copy of a damaged checkpoint once for each call that changes something on the drive,
and kills the process with SIGKILL before, or half way through, that call. Prints each directory.

    python _repair_killer.py DAMAGED WORK SOURCE PUBLIC
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyhash.policy import Policy
from pyhash.repair import RepairOptions, repair

CHANGING = (
    "open",
    "write",
    "fsync",
    "link",
    "fchown",
    "pwrite",
    "copy_file_range",
    "ftruncate",
    "rename",
    "mkdir",
    "rmdir",
    "unlink",
    "fchmod",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
real_pwrite = os.pwrite

# What is killed loses nothing that the system has, synced or not; it is killed there all the same.
os.fsync = os.fdatasync = lambda descriptor: None  # type: ignore[assignment]


def killing(name: str, left: list[int], lock: threading.Lock) -> Callable[..., Any]:
    """Return a call that dies at the step when ``left`` has come to nothing."""
    real = getattr(os, name)

    def call(*arguments: Any, **named: Any) -> Any:
        with lock:
            if name == "open" and not arguments[1] & WRITING:
                return real(*arguments, **named)
            left[0] -= 1
            if left[0] <= 0:
                if name == "pwrite" and left[0] == 0:
                    descriptor, data, start = arguments
                    real_pwrite(descriptor, data[: len(data) // 2], start)
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    return call


def killed_at(step: int, model: Path, source: str, policy: Policy) -> bool:
    """Repair in a fork that dies at its step-th change; tell whether it came to that."""
    child = os.fork()
    if child == 0:
        left, lock = [step], threading.Lock()
        for name in CHANGING:
            setattr(os, name, killing(name, left, lock))
        repair(model, [source], policy, options=RepairOptions(connections=1))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main() -> None:
    damaged, work, source = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    policy = Policy.from_key_files([sys.argv[4]])
    step, was_killed = 0, True
    while was_killed:
        step += 1
        directory = work / str(step)
        shutil.copytree(damaged, directory)
        os.unlink(directory / "linked.bin")
        os.link(directory / "other-name.bin", directory / "linked.bin")
        was_killed = killed_at(step, directory, source, policy)
        print(json.dumps({"killed": was_killed, "directory": str(directory)}))


main()
