# SPDX-License-Identifier: Apache-2.0
"""``pyhash log who-had-access``: every recorded access to a checkpoint, with proof."""

from __future__ import annotations

from dataclasses import asdict

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_trust import load_trust, trust_options
from pyhash.cli.settings import Settings


@answering(
    "log who-had-access",
    example="pyhash log who-had-access pyhash-v1:12... --log access-log --log-key access-log.vkey",
)
@click.argument("root")
@click.option("--log", "directory", required=True, type=PATH, metavar="DIR", help="The log.")
@trust_options
@click.option("--proofs", type=PATH, metavar="DIR", help="Write each event and its proof there.")
def command(
    settings: Settings,
    *,
    root: str,
    directory: str,
    log_key: str,
    witnesses: tuple[str, ...],
    quorum: int | None,
    proofs: str | None,
) -> Answer:
    """List who signed, verified, ran, loaded, pushed or pulled the checkpoint with this ROOT.

    The log is verified whole first, so that nothing in it was left out of the list. What was never
    recorded is not in it.
    """
    import os

    from pyhash import atomic
    from pyhash.log.accesses import find_accesses
    from pyhash.log.proof import dump_proof
    from pyhash.log.reader import open_log

    log = open_log(directory, load_trust(log_key, witnesses, quorum))
    found = find_accesses(log, root)
    if proofs is not None:
        os.makedirs(proofs, exist_ok=True)
        for one in found:
            name = os.path.join(proofs, f"{one.entry.index}.json")
            atomic.write_file(name, one.entry.entry)
            atomic.write_file(f"{name}.tlog-proof", dump_proof(one.proof))
    lines = [
        f"{one.entry.index:>8}  {one.event.at}  {one.event.operation:6}  {one.event.outcome:7}"
        f"  {one.event.user or one.event.uid}@{one.event.host}  {one.event.credential or '-'}"
        f"  {one.event.location}"
        for one in found
    ]
    return Answer(
        "verified",
        f"{len(found)} accesses among {log.tree.size} entries",
        lines=tuple(lines),
        root=root,
        details={
            "size": log.tree.size,
            "accesses": [{"index": one.entry.index, **asdict(one.event)} for one in found],
        },
    )
