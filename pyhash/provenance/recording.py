# SPDX-License-Identifier: Apache-2.0
"""Runs a command and writes down what a person would have to type: times, host, versions.

Inputs are hashed before the command and again after it, its output only after it. What the tool
cannot see stays unknown; nothing is guessed.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import hashing
from pyhash.errors import ChangedWhileReadError, CheckError, UsageError
from pyhash.provenance.description import Description
from pyhash.provenance.statement import Material
from pyhash.provenance.subject import hash_material
from pyhash.strict_json import JsonValue

_LIST_PACKAGES = """\
import importlib.metadata as metadata, json, platform
found = {one.metadata["Name"]: one.version for one in metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "packages": found}, sort_keys=True))
"""
_PACKAGES_SECONDS = 60
_MAX_PACKAGES = 2000
_NVIDIA = "/proc/driver/nvidia/gpus/*/information"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a command came to.

    Attributes:
        exit_code: Of the command; only 0 makes a step.
        description: What was found out about the step.
    """

    exit_code: int
    description: Description


def record_command(
    command: Sequence[str],
    inputs: Sequence[tuple[str, str]],
    *,
    options: hashing.Options | None = None,
) -> Recorded:
    """Run a command, and find out what there is to know about it.

    Args:
        command: Program and arguments; it gets this process's standard streams and environment.
        inputs: (role, path) of what it will read.
        options: How to hash.

    Returns:
        How it ended, and a description without its output.

    Raises:
        UsageError: No command, or it cannot be started.
        ChangedWhileReadError: An input is not what it was before the command.
        ReadError and others: An input cannot be hashed.
    """
    if not command:
        raise UsageError("no command to run: put it after --")
    before = [hash_material(role, path, options=options) for role, path in inputs]
    environment = describe_environment(command[0])
    started = _now()
    try:
        done = subprocess.run(list(command), check=False)  # noqa: S603 - running it is the point
    except (OSError, ValueError) as error:
        raise UsageError(f"{command[0]}: cannot be run: {error}") from error
    finished = _now()
    after = [hash_material(role, path, options=options) for role, path in inputs]
    _check_inputs(before, after)
    description = Description(
        materials=tuple(after),
        builder=f"https://{os.uname().nodename}/pyhash-record",
        started=started,
        finished=finished,
        command=tuple(command),
        environment=environment,
    )
    return Recorded(done.returncode, description)


def describe_environment(program: str) -> tuple[tuple[str, JsonValue], ...]:
    """Return what can be seen of this host, and of the packages of a Python interpreter.

    Args:
        program: What will be run; its packages are listed if it is a Python.

    Raises:
        CheckError: The interpreter does not answer.
    """
    found: dict[str, JsonValue] = {
        "host": os.uname().nodename,
        "system": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerators": _accelerators(),
    }
    if os.path.basename(program).startswith("python"):
        found |= _packages(program)
    return tuple(found.items())


def _check_inputs(before: Sequence[Material], after: Sequence[Material]) -> None:
    for one, other in zip(before, after, strict=True):
        if one != other:
            raise ChangedWhileReadError(
                f"{one.name}: the command changed its own input, or somebody else did; nothing can"
                " be stated about what was read"
            )


def _packages(python: str) -> dict[str, JsonValue]:
    line = [python, "-I", "-c", _LIST_PACKAGES]
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that will be run anyway
            line, capture_output=True, check=True, timeout=_PACKAGES_SECONDS
        )
        listed = json.loads(done.stdout)
        packages = sorted(listed["packages"].items())[:_MAX_PACKAGES]
        return {"python": listed["python"], "packages": dict(packages)}
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        raise CheckError(f"{python}: does not say which packages it has: {error}") from error


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2] for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].strip() if names else platform.machine()


def _accelerators() -> list[JsonValue]:
    """Models of the graphics processors that the NVIDIA driver tells of."""
    found: list[JsonValue] = []
    for path in sorted(glob.glob(_NVIDIA)):
        with open(path, encoding="utf-8") as file:
            lines = [line.partition(":")[2] for line in file if line.startswith("Model:")]
        found += [line.strip() for line in lines]
    return found


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
