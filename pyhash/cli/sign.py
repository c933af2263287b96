# SPDX-License-Identifier: Apache-2.0
"""``pyhash sign``: signs a checkpoint and says what was signed and where the signature lies."""

from __future__ import annotations

import time

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, bundle_options
from pyhash.cli.log_options import access_log_options, open_log_option, record_signature, recorded
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount

EXAMPLE = """\
pyhash keygen publisher
pyhash sign my-model --key publisher.key"""


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
@access_log_options
def command(
    settings: Settings,
    *,
    model: str,
    key: str,
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    file_digests: bool,
    log: str | None,
    log_key: str | None,
) -> Answer:
    """Sign MODEL, a directory or one file: every file, name and size in it.

    Writes the bundle, an OpenSSF Model Signing (OMS) bundle, and the tree file, which says where
    damage is. What every verifier would refuse, such as links, is refused here already.
    """
    from pyhash import sign
    from pyhash.merkle import format_root

    began = time.monotonic()
    access_log = open_log_option(log, log_key)
    with settings.hashing_options() as options:
        result = recorded(
            access_log,
            "sign",
            model,
            lambda: sign(
                model,
                key,
                signature=signature,
                tree=tree,
                ignore=ignore,
                file_digests=file_digests,
                options=options,
            ),
            done=lambda result: {"root": result.root, "credential": result.key_hint},
        )
    record_signature(access_log, model, result.bundle_path)
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
        root=root,
        key=result.key_hint,
        files=count,
        bytes=result.size,
        seconds=seconds,
        details={"signature": result.bundle_path, "tree": result.tree_path},
    )
