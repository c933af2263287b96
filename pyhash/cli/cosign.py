# SPDX-License-Identifier: Apache-2.0
"""``pyhash cosign``: verifies a checkpoint, then signs the same statement with another key."""

from __future__ import annotations

from typing import Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.signer_options import signer_options, take_signer

EXAMPLE = """\
pyhash cosign my-model --key auditor.key --signer publisher.pub --output auditor.sig
pyhash verify my-model --policy two-signers.toml --cosignature auditor.sig"""


@answering("cosign", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="K.key", help="Private key to sign with.")
@signer_options
@click.option(
    "--signer",
    "signers",
    multiple=True,
    required=True,
    type=PATH,
    metavar="K.pub",
    help="Public key of who has signed already. Repeatable: any one of them.",
)
@click.option(
    "--output", required=True, type=PATH, metavar="FILE", help="Where the co-signature goes."
)
@click.option("--signature", type=PATH, metavar="FILE", help="Default: MODEL/model.sig.")
def command(
    settings: Settings,
    *,
    model: str,
    key: str,
    signers: tuple[str, ...],
    output: str,
    signature: str | None,
    **parameters: Any,
) -> Answer:
    """Check every byte of MODEL, then sign the statement that was signed before, word by word.

    The first bundle stays as it is. Keep the new one outside MODEL; verifiers name it with
    --cosignature, and a policy says how many signers it wants.
    """
    from pyhash.cosign_checkpoint import cosign
    from pyhash.merkle import format_root
    from pyhash.opening import given_policy

    reference, passphrase = take_signer(key, parameters)
    policy = given_policy(model, None, signers, (), None)
    with settings.hashing_options() as options:
        result = cosign(
            model,
            reference,
            output,
            policy=policy,
            signature=signature,
            passphrase=passphrase,
            options=options,
        )
    verified = result.verified
    root = None if verified.root is None else format_root(verified.root)
    return Answer(
        "signed",
        f"{model} is co-signed",
        summary=(
            f"verified   {model}, signed by {verified.key_hint}",
            f"root       {root or 'none: signed by another tool'}",
            f"key        {result.key_hint}",
            f"signature  {result.bundle_path}",
        ),
        root=root,
        guarantee=verified.guarantee,
        key=result.key_hint,
        files=len(verified.manifest.shards),
        bytes=verified.size,
        seconds=verified.seconds,
        details={"signature": result.bundle_path},
    )
