# SPDX-License-Identifier: Apache-2.0
"""``pyhash store``: the group of commands about stores."""

from __future__ import annotations

from pyhash.cli.subcommands import Subcommands

command = Subcommands(
    "store",
    {
        "up": "store_up",
        "policy": "store_policy",
        "audit": "store_audit",
        "tuf-init": "store_tuf_init",
        "tuf-publish": "store_tuf_publish",
        "tuf-renew": "store_tuf_renew",
        "tuf-rotate": "store_tuf_rotate",
    },
    "Stores: an embedded one, policies, their access logs, and a pointer under TUF.",
)
