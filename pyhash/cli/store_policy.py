# SPDX-License-Identifier: Apache-2.0
"""``pyhash store policy``: prints a least-privilege policy."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import answering
from pyhash.cli.settings import Settings

KINDS = ("aws", "seaweedfs", "nginx")
ROLES = ("writer", "reader", "auditor")


@answering(
    "store policy",
    example="pyhash store policy --for aws --role reader --bucket models --prefix llama",
)
@click.option("--for", "kind", required=True, type=click.Choice(KINDS), help="Which store.")
@click.option("--role", required=True, type=click.Choice(ROLES), help="Whom it is for.")
@click.option("--bucket", required=True, metavar="NAME", help="Bucket; of nginx the host name.")
@click.option("--prefix", default="", metavar="PREFIX", help="Of the home. Default: all of it.")
def command(settings: Settings, *, kind: str, role: str, bucket: str, prefix: str) -> Answer:
    """Print the least that a writer, a reader or an auditor needs, in the words of a store."""
    from pyhash.store.policies import Home, write_policy

    text = write_policy(kind, role, Home(bucket, prefix.strip("/")))
    return Answer(
        "ok",
        f"a policy for a {role}",
        lines=(text.rstrip("\n").encode(),),
        details={"policy": text},
    )
