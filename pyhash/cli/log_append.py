# SPDX-License-Identifier: Apache-2.0
"""``pyhash log append``: appends files, lines or signed statements to a log."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings


@answering("log append", example="pyhash log append access-log my-model/model.sig")
@click.argument("directory", metavar="DIR", type=PATH)
@click.argument("names", metavar="FILE...", nargs=-1, required=True, type=PATH)
@click.option("--key", type=PATH, metavar="FILE", help="Private key. Default: DIR.key.")
@click.option("--lines", is_flag=True, help="Each line of the files is an entry.")
def command(
    settings: Settings, *, directory: str, names: tuple[str, ...], key: str | None, lines: bool
) -> Answer:
    """Append each FILE as one entry, a file that is too large by its digest.

    When it ends with 0, the entries are on the drive and under a signed checkpoint.
    """
    from pyhash import access, files, limits
    from pyhash.log.events import statement_entry
    from pyhash.log.writer import append_entries

    log = access.open_access_log(directory, key)
    entries: list[bytes] = []
    for name in names:
        data = files.read_small(name, limits.MAX_BATCH_BYTES)
        entries += data.splitlines() if lines else [statement_entry(data)]
    appended = append_entries(log.directory, log.signer, entries)
    last = appended.first + len(entries) - 1
    size = appended.checkpoint.checkpoint.size
    return Answer(
        "ok",
        f"appended {len(entries)} entries",
        summary=(f"entries     {appended.first} to {last}", f"log         {size} entries"),
        details={"first": appended.first, "entries": len(entries), "size": size},
    )
