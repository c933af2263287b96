# SPDX-License-Identifier: Apache-2.0
"""``pyhash sign``: signs a checkpoint and says what was signed and where the signature lies."""

from __future__ import annotations

from typing import Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.signing_run import run_signing, signing_options
from pyhash.cli.update_options import take_update, update_options

EXAMPLE = """\
pyhash keygen publisher
pyhash sign my-model --key publisher.key
pyhash sign my-model --key publisher.key --update --unchanged '*.safetensors'
pyhash sign my-model --key publisher.key --release 7 --expires 90d"""


@answering("sign", example=EXAMPLE)
@click.argument("model", type=PATH)
@signing_options
@click.option(
    "--no-file-digests",
    "file_digests",
    flag_value=False,
    default=True,
    help="Leave out each file's plain SHA-256: faster, but then only pyhash can verify.",
)
@update_options
def command(settings: Settings, *, model: str, file_digests: bool, **parameters: Any) -> Answer:
    """Sign MODEL, a directory or one file: every file, name and size in it.

    Writes the bundle, an OpenSSF Model Signing (OMS) bundle, and the tree file, which says where
    damage is. What every verifier would refuse, such as links, is refused here already.
    """
    asked = take_update(parameters)

    def more() -> dict[str, Any]:
        update, receipts = asked.open()
        return {"file_digests": file_digests, "update": update, "receipts": receipts}

    return run_signing(settings, model, parameters, more)[1]
