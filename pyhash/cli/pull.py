# SPDX-License-Identifier: Apache-2.0
"""``pyhash pull``: fetches a release, verified as it arrives."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_options import access_log_options, open_log_option, recorded, under_log
from pyhash.cli.network import network_of, network_options, parse_rate, transfer_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.trust import publisher_options, take_trust
from pyhash.cli.tuf_options import tuf_options, tuf_trust

if TYPE_CHECKING:
    from pyhash.pull import PullResult


@answering("pull", example="pyhash pull https://models.example/llama my-model --key publisher.pub")
@click.argument("source")
@click.argument("model", type=PATH)
@click.option(
    "--mirror", "mirrors", multiple=True, metavar="SOURCE", help="Has the same. Repeatable."
)
@click.option("--release", metavar="ROOT", help="This release of a home. Default: its latest.")
@tuf_options
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Only these files, or the spans of these tensors. Repeatable.",
)
@transfer_options
@network_options
@access_log_options
@publisher_options
def command(
    settings: Settings,
    *,
    source: str,
    model: str,
    mirrors: tuple[str, ...],
    release: str | None,
    tuf_root: str | None,
    tuf_state: str | None,
    only: tuple[str, ...],
    limit_rate: str | None,
    connections: int,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
    log: str | None,
    log_key: str | None,
    **parameters: Any,
) -> Answer:
    """Fetch the release at SOURCE to the new path MODEL; only what is verified appears there.

    SOURCE: a directory, https://, s3://, hf:// or links://FILE. The signature is checked before the
    first byte of a weight is fetched. Interrupted, the same command goes on where it was.
    """
    from pyhash.pull import PullOptions, pull

    trust = take_trust(parameters)
    access = open_log_option(log, log_key)
    policy = under_log(trust.policy_for(model), access)
    network = network_of(credentials, ca, proxy)
    with settings.hashing_options() as hashing:
        options = PullOptions(network, connections, parse_rate(limit_rate), hashing)
        result = recorded(
            access,
            "pull",
            source,
            lambda: pull(
                source,
                model,
                policy,
                mirrors=mirrors,
                release=release,
                tuf=tuf_trust(tuf_root, tuf_state),
                only=only,
                cosignatures=trust.cosignatures,
                options=options,
            ),
            done=lambda one: {
                "root": one.root,
                "key": one.key_hint,
                "credential": network.account,
                "files": list(only),
            },
        )
    return _answer(model, result)


def _answer(model: str, result: PullResult) -> Answer:
    from pyhash.merkle import format_root

    shown = None if result.root is None else format_root(result.root)
    what = "a part of it; verify and run refuse it" if result.is_partial else "all of it"
    return Answer(
        "ok",
        f"{model} is what a trusted key signed",
        summary=(
            f"pulled     {model} ({what})",
            f"root       {shown or 'none: signed by another tool'}",
            f"key        {result.key_hint}",
            f"files      {result.files}, {amount(result.bytes_moved)} fetched,"
            f" {amount(result.bytes_kept)} kept from before",
            *(
                f"bad        {one.path} [{one.start}, {one.end}) from {one.source}; had elsewhere"
                for one in result.bad
            ),
            *([f"note       {result.detail}"] if result.detail else []),
        ),
        root=shown,
        key=result.key_hint,
        files=result.files,
        bytes=result.bytes_moved,
        details={
            "source": result.source,
            "bytes_kept": result.bytes_kept,
            "bad_spans": [asdict(one) for one in result.bad],
            "partial": result.is_partial,
        },
    )
