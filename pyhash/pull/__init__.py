# SPDX-License-Identifier: Apache-2.0
"""Fetching a release: publisher and policy first, every span checked as it arrives, one rename at
the end. ``pull`` is the one way in.
"""

from __future__ import annotations

from pyhash.pull.main import PullOptions, PullResult, pull

__all__ = ["PullOptions", "PullResult", "pull"]
