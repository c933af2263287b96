# SPDX-License-Identifier: Apache-2.0
"""``pyhash seal``: signs a checkpoint and has the kernel seal every file of it with fs-verity."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options, links_option
from pyhash.cli.log_options import (
    access_log_options,
    open_log_option,
    record_signature,
    recorded,
    under_log,
)
from pyhash.cli.release import release_options, take_release
from pyhash.cli.settings import Settings
from pyhash.cli.sign import answer
from pyhash.cli.signer_options import signer_options, take_signer

if TYPE_CHECKING:
    from pyhash.policy import Policy

EXAMPLE = """\
pyhash seal my-model --key publisher.key
pyhash verify my-model --key publisher.pub --guarantee kernel
pyhash run --key publisher.pub --guarantee kernel my-model -- python serve.py my-model"""


@answering("seal", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="K.key", help="Private key to sign with.")
@signer_options
@links_option
@bundle_options
@click.option(
    "--policy",
    type=PATH,
    metavar="FILE",
    help="Refuse to sign what this policy file would not accept.",
)
@release_options
@access_log_options
def command(
    settings: Settings,
    *,
    model: str,
    key: str,
    log: str | None,
    log_key: str | None,
    policy: str | None,
    **parameters: Any,
) -> Answer:
    """Sign MODEL as sign does, and seal every file of it for ever: it can be read, and removed, but
    never written to again, and the kernel checks each page that anybody reads.

    What the kernel measures of each file is signed too, for --guarantee kernel. Needs fs-verity:
    ext4, f2fs or btrfs, with the feature. Files are sealed one by one and the bundle is written
    last: after an interruption or an error the old bundle is there, and seal goes on with the rest.
    """
    from pyhash import sign

    reference, passphrase = take_signer(key, parameters)
    release = take_release(parameters)
    access_log = open_log_option(log, log_key)
    rules: Policy | None = None
    if policy is not None:
        from pyhash.policy import PolicyFile

        rules = under_log(PolicyFile.read(policy).for_checkpoint(model), access_log)
    began = time.monotonic()
    with settings.hashing_options() as options:
        result = recorded(
            access_log,
            "sign",
            model,
            lambda: sign(
                model,
                reference,
                passphrase=passphrase,
                release=release,
                policy=rules,
                seal=True,
                options=options,
                **parameters,
            ),
            done=lambda result: {"root": result.root, "credential": result.key_hint},
        )
    record_signature(access_log, model, result.bundle_path)
    signed = answer(model, result, release, time.monotonic() - began)
    count = len(result.manifest.shards)
    return replace(
        signed,
        message=f"{model} is signed and sealed",
        summary=(*signed.summary, f"sealed     {result.sealed} of {count} now; all are"),
        details={**signed.details, "sealed_now": result.sealed},
    )
