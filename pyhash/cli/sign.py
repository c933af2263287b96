# SPDX-License-Identifier: Apache-2.0
"""``pyhash sign``: signs a checkpoint and says what was signed and where the signature lies."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from pyhash.cli.signer_options import signer_options, take_signer
from pyhash.cli.terminal_text import amount
from pyhash.cli.update_options import carried_lines, take_update, update_options

if TYPE_CHECKING:
    from pyhash.manifest import Release, ShardEntry
    from pyhash.sign_checkpoint import SignResult

EXAMPLE = """\
pyhash keygen publisher
pyhash sign my-model --key publisher.key
pyhash sign my-model --key publisher.key --update --unchanged '*.safetensors'
pyhash sign my-model --key publisher.key --release 7 --expires 90d"""


@answering("sign", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="K.key", help="Private key to sign with.")
@signer_options
@links_option
@bundle_options
@click.option(
    "--no-file-digests",
    "file_digests",
    flag_value=False,
    default=True,
    help="Leave out each file's plain SHA-256: faster, but then only pyhash can verify.",
)
@update_options
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
    signature: str | None,
    tree: str | None,
    ignore: tuple[str, ...],
    file_digests: bool,
    links_within: str | None,
    log: str | None,
    log_key: str | None,
    policy: str | None,
    **parameters: Any,
) -> Answer:
    """Sign MODEL, a directory or one file: every file, name and size in it.

    Writes the bundle, an OpenSSF Model Signing (OMS) bundle, and the tree file, which says where
    damage is. What every verifier would refuse, such as links, is refused here already.
    """
    from pyhash import sign
    from pyhash.policy import PolicyFile

    reference, passphrase = take_signer(key, parameters)
    release = take_release(parameters)
    access_log = open_log_option(log, log_key)
    rules = None
    if policy is not None:
        rules = under_log(PolicyFile.read(policy).for_checkpoint(model), access_log)

    grounds, receipts = take_update(parameters).open()
    began = time.monotonic()
    with settings.hashing_options() as options:
        result = recorded(
            access_log,
            "sign",
            model,
            lambda: sign(
                model,
                reference,
                signature=signature,
                tree=tree,
                ignore=ignore,
                file_digests=file_digests,
                links_within=links_within,
                passphrase=passphrase,
                release=release,
                policy=rules,
                update=grounds,
                receipts=receipts,
                options=options,
            ),
            done=lambda result: {"root": result.root, "credential": result.key_hint},
        )
    record_signature(access_log, model, result.bundle_path)
    return answer(model, result, release, time.monotonic() - began)


def answer(model: str, result: SignResult, release: Release | None, seconds: float) -> Answer:
    """Return what a command that signs says. Raises nothing."""
    from pyhash.manifest import dump_release
    from pyhash.merkle import format_root

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
            *_shown(release),
            *carried_lines(result.carried, count),
        ),
        note=_note(result.manifest.shards),
        root=root,
        key=result.key_hint,
        files=count,
        bytes=result.size,
        seconds=seconds,
        details={
            "signature": result.bundle_path,
            "tree": result.tree_path,
            "carried": [{"path": one.path, "reason": one.reason} for one in result.carried],
            "release": None if release is None else dump_release(release),
        },
    )


def _shown(release: Release | None) -> tuple[str, ...]:
    """Return the lines about a release; nothing without one."""
    if release is None:
        return ()
    from pyhash.manifest import format_time

    number = "not counted" if release.counter is None else str(release.counter)
    until = "never" if release.expires is None else format_time(release.expires)
    name = "" if release.name is None else f" of {release.name}"
    return (f"release    {number}{name}", f"expires    {until}")


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
