# SPDX-License-Identifier: Apache-2.0
"""Gives this process way to every other: its processor time and its reads of the drive.

The one file that makes a system call by its number: Python has no call for the priority of reads.
"""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress

# linux/ioprio.h and the tables of system calls.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_WHO_PROCESS = 1
_CLASS_IDLE = 3 << 13


def become_idle() -> bool:
    """Lower the priorities of this thread and of all that it starts, for good. Raises nothing.

    Returns:
        Whether the priority of reads could be lowered too; that of processor time always is.
    """
    with suppress(OSError):
        os.nice(19)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        return False
    return bool(ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE) == 0)
