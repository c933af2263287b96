# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify``: checks a checkpoint, and says what holds, or what is wrong and where."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import (
    PATH,
    answering,
    bundle_options,
    historical_option,
    links_option,
    optional_keys_option,
    root_option,
)
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.unsigned_list import compare, list_options
from pyhash.errors import UsageError

EXAMPLE = """\
pyhash verify my-model --key publisher.pub
pyhash verify my-model --from SHA256SUMS"""


@answering("verify", example=EXAMPLE)
@click.argument("model", type=PATH)
@optional_keys_option
@list_options
@bundle_options
@root_option
@links_option
@historical_option
def command(
    settings: Settings,
    *,
    model: str,
    keys: tuple[str, ...],
    source: str | None,
    ignore_missing: bool,
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    root: str | None,
    links_within: str | None,
    accept_historical: bool,
) -> Answer:
    """Check every byte of MODEL, a directory or one file, against what a trusted key signed.

    Exit code 0: verified. 1: refused, the answer is no. 3: it could not be checked. Files that
    nobody signed are refused unless --ignore names them.

    With --from instead of --key, MODEL is compared with a list that nobody signed. That finds
    damage and proves no publisher: the result is "matches", never "verified".
    """
    if source is not None or ignore_missing:
        if keys or signature or tree or root or accept_historical or source is None:
            raise UsageError(
                "--from compares with an unsigned list: it takes --ignore, --ignore-missing and"
                " --links-within, and no key, bundle, tree file or root"
            )
        return compare(settings, model, source, ignore, ignore_missing, links_within)
    if not keys:
        raise UsageError("Missing option '--key', or --from for a list that nobody signed")
    from pyhash import verify
    from pyhash.guarantees import MEANINGS
    from pyhash.merkle import format_root

    with settings.hashing_options() as options:
        verified = verify(
            model,
            keys=keys,
            signature=signature,
            tree=tree,
            ignore=ignore,
            root=root,
            links_within=links_within,
            accept_historical=accept_historical,
            options=options,
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
            *([f"note       {verified.detail}"] if verified.detail else []),
        ),
        root=root,
        guarantee=verified.guarantee,
        key=verified.key_hint,
        files=count,
        bytes=verified.size,
        seconds=verified.seconds,
        details=dict(verified.details),
    )
