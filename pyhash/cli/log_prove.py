# SPDX-License-Identifier: Apache-2.0
"""``pyhash log prove``: writes the proof that an entry is in a log."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_trust import load_trust, trust_options
from pyhash.cli.settings import Settings
from pyhash.errors import UsageError


@answering(
    "log prove",
    example="pyhash log prove access-log --log-key access-log.vkey --index 0 --out entry",
)
@click.argument("directory", metavar="DIR", type=PATH)
@trust_options
@click.option("--index", type=click.IntRange(min=0), metavar="N", help="Number of the entry.")
@click.option("--entry", type=PATH, metavar="FILE", help="Instead: its bytes, to be searched.")
@click.option("--checkpoint", type=PATH, metavar="FILE", help="An older one, with co-signatures.")
@click.option("--out", required=True, metavar="NAME", help="Writes NAME and NAME.tlog-proof.")
def command(
    settings: Settings,
    *,
    directory: str,
    log_key: str,
    witnesses: tuple[str, ...],
    quorum: int | None,
    index: int | None,
    entry: str | None,
    checkpoint: str | None,
    out: str,
) -> Answer:
    """Write an entry of the log in DIR, and its proof (c2sp.org/tlog-proof), checked already.

    Whoever has both and the log's public key can verify them without the log.
    """
    from pyhash import atomic, files, limits
    from pyhash.log.accesses import find_entry
    from pyhash.log.events import statement_entry
    from pyhash.log.proof import dump_proof
    from pyhash.log.reader import open_log

    if (index is None) == (entry is None):
        raise UsageError("give --index or --entry, one of them")
    log = open_log(directory, load_trust(log_key, witnesses, quorum), checkpoint=checkpoint)
    if entry is not None:
        data = files.read_small(entry, limits.MAX_BATCH_BYTES)
        index = find_entry(log, statement_entry(data))
    data, proof = log.prove(index or 0)
    atomic.write_file(out, data)
    atomic.write_file(f"{out}.tlog-proof", dump_proof(proof))
    return Answer(
        "ok",
        f"entry {proof.index} of {log.tree.size}",
        summary=(f"entry  {out}", f"proof  {out}.tlog-proof"),
        details={"index": proof.index, "size": log.tree.size},
    )
