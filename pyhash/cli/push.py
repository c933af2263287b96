# SPDX-License-Identifier: Apache-2.0
"""``pyhash push``: publishes a signed checkpoint as a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_options import access_log_options, open_log_option, recorded, under_log
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.trust import publisher_options, take_trust

if TYPE_CHECKING:
    from pyhash.push import PushResult


@answering(
    "push",
    example="pyhash push my-model s3://models/llama --key publisher.pub --credentials writer.toml",
)
@click.argument("model", type=PATH)
@click.argument("target")
@click.option("--dry-run", is_flag=True, help="Say what would be stored, and store nothing.")
@click.option("--no-latest", is_flag=True, help="Leave the pointer to the latest release alone.")
@network_options
@access_log_options
@publisher_options
def command(
    settings: Settings,
    *,
    model: str,
    target: str,
    dry_run: bool,
    no_latest: bool,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
    log: str | None,
    log_key: str | None,
    **parameters: Any,
) -> Answer:
    """Verify MODEL, and store it below TARGET: shards first, the bundle last, then the pointer.

    TARGET: a directory, s3://BUCKET/PREFIX, or links://FILE with URLs that are signed for PUT. A
    reader sees a whole release or none; a release that is there is never written over.
    """
    from pyhash.push import PushOptions, push

    trust = take_trust(parameters)
    access = open_log_option(log, log_key)
    policy = under_log(trust.policy_for(model), access)
    network = network_of(credentials, ca, proxy)
    with settings.hashing_options() as hashing:
        options = PushOptions(
            network,
            dry_run=dry_run,
            latest=not no_latest,
            hashing=hashing,
        )
        result = recorded(
            None if dry_run else access,
            "push",
            target,
            lambda: push(model, target, policy, cosignatures=trust.cosignatures, options=options),
            done=lambda one: {
                "root": one.root,
                "key": one.key_hint,
                "credential": network.account,
            },
        )
    return _answer(model, result, dry_run)


def _answer(model: str, result: PushResult, dry_run: bool) -> Answer:
    from pyhash.merkle import format_root

    root = format_root(result.root)
    verb = "would store" if dry_run else "stored"
    return Answer(
        "ok",
        f"{model} is published" if not dry_run else f"{model} could be published",
        lines=tuple(result.stored) if dry_run else (),
        summary=(
            f"{verb:<10} {len(result.stored)} files, {amount(result.bytes_stored)}",
            f"kept       {len(result.kept)} files that were there",
            f"release    {result.target}/{result.prefix}",
            f"root       {root}",
        ),
        root=root,
        key=result.key_hint,
        files=len(result.stored),
        bytes=result.bytes_stored,
        details={
            "target": result.target,
            "prefix": result.prefix,
            "was_there": result.was_there,
            "dry_run": dry_run,
            "stored": list(result.stored),
            "kept": list(result.kept),
        },
    )
