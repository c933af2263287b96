# SPDX-License-Identifier: Apache-2.0
"""``pyhash sign``: signs a checkpoint and says what was signed and where the signature lies."""

from __future__ import annotations

import time
from typing import Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.update_options import UpdateRequest, carried_lines, update_options

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
@update_options
def command(
    settings: Settings,
    *,
    model: str,
    key: str,
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    file_digests: bool,
    **update: Any,
) -> Answer:
    """Sign MODEL, a directory or one file: every file, name and size in it.

    Writes the bundle, an OpenSSF Model Signing (OMS) bundle, and the tree file, which says where
    damage is. What every verifier would refuse, such as links, is refused here already.
    """
    from pyhash import sign
    from pyhash.merkle import format_root

    grounds, receipts = UpdateRequest(**update).open()
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
            receipts=receipts,
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
            *carried_lines(result.carried, count),
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
