# SPDX-License-Identifier: Apache-2.0
"""``pyhash store tuf-init``: makes a TUF repository for the pointer of a home."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings


@answering(
    "store tuf-init",
    example="pyhash store tuf-init s3://models/llama tuf-keys root.json",
)
@click.argument("home")
@click.argument("keys", type=PATH)
@click.argument("root", type=PATH)
@network_options
def command(
    settings: Settings,
    *,
    home: str,
    keys: str,
    root: str,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
) -> Answer:
    """Make four keys in the new directory KEYS, and a TUF repository in HOME; print the first root.

    Verifiers need the file ROOT from you, and not from the store. Keep KEYS/root.pem offline.
    """
    from pyhash import atomic
    from pyhash.push import tuf_pointer
    from pyhash.push.targets import open_target

    target = open_target(home, network_of(credentials, ca, proxy))
    atomic.write_file(root, tuf_pointer.init_repository(target, keys))
    return Answer(
        "ok",
        f"{home} has a TUF repository",
        summary=(f"root       {root} (give it to whoever verifies)", f"keys       {keys}"),
        details={"root": root, "keys": keys},
    )
