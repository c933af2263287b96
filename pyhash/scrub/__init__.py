# SPDX-License-Identifier: Apache-2.0
"""A check in the background: slowly, resumably, by signed digests or by records of an earlier pass.
``scrub`` is the one way in.
"""

from __future__ import annotations

from pyhash.scrub.main import ScrubOptions, ScrubResult, scrub
from pyhash.scrub.metrics import dump_metrics
from pyhash.scrub.priority import become_idle

__all__ = ["ScrubOptions", "ScrubResult", "become_idle", "dump_metrics", "scrub"]
