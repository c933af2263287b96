# SPDX-License-Identifier: Apache-2.0
"""Seals a checkpoint once for each step that changes something on the drive, and kills the process
with SIGKILL before that step; and a few times in the midst of the kernel's own sealing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyhash
from pyhash import guarantees, sealing
from pyhash.errors import UnexpectedFileError
from pyhash.hashing import Options

CHANGING = ("link", "rename", "fchmod", "fsync")
LARGE_BYTES = 12 << 20
DELAYS = (0.01, 0.1)  # seconds into sealing a large file


def sweep(work: Path, key: Path, public: Path) -> str:
    """Kill at every step; returns a sentence, raises AssertionError where the state is neither."""
    work.mkdir()
    template = work / "template"
    template.mkdir()
    for name, size in (("a.bin", 70_000), ("b.bin", 0), ("c.bin", 5000)):
        (template / name).write_bytes(os.urandom(size))
    pyhash.sign(template, key)
    step, was_killed, sealed_counts, renewed = 0, True, set(), 0
    while was_killed:
        step += 1
        model = work / str(step)
        shutil.copytree(template, model)
        before = (model / "model.sig").read_bytes()
        was_killed = _killed_at(step, model, key)
        renewed += (model / "model.sig").read_bytes() != before
        sealed_counts.add(_check(model, key, public))
        shutil.rmtree(model)
    if sealed_counts != {0, 1, 2, 3} or not 0 < renewed < step:
        raise AssertionError(f"states seen: {sealed_counts} sealed, {renewed} of {step} renewed")
    middle = sum(_killed_in_the_midst(work, key, public, delay) for delay in DELAYS)
    return f"{step - 1} steps, and {middle} of {len(DELAYS)} in the midst of the kernel's sealing"


def _check(model: Path, key: Path, public: Path) -> int:
    """What is there verifies, and sealing again completes; returns how many were sealed."""
    left = [one.name for one in model.iterdir() if one.name.startswith(".")]
    if len(left) > 1:
        raise AssertionError(f"left behind: {left}")
    for one in left:  # of the instant between a name and its place; it is refused, by name
        try:
            pyhash.verify(model, keys=[public])
        except UnexpectedFileError as error:
            if one not in str(error):
                raise
        else:
            raise AssertionError(f"{one} was taken")
        (model / one).unlink()
    pyhash.verify(model, keys=[public])
    names = sorted(model.glob("*.bin"))
    with_seal = 0
    for name in names:
        with name.open("rb") as file:
            with_seal += sealing.measure(str(name), file.fileno()) is not None
    done = pyhash.sign(model, key, seal=True)
    if done.sealed != len(names) - with_seal:
        raise AssertionError(f"{with_seal} were sealed, and {done.sealed} more now")
    pyhash.verify(model, keys=[public], guarantee=guarantees.KERNEL)
    return with_seal


def _killed_at(step: int, model: Path, key: Path) -> bool:
    """Seal in a fork that dies before its step-th change; tell whether it came to that."""
    child = os.fork()
    if child == 0:
        left = [step]
        for name in CHANGING:
            setattr(os, name, _killing(getattr(os, name), left))
        real = fcntl.ioctl

        def ioctl(descriptor: int, request: int, argument: Any) -> Any:
            if request == sealing.FS_IOC_ENABLE_VERITY:
                _step(left)
            return real(descriptor, request, argument)

        fcntl.ioctl = ioctl  # type: ignore[assignment]
        pyhash.sign(model, key, seal=True, options=Options(threads=1))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        raise AssertionError(f"sealing failed: {status}")
    return os.WIFSIGNALED(status)


def _killing(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        _step(left)
        return real(*arguments, **named)

    return call


def _step(left: list[int]) -> None:
    left[0] -= 1
    if left[0] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _killed_in_the_midst(work: Path, key: Path, public: Path, delay: float) -> bool:
    """Kill while the kernel seals a large file; tell whether it was not sealed then."""
    model = work / "large"
    model.mkdir()
    (model / "large.bin").write_bytes(os.urandom(1 << 20) * (LARGE_BYTES >> 20))
    pyhash.sign(model, key)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        real = fcntl.ioctl

        def ioctl(descriptor: int, request: int, argument: Any) -> Any:
            if request == sealing.FS_IOC_ENABLE_VERITY:
                os.write(writable, b"x")
            return real(descriptor, request, argument)

        fcntl.ioctl = ioctl  # type: ignore[assignment]
        pyhash.sign(model, key, seal=True)
        os._exit(0)
    os.read(readable, 1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(readable)
    os.close(writable)
    was_open = _check(model, key, public) == 0
    shutil.rmtree(model)
    return was_open
