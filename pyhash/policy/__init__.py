# SPDX-License-Identifier: Apache-2.0
"""Whom to trust for which checkpoint, and what else must hold before bytes are looked at.

``Policy`` is what one verification is held against; ``PolicyFile`` is a file of rules, of which
the first that fits a checkpoint's name becomes its policy. Opens no checkpoint, and checks no
signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyhash.on_use import on_use
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

__getattr__ = on_use(__name__, globals(), _LATER)
