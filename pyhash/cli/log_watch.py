# SPDX-License-Identifier: Apache-2.0
"""``pyhash log watch``: holds a log against what it was at the last look; a witness co-signs."""

from __future__ import annotations

import time

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_trust import load_trust
from pyhash.cli.settings import Settings
from pyhash.errors import UsageError


@answering(
    "log watch",
    example="pyhash log watch access-log --log-key access-log.vkey --memory last-seen",
)
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--log-key", required=True, type=PATH, metavar="L.vkey", help="The log's key.")
@click.option("--memory", required=True, type=PATH, metavar="FILE", help="The last checkpoint.")
@click.option("--cosign", type=PATH, metavar="W.key", help="Private key of a witness.")
@click.option("--out", type=PATH, metavar="FILE", help="Where the co-signed checkpoint goes.")
@click.option("--every", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Look again.")
@click.option("--looks", type=click.IntRange(min=1), metavar="N", help="Stop after N looks.")
def command(
    settings: Settings,
    *,
    directory: str,
    log_key: str,
    memory: str,
    cosign: str | None,
    out: str | None,
    every: float | None,
    looks: int | None,
) -> Answer:
    """Look whether the log in DIR still begins with what it was at the last look, and remember it.

    Ends with 1 as soon as it was cut short, forked or rewritten. Keep the memory where the keeper
    of the log cannot write. With --every, look until that happens, or --looks are done.
    """
    from pyhash import atomic
    from pyhash.log.note_keys import WITNESS, load_signer
    from pyhash.log.witness import watch_log

    if (cosign is None) != (out is None):
        raise UsageError("--cosign and --out belong together")
    trust = load_trust(log_key, (), None)
    witness = None if cosign is None else load_signer(cosign, kind=WITNESS)
    left = looks or (0 if every else 1)
    while True:
        seen = watch_log(directory, trust, memory, witness=witness, now=int(time.time()))
        if out is not None:
            atomic.write_file(out, seen.note)
        left -= 1
        if left == 0:
            break
        time.sleep(every or 1.0)
    size, before = seen.log.tree.size, seen.before
    since = "first look" if before is None else f"{before} entries at the last look"
    return Answer(
        "verified",
        f"{directory} only grew",
        summary=(f"log     {seen.log.tree.origin}", f"size    {size} entries; {since}"),
        details={"size": size, "before": before},
    )
