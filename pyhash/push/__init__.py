# SPDX-License-Identifier: Apache-2.0
"""Publishing a release. ``push`` is the one way in; a new kind of target is a file here and a line
in ``targets``.
"""

from __future__ import annotations

from pyhash.push.main import PushOptions, PushResult, push

__all__ = ["PushOptions", "PushResult", "push"]
