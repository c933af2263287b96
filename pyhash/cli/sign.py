# SPDX-License-Identifier: Apache-2.0
"""``pyhash sign``: signs a checkpoint and says what was signed and where the signature lies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options, links_option
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount

if TYPE_CHECKING:
    from pyhash.manifest import ShardEntry

EXAMPLE = """\
pyhash keygen publisher
pyhash sign my-model --key publisher.key"""


@answering("sign", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="K.key", help="Private key to sign with.")
@bundle_options
@links_option
@click.option(
    "--no-file-digests",
    "file_digests",
    flag_value=False,
    default=True,
    help="Leave out each file's plain SHA-256: faster, but then only pyhash can verify.",
)
def command(
    settings: Settings,
    *,
    model: str,
    key: str,
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    links_within: str | None,
    file_digests: bool,
) -> Answer:
    """Sign MODEL, a directory or one file: every file, name and size in it.

    Writes the bundle, an OpenSSF Model Signing (OMS) bundle, and the tree file, which says where
    damage is. What every verifier would refuse, such as links, is refused here already.
    """
    from pyhash import sign
    from pyhash.merkle import format_root

    began = time.monotonic()
    with settings.hashing_options() as options:
        result = sign(
            model,
            key,
            signature=signature,
            tree=tree,
            ignore=ignore,
            file_digests=file_digests,
            links_within=links_within,
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
        ),
        note=_note(result.manifest.shards),
        root=root,
        key=result.key_hint,
        files=count,
        bytes=result.size,
        seconds=seconds,
        details={"signature": result.bundle_path, "tree": result.tree_path},
    )


def _note(shards: Sequence[ShardEntry]) -> str:
    """What a publisher may not have meant to sign."""
    from pyhash.locations import DOWNLOAD_METADATA

    count = sum(shard.path.startswith(DOWNLOAD_METADATA + "/") for shard in shards)
    if not count:
        return ""
    return (
        f"{count} of the signed files are notes of Hugging Face's downloader, which change with"
        f" every download: --ignore {DOWNLOAD_METADATA} leaves them out"
    )
