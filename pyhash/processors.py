# SPDX-License-Identifier: Apache-2.0
"""How many processors this process may really use: its cpuset, and its cgroup's quota of time.

A container limited to two processors of a large host sees all of them; as many threads would only
take turns, and be stopped together when the quota is spent.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CGROUP_ROOT = "/sys/fs/cgroup"
OWN_CGROUPS = "/proc/self/cgroup"


def usable_processors(
    root: str | os.PathLike[str] = CGROUP_ROOT, own: str | os.PathLike[str] = OWN_CGROUPS
) -> int:
    """Return the number of threads that can run at once, at least 1.

    Args:
        root: Where cgroups are mounted.
        own: Which ones this process is in, as the kernel writes it.

    Returns:
        Processors of the cpuset, or fewer where a quota of this cgroup or one above it says so.
        Files that are missing or make no sense limit nothing. Raises nothing.
    """
    from pathlib import Path  # here, as not every start comes so far

    found = len(os.sched_getaffinity(0))
    for directory in _cgroups(Path(root), Path(own)):
        quota = _quota(directory)
        if quota is not None:
            found = min(found, max(1, round(quota)))
    return found


def _cgroups(root: Path, own: Path) -> list[Path]:
    """This process's cgroup of version 2 and of version 1's cpu controller, and those above."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        base = root / controllers if controllers else root
        place = base / path.lstrip("/")
        # Inside a container the path is often that of the host and does not exist here: the
        # mount itself is then the container's own cgroup.
        found += [base, *(one for one in (place, *place.parents) if base in one.parents)]
    return found


def _quota(directory: Path) -> float | None:
    """Processors that one cgroup allows; None: it sets no limit."""
    try:
        if (directory / "cpu.max").exists():
            quota, period = (directory / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (directory / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (directory / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        processors = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # also "max", and -1 below: no limit
    return processors if processors > 0 else None
