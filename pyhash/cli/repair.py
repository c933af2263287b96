# SPDX-License-Identifier: Apache-2.0
"""``pyhash repair``: mends a damaged checkpoint from a second copy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, located_options
from pyhash.cli.network import network_of, network_options, parse_rate, transfer_options
from pyhash.cli.repair_report import advice, damage_lines, details, message, source_lines
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.trust import publisher_options, take_trust

if TYPE_CHECKING:
    from pyhash.repair import RepairResult

EXAMPLE = """\
pyhash repair my-model --from /mnt/backup/my-model --key publisher.pub
pyhash repair my-model --from https://models.example/my-model --key publisher.pub --dry-run"""


@answering("repair", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    metavar="SOURCE",
    help="Has a copy: a directory, https://, s3://, hf:// or links://FILE. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be fetched; write nothing.")
@transfer_options
@network_options
@publisher_options
@located_options
def command(
    settings: Settings,
    *,
    model: str,
    sources: tuple[str, ...],
    dry_run: bool,
    limit_rate: str | None,
    connections: int,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
    **parameters: Any,
) -> Answer:
    """Fetch what is damaged or missing in MODEL from a second copy, and nothing else.

    Each span of 1 MiB is compared with what a trusted key signed before it is written; each mended
    file is then hashed whole. What nobody signed is reported and left alone (exit code 1).
    Interrupted, the same command goes on where it was.
    """
    from pyhash.repair import RepairOptions, repair

    trust = take_trust(parameters)
    names = ("signature", "tree", "cosignatures")
    files = {name: getattr(trust, name) for name in names}
    policy = trust.policy_for(model)
    network = network_of(credentials, ca, proxy)
    began = time.monotonic()
    with settings.hashing_options() as hashing:
        options = RepairOptions(network, connections, parse_rate(limit_rate), hashing, dry_run)
        result = repair(model, sources, policy, options=options, **files)
    return _answer(model, result, dry_run, time.monotonic() - began)


def _answer(model: str, result: RepairResult, dry_run: bool, seconds: float) -> Answer:
    from pyhash.merkle import format_root

    root = format_root(result.manifest.root or b"")
    written = sum(one.end - one.start for one in result.taken)
    return Answer(
        "ok" if result.is_whole else "refused",
        message(model, result, dry_run),
        advice=advice(result, dry_run),
        summary=(
            *([f"whole      {message(model, result, dry_run)}"] if result.is_whole else []),
            *damage_lines(result, dry_run),
            f"root       {root}",
            f"key        {result.key_hint}",
            *source_lines(result),
            f"hashed     {amount(result.size)} in {seconds:.1f} s; {amount(written)} written",
        ),
        root=root,
        key=result.key_hint,
        files=len(result.manifest.shards),
        bytes=written,
        seconds=seconds,
        findings=result.remaining,
        details=details(result, dry_run),
    )
