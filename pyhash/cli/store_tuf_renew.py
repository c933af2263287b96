# SPDX-License-Identifier: Apache-2.0
"""``pyhash store tuf-renew``: says again that a pointer is the latest."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings


@answering(
    "store tuf-renew",
    example="pyhash store tuf-renew s3://models/llama tuf-keys --credentials writer.toml",
)
@click.argument("home")
@click.argument("keys", type=PATH)
@network_options
def command(
    settings: Settings,
    *,
    home: str,
    keys: str,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
) -> Answer:
    """Sign the timestamp in HOME again; without it clients refuse after seven days. For cron."""
    from pyhash.push import tuf_pointer
    from pyhash.push.targets import open_target

    tuf_pointer.renew_timestamp(open_target(home, network_of(credentials, ca, proxy)), keys)
    return Answer("ok", f"{home}: renewed")
