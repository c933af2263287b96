# SPDX-License-Identifier: Apache-2.0
"""Whom to trust for which checkpoint, and what else must hold before bytes are looked at.

``Policy`` is what one verification is held against; ``PolicyFile`` is a file of rules, of which
the first that fits a checkpoint's name becomes its policy. Opens no checkpoint, and checks no
signature.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pyhash.policy._decision import Requirement, check_requirements, judge
from pyhash.policy._model import ENFORCE, GUARANTEES, MODES, OFF, WARN, Policy, Waiver

if TYPE_CHECKING:
    from pyhash.policy._memory import Remembered, recall_release, remember_release
    from pyhash.policy._reading import PolicyFile, parse_duration

__all__ = [
    "ENFORCE",
    "GUARANTEES",
    "MODES",
    "OFF",
    "WARN",
    "Policy",
    "PolicyFile",
    "Remembered",
    "Requirement",
    "Waiver",
    "check_requirements",
    "judge",
    "parse_duration",
    "recall_release",
    "remember_release",
]

# name -> module here that has it
_LATER = {
    "PolicyFile": "_reading",
    "Remembered": "_memory",
    "parse_duration": "_reading",
    "recall_release": "_memory",
    "remember_release": "_memory",
}


def __getattr__(name: str) -> object:
    """Import a name of ``_LATER`` when it is first used: most processes use none."""
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
