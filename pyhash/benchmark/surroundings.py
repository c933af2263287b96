# SPDX-License-Identifier: Apache-2.0
"""The machine, as far as it matters to the numbers: processor, kernels, file system, drive."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from pyhash import _native
from pyhash.processors import usable_processors

PROC, SYS = Path("/proc"), Path("/sys")


def surroundings(target: str, proc: Path = PROC, sys: Path = SYS) -> dict[str, Any]:
    """Return it as a JSON object; what the system does not say is null. Raises nothing."""
    return {
        "processor": _processor(proc),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "usable_processors": usable_processors(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kernels": {
            one.name: "runs here" if one.supported else "not on this processor"
            for one in _native.kernels()
        },
        "file_system": _file_system(target, proc),
        "drive": _drive(target, sys),
    }


def _processor(proc: Path) -> str | None:
    found = re.search(
        r"^(?:model name|CPU part)\s*:\s*(.+)$", _text(proc / "cpuinfo"), re.MULTILINE
    )
    return found.group(1) if found else None


def _file_system(target: str, proc: Path) -> str | None:
    """Its type, by the device number that the mount table gives."""
    device = _device(target)
    for line in _text(proc / "self" / "mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        if device is not None and fields.split()[2:3] == [device]:
            return rest.split()[0] if rest else None
    return None


def _drive(target: str, sys: Path) -> dict[str, str] | None:
    """What the kernel says of the block device; of a partition, what it says of the whole."""
    device = _device(target)
    if device is None:
        return None
    place = Path(os.path.realpath(sys / "dev" / "block" / device))
    found: dict[str, str] = {"name": place.name}
    for name in ("device/model", "queue/rotational", "queue/scheduler", "queue/read_ahead_kb"):
        text = _text(place / name) or _text(place.parent / name)
        if text:
            found[name.rpartition("/")[2]] = text.strip()
    return found if place.exists() else None


def _device(target: str) -> str | None:
    try:
        status = os.stat(target)
    except OSError:
        return None
    number = status.st_rdev or status.st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
