# SPDX-License-Identifier: Apache-2.0
"""What differs between two checkpoints, two bundles, or one of each: files, byte ranges, tensors.

Trees are compared from the root down, so that the time goes by what differs. Nothing here verifies
a checkpoint: a bundle's signature is checked where keys are given, and said not to be otherwise.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pyhash.difference._compare import compare
from pyhash.difference._model import (
    Difference,
    FileDifference,
    SideSummary,
    TensorDifference,
)

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


def __getattr__(name: str) -> object:
    """Import a name of ``_LATER`` when it is first used: most processes use none."""
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
