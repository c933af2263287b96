# SPDX-License-Identifier: Apache-2.0
"""How fast one's own host is: the roof of reading, the roof of hashing, and which of them binds.

A roof is measured without what it bounds: reading without hashing, hashing without reading.
"""

from __future__ import annotations

from pyhash.benchmark.run import Plan, run_benchmark

__all__ = ["Plan", "run_benchmark"]
