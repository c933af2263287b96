# SPDX-License-Identifier: Apache-2.0
"""``pyhash log verify``: reads a log whole, or checks one entry against its proof offline."""

from __future__ import annotations

import time

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_trust import load_trust, trust_options
from pyhash.cli.settings import Settings
from pyhash.errors import UsageError


@answering("log verify", example="pyhash log verify access-log --log-key access-log.vkey")
@click.argument("directory", metavar="[DIR]", required=False, type=PATH)
@trust_options
@click.option("--entry", type=PATH, metavar="FILE", help="Instead of DIR: an entry.")
@click.option("--proof", type=PATH, metavar="FILE", help="Its proof. Default: FILE.tlog-proof.")
def command(
    settings: Settings,
    *,
    directory: str | None,
    log_key: str,
    witnesses: tuple[str, ...],
    quorum: int | None,
    entry: str | None,
    proof: str | None,
) -> Answer:
    """Check every entry and every tile of the log in DIR against its signed checkpoint.

    With --entry, check offline that one entry is in the log; DIR is not needed.
    """
    from pyhash import files, limits
    from pyhash.log.events import statement_entry
    from pyhash.log.proof import load_proof, verify_proof
    from pyhash.log.reader import open_log

    trust = load_trust(log_key, witnesses, quorum)
    if (directory is None) == (entry is None):
        raise UsageError("give a log, or --entry with its proof, one of them")
    if entry is not None:
        path = proof or f"{entry}.tlog-proof"
        loaded = load_proof(files.read_small(path, limits.MAX_NOTE_BYTES), path)
        data = statement_entry(files.read_small(entry, limits.MAX_BATCH_BYTES))
        found = verify_proof(data, loaded, trust, path)
        size = found.checkpoint.checkpoint.size
        return Answer(
            "verified",
            f"{entry} is entry {found.index} of {trust.key.name}",
            summary=(f"verified  {entry}", f"entry     {found.index} of {size}"),
            details={"index": found.index, "size": size},
        )
    began = time.monotonic()
    log = open_log(str(directory), trust)
    count = sum(1 for _ in log.verify_entries())
    return Answer(
        "verified",
        f"{directory}: every entry is under the signed root",
        summary=(
            f"verified   {directory}",
            f"entries    {count}",
            f"witnesses  {', '.join(name for name, _ in log.checkpoint.witnesses) or 'none'}",
        ),
        seconds=time.monotonic() - began,
        details={"size": count, "log_root": log.tree.root.hex()},
    )
