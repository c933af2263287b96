# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify``: checks a checkpoint, and says what holds, or what is wrong and where."""

from __future__ import annotations

from typing import Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options, public_keys_option, root_option
from pyhash.cli.guarantee_options import Comparison, guarantee_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount

EXAMPLE = """\
pyhash verify my-model --key publisher.pub
pyhash verify my-model --key publisher.pub --sample 5%"""


@answering("verify", example=EXAMPLE)
@click.argument("model", type=PATH)
@public_keys_option
@bundle_options
@root_option
@guarantee_options
def command(
    settings: Settings,
    *,
    model: str,
    keys: tuple[str, ...],
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    root: str | None,
    **comparison: Any,
) -> Answer:
    """Check every byte of MODEL, a directory or one file, against what a trusted key signed.

    Exit code 0: verified. 1: refused, the answer is no. 3: it could not be checked. Files that
    nobody signed are refused unless --ignore names them. The options that verify less than every
    byte now name the weaker guarantee in the report.
    """
    from pyhash import verify
    from pyhash.guarantees import MEANINGS
    from pyhash.merkle import format_root

    guarantee = Comparison(**comparison).guarantee()
    with settings.hashing_options() as options:
        verified = verify(
            model,
            keys=keys,
            signature=signature,
            tree=tree,
            ignore=ignore,
            root=root,
            guarantee=guarantee,
            options=options,
        )
    root = None if verified.root is None else format_root(verified.root)
    count = len(verified.manifest.shards)
    return Answer(
        "verified",
        _message(model, verified.guarantee),
        summary=(
            f"verified   {model}",
            f"root       {root or 'none: signed by another tool'}",
            f"key        {verified.key_hint}",
            f"files      {count}, {amount(verified.size)} hashed in {verified.seconds:.1f} s",
            f"guarantee  {verified.guarantee}: {MEANINGS[verified.guarantee]}",
            *([f"compared   {verified.detail}"] if verified.detail else []),
        ),
        root=root,
        guarantee=verified.guarantee,
        key=verified.key_hint,
        files=count,
        bytes=verified.size,
        seconds=verified.seconds,
        details={"detail": verified.detail, **dict(verified.details)},
    )


def _message(model: str, guarantee: str) -> str:
    from pyhash.guarantees import MEANINGS, is_at_least

    if is_at_least(guarantee, "content"):
        return f"{model} is what a trusted key signed"
    return f"{model} is signed by a trusted key; {MEANINGS[guarantee]}"
