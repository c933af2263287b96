# SPDX-License-Identifier: Apache-2.0
"""``pyhash log init``: begins a log, and makes its key or that of a witness."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings


@answering("log init", example="pyhash log init access-log --origin example.com/models")
@click.argument("directory", metavar="DIR", type=PATH)
@click.option("--origin", required=True, metavar="NAME", help="Name of the log or the witness.")
@click.option("--keys", type=PATH, metavar="NAME", help="Where keys go. Default: DIR.")
@click.option("--witness", is_flag=True, help="Only make a witness's keys, no log.")
def command(
    settings: Settings, *, directory: str, origin: str, keys: str | None, witness: bool
) -> Answer:
    """Begin a log in DIR, and make DIR.key, to append with, and DIR.vkey, to verify with.

    Keep the private key out of DIR: everything in DIR may be published. Existing files are never
    overwritten.
    """
    from pyhash.log import writer
    from pyhash.log.note_keys import LOG, WITNESS, generate_note_key, write_note_keys

    signer = generate_note_key(origin, WITNESS if witness else LOG)
    private, public = write_note_keys(signer, (keys or directory).rstrip("/"))
    if not witness:
        writer.init_log(directory, signer)
    return Answer(
        "ok",
        f"made {private} and {public}",
        summary=(
            *([] if witness else [f"log          {directory}"]),
            f"private key  {private}  (keep it secret)",
            f"public key   {public}  (give it to whoever verifies)",
            f"key          {signer.verifier.text}",
        ),
        key=signer.verifier.text,
        details={"private_key": private, "public_key": public},
    )
