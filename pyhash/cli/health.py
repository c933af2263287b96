# SPDX-License-Identifier: Apache-2.0
"""``pyhash health``: the group of commands for probes and monitoring."""

from __future__ import annotations

from pyhash.cli.subcommands import Subcommands

command = Subcommands(
    "health",
    {"serve": "health_serve", "check": "health_check"},
    "Health: tell probes and monitoring whether a verified checkpoint is still that.",
)
