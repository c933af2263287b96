# SPDX-License-Identifier: Apache-2.0
"""``pyhash seal``: signs a checkpoint and has the kernel seal every file of it with fs-verity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.signing_run import run_signing, signing_options

EXAMPLE = """\
pyhash seal my-model --key publisher.key
pyhash verify my-model --key publisher.pub --guarantee kernel
pyhash run --key publisher.pub --guarantee kernel my-model -- python serve.py my-model"""


@answering("seal", example=EXAMPLE)
@click.argument("model", type=PATH)
@signing_options
def command(settings: Settings, *, model: str, **parameters: Any) -> Answer:
    """Sign MODEL as sign does, and seal every file of it for ever: it can be read, and removed, but
    never written to again, and the kernel checks each page that anybody reads.

    What the kernel measures of each file is signed too, for --guarantee kernel. Needs fs-verity:
    ext4, f2fs or btrfs, with the feature. Files are sealed one by one and the bundle is written
    last: after an interruption or an error the old bundle is there, and seal goes on with the rest.
    """
    result, signed = run_signing(settings, model, parameters, lambda: {"seal": True})
    count = len(result.manifest.shards)
    return replace(
        signed,
        message=f"{model} is signed and sealed",
        summary=(*signed.summary, f"sealed     {result.sealed} of {count} now; all are"),
        details={**signed.details, "sealed_now": result.sealed},
    )
