# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance``: the group of commands about how a checkpoint came about."""

from __future__ import annotations

from pyhash.cli.subcommands import Subcommands

command = Subcommands(
    "provenance",
    {
        "add": "provenance_add",
        "record": "provenance_record",
        "show": "provenance_show",
        "verify": "provenance_verify",
        "graph": "provenance_graph",
        "export": "provenance_export",
    },
    "How a checkpoint came about: one signed statement for each step of its life.",
)
