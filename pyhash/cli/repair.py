# SPDX-License-Identifier: Apache-2.0
"""``pyhash repair``: mends a damaged checkpoint from a second copy."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, located_options
from pyhash.cli.network import network_of, network_options, parse_rate, transfer_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.trust import publisher_options, take_trust

if TYPE_CHECKING:
    from pyhash.repair import RepairResult

SHOWN_RUNS = 20  # of damaged ranges, in text

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
        _message(model, result, dry_run),
        advice=_advice(result, dry_run),
        summary=(
            *([f"whole      {_message(model, result, dry_run)}"] if result.is_whole else []),
            *_damage_lines(result, dry_run),
            f"root       {root}",
            f"key        {result.key_hint}",
            *_source_lines(result),
            f"hashed     {amount(result.size)} in {seconds:.1f} s; {amount(written)} written",
        ),
        root=root,
        key=result.key_hint,
        files=len(result.manifest.shards),
        bytes=written,
        seconds=seconds,
        findings=result.remaining,
        details=_details(result, dry_run),
    )


def _message(model: str, result: RepairResult, dry_run: bool) -> str:
    if dry_run and result.damage:
        return f"{model}: {_spans(result)} of {len(result.damage)} files would be fetched"
    if result.remaining:
        return f"{model}: every signed file is as signed, but {_first(result)}"
    if result.damage:
        return f"{model} is what a trusted key signed, after {len(result.damage)} files were mended"
    return f"{model} is what a trusted key signed; nothing was to be mended"


def _first(result: RepairResult) -> str:
    first = result.remaining[0]
    return f"{first.path}: {first.message}"


def _spans(result: RepairResult) -> str:
    return f"{sum(len(one.spans) for one in result.damage)} spans"


def _advice(result: RepairResult, dry_run: bool) -> str:
    if result.is_whole:
        return ""
    if dry_run and result.damage:
        return "Without --dry-run they are."
    return "Remove what nobody signed, after a look at it; repair removes nothing."


def _damage_lines(result: RepairResult, dry_run: bool) -> list[str]:
    from pyhash.repair import damaged_runs

    replaced = {one.path for one in result.mended if one.replaced}
    lines = []
    for one in result.damage:
        how = "would be mended" if dry_run else "made anew" if one.path in replaced else "mended"
        lines.append(f"{one.kind.ljust(10)} {one.path}: {len(one.spans)} spans, {how}")
        runs = damaged_runs(one)
        lines += [f"           [{start}, {end})" for start, end in runs[:SHOWN_RUNS]]
        if len(runs) > SHOWN_RUNS:
            lines.append(f"           and {len(runs) - SHOWN_RUNS} more ranges")
    return lines


def _source_lines(result: RepairResult) -> list[str]:
    counts = Counter(one.source for one in result.taken)
    lines = [f"source     {source}: {count} spans" for source, count in counts.items()]
    lines += [
        f"bad        {one.path} [{one.start}, {one.end}) from {one.source}; had elsewhere"
        for one in result.bad
    ]
    if result.tree_source:
        lines.append(f"tree file  damaged or missing; taken from {result.tree_source}")
    return lines


def _details(result: RepairResult, dry_run: bool) -> dict[str, Any]:
    from pyhash.repair import damaged_runs

    return {
        "dry_run": dry_run,
        "damaged": [
            {"path": one.path, "kind": one.kind, "ranges": [list(run) for run in damaged_runs(one)]}
            for one in result.damage
        ],
        "mended": [asdict(one) for one in result.mended],
        "spans": [asdict(one) for one in result.taken],
        "bad_spans": [asdict(one) for one in result.bad],
        "tree_source": result.tree_source or None,
    }
