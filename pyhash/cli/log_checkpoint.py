# SPDX-License-Identifier: Apache-2.0
"""``pyhash log checkpoint``: shows a log's checkpoint, compares it with an older one, takes
co-signatures of witnesses.
"""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_trust import load_trust, trust_options
from pyhash.cli.settings import Settings


@answering(
    "log checkpoint",
    example="pyhash log checkpoint access-log --log-key access-log.vkey --since yesterday",
)
@click.argument("directory", metavar="DIR", type=PATH)
@trust_options
@click.option("--since", type=PATH, metavar="FILE", help="An older checkpoint to compare with.")
@click.option("--cosigned", type=PATH, metavar="FILE", help="Take over its co-signatures.")
def command(
    settings: Settings,
    *,
    directory: str,
    log_key: str,
    witnesses: tuple[str, ...],
    quorum: int | None,
    since: str | None,
    cosigned: str | None,
) -> Answer:
    """Print the signed checkpoint of the log in DIR, once it is found to hold.

    With --since, the log must begin with all that it was at that older checkpoint.
    """
    from pyhash import files, limits
    from pyhash.log.checkpoint import TrustedLog, verify_checkpoint
    from pyhash.log.reader import open_log
    from pyhash.log.witness import add_cosignatures

    trust = load_trust(log_key, witnesses, quorum)
    if cosigned is not None:
        add_cosignatures(directory, trust, cosigned)
    log = open_log(directory, trust)
    if since is not None:
        data = files.read_small(since, limits.MAX_NOTE_BYTES)
        log.verify_began_with(verify_checkpoint(data, TrustedLog(trust.key), since).checkpoint)
    note = log.checkpoint.note.decode("utf-8")
    return Answer(
        "verified",
        f"{directory} has {log.tree.size} entries",
        lines=tuple(line.encode("utf-8") for line in note.splitlines()),
        details={
            "origin": log.tree.origin,
            "size": log.tree.size,
            "log_root": log.tree.root.hex(),
            "witnesses": [name for name, _ in log.checkpoint.witnesses],
        },
    )
