# SPDX-License-Identifier: Apache-2.0
"""``pyhash log``: the group of commands about transparency logs."""

from __future__ import annotations

from pyhash.cli.subcommands import Subcommands

command = Subcommands(
    "log",
    {
        "init": "log_init",
        "append": "log_append",
        "checkpoint": "log_checkpoint",
        "prove": "log_prove",
        "verify": "log_verify",
        "watch": "log_watch",
        "who-had-access": "log_accesses",
    },
    "Transparency log: an append-only record of statements and accesses that proves itself.",
)
