# SPDX-License-Identifier: Apache-2.0
"""What differs between two checkpoints, two bundles, or one of each: files, byte ranges, tensors.

Trees are compared from the root down, so that the time goes by what differs. Nothing here verifies
a checkpoint: a bundle's signature is checked where keys are given, and said not to be otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyhash.difference._compare import compare
from pyhash.difference._model import (
    Difference,
    FileDifference,
    SideSummary,
    TensorDifference,
)
from pyhash.on_use import on_use

if TYPE_CHECKING:
    from pyhash.difference._page import render_page

__all__ = [
    "Difference",
    "FileDifference",
    "SideSummary",
    "TensorDifference",
    "compare",
    "render_page",
]

# name -> module here that has it
_LATER = {"render_page": "_page"}

__getattr__ = on_use(__name__, globals(), _LATER)
