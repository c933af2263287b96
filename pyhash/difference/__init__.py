# SPDX-License-Identifier: Apache-2.0
"""What differs between two checkpoints, two bundles, or one of each: files, byte ranges, tensors.

Trees are compared from the root down, so that the time goes by what differs. Nothing here verifies
a checkpoint: a bundle's signature is checked where keys are given, and said not to be otherwise.
"""

from pyhash.difference._compare import compare
from pyhash.difference._model import (
    Difference,
    FileDifference,
    SideSummary,
    TensorDifference,
)
from pyhash.difference._page import render_page

__all__ = [
    "Difference",
    "FileDifference",
    "SideSummary",
    "TensorDifference",
    "compare",
    "render_page",
]
