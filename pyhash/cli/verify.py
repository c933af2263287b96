# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify``: checks a checkpoint, and says what holds, or what is wrong and where."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options, public_keys_option, root_option
from pyhash.cli.log_options import (
    access_log_options,
    of_verified,
    open_log_option,
    recorded,
    signed_root,
)
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount


@answering("verify", example="pyhash verify my-model --key publisher.pub")
@click.argument("model", type=PATH)
@public_keys_option
@bundle_options
@root_option
@access_log_options
def command(
    settings: Settings,
    *,
    model: str,
    keys: tuple[str, ...],
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    root: str | None,
    log: str | None,
    log_key: str | None,
) -> Answer:
    """Check every byte of MODEL, a directory or one file, against what a trusted key signed.

    Exit code 0: verified. 1: refused, the answer is no. 3: it could not be checked. Files that
    nobody signed are refused unless --ignore names them.
    """
    from pyhash import verify
    from pyhash.guarantees import MEANINGS
    from pyhash.merkle import format_root

    access_log = open_log_option(log, log_key)
    with settings.hashing_options() as options:
        verified = recorded(
            access_log,
            "verify",
            model,
            lambda: verify(
                model,
                keys=keys,
                signature=signature,
                tree=tree,
                ignore=ignore,
                root=root,
                options=options,
            ),
            done=of_verified,
            claimed=signed_root(model, keys, signature),
        )
    root = None if verified.root is None else format_root(verified.root)
    count = len(verified.manifest.shards)
    return Answer(
        "verified",
        f"{model} is what a trusted key signed",
        summary=(
            f"verified   {model}",
            f"root       {root or 'none: signed by another tool'}",
            f"key        {verified.key_hint}",
            f"files      {count}, {amount(verified.size)} in {verified.seconds:.1f} s",
            f"guarantee  {verified.guarantee}: {MEANINGS[verified.guarantee]}",
        ),
        root=root,
        guarantee=verified.guarantee,
        key=verified.key_hint,
        files=count,
        bytes=verified.size,
        seconds=verified.seconds,
    )
