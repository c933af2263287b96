# SPDX-License-Identifier: Apache-2.0
"""``pyhash store tuf-rotate``: replaces the key of a TUF role."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings

ROLES = ("root", "targets", "snapshot", "timestamp")


@answering(
    "store tuf-rotate",
    example="pyhash store tuf-rotate s3://models/llama tuf-keys --role timestamp",
)
@click.argument("home")
@click.argument("keys", type=PATH)
@click.option("--role", required=True, type=click.Choice(ROLES), help="Whose key.")
@network_options
def command(
    settings: Settings,
    *,
    home: str,
    keys: str,
    role: str,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
) -> Answer:
    """Replace the key of one role in KEYS, and say so in HOME; clients follow by themselves."""
    from pyhash.push import tuf_pointer
    from pyhash.push.targets import open_target

    tuf_pointer.rotate_key(open_target(home, network_of(credentials, ca, proxy)), keys, role)
    return Answer("ok", f"{home}: the key of {role} is another one now", details={"role": role})
