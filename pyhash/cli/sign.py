# SPDX-License-Identifier: Apache-2.0
"""``pyhash sign``: signs a checkpoint and says what was signed and where the signature lies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options
from pyhash.cli.guarantee_options import default_receipts, receipts_option
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from pyhash.carrying import Carried, Update
    from pyhash.receipts import Store

EXAMPLE = """\
pyhash keygen publisher
pyhash sign my-model --key publisher.key
pyhash sign my-model --key publisher.key --update --unchanged '*.safetensors'"""


@answering("sign", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="K.key", help="Private key to sign with.")
@bundle_options
@click.option(
    "--no-file-digests",
    "file_digests",
    flag_value=False,
    default=True,
    help="Leave out each file's plain SHA-256: faster, but then only pyhash can verify.",
)
@click.option(
    "--update",
    is_flag=True,
    help="Hash only what changed since the bundle that is there; the next three say what did not.",
)
@click.option(
    "--unchanged",
    multiple=True,
    metavar="PATTERN",
    help="With --update: vouch for these files unread. Repeatable.",
)
@click.option(
    "--receipt", is_flag=True, help="With --update: files are unchanged that the receipt covers."
)
@click.option(
    "--earlier-key",
    "earlier_keys",
    multiple=True,
    type=PATH,
    metavar="K.pub",
    help="With --update: who signed the bundle that is there. Default: K.key.",
)
@click.option("--write-receipt", is_flag=True, help="Leave a receipt of what was hashed.")
@receipts_option
def command(
    settings: Settings,
    *,
    model: str,
    key: str,
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    file_digests: bool,
    update: bool,
    unchanged: tuple[str, ...],
    receipt: bool,
    earlier_keys: tuple[str, ...],
    write_receipt: bool,
    receipts: str | None,
) -> Answer:
    """Sign MODEL, a directory or one file: every file, name and size in it.

    Writes the bundle, an OpenSSF Model Signing (OMS) bundle, and the tree file, which says where
    damage is. What every verifier would refuse, such as links, is refused here already.
    """
    from pyhash import sign
    from pyhash.merkle import format_root

    place = receipts or (default_receipts() if receipt or write_receipt else "")
    grounds = _grounds(update, unchanged, place if receipt else None, earlier_keys)
    store = _store(place, create=True) if write_receipt else None
    began = time.monotonic()
    with settings.hashing_options() as options:
        result = sign(
            model,
            key,
            signature=signature,
            tree=tree,
            ignore=ignore,
            file_digests=file_digests,
            update=grounds,
            receipts=store,
            options=options,
        )
    seconds = time.monotonic() - began
    root = format_root(result.root)
    count = len(result.manifest.shards)
    return Answer(
        "signed",
        f"{model} is signed",
        summary=(
            f"signed     {model}",
            f"root       {root}",
            f"key        {result.key_hint}",
            f"files      {count}, {amount(result.size)} in {seconds:.1f} s",
            f"signature  {result.bundle_path}",
            f"tree       {result.tree_path}",
            *_carried_lines(result.carried, count),
        ),
        root=root,
        key=result.key_hint,
        files=count,
        bytes=result.size,
        seconds=seconds,
        details={
            "signature": result.bundle_path,
            "tree": result.tree_path,
            "carried": [{"path": one.path, "reason": one.reason} for one in result.carried],
        },
    )


def _grounds(
    update: bool, unchanged: tuple[str, ...], place: str | None, earlier_keys: tuple[str, ...]
) -> Update | None:
    """What --update and the options that belong to it say."""
    from pyhash.carrying import Update
    from pyhash.signing import load_verifier

    if not update:
        if unchanged or place is not None or earlier_keys:
            raise UsageError("--unchanged, --receipt and --earlier-key need --update")
        return None
    store = None if place is None else _store(place, create=False)
    return Update(unchanged, store, tuple(map(load_verifier, earlier_keys)))


def _store(place: str, *, create: bool) -> Store:
    from pyhash.receipts import open_store

    return open_store(place, create=create)


def _carried_lines(carried: tuple[Carried, ...], count: int) -> list[str]:
    """Say which files were signed unread, all of them: their content is somebody's word."""
    if not carried:
        return []
    lines = [f"carried    {len(carried)} of {count} files, not hashed now:"]
    return [*lines, *(f"  {one.path}  {one.reason}" for one in carried)]
