# SPDX-License-Identifier: Apache-2.0
"""Mending a checkpoint from a second copy: what differs from the signed tree is fetched, compared
and only then written; nothing else is touched. ``repair`` is the one way in.
"""

from __future__ import annotations

from pyhash.repair.main import RepairOptions, RepairResult, TakenSpan, damaged_runs, repair
from pyhash.repair.stock import Damage
from pyhash.repair.target import Mended

__all__ = [
    "Damage",
    "Mended",
    "RepairOptions",
    "RepairResult",
    "TakenSpan",
    "damaged_runs",
    "repair",
]
