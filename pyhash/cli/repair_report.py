# SPDX-License-Identifier: Apache-2.0
"""What ``pyhash repair`` says of its result."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyhash.repair import RepairResult

SHOWN_RUNS = 20  # of damaged ranges, in text


def message(model: str, result: RepairResult, dry_run: bool) -> str:
    """Return the sentence that says it all. Raises nothing."""
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


def advice(result: RepairResult, dry_run: bool) -> str:
    """Return what to do next; empty: nothing. Raises nothing."""
    if result.is_whole:
        return ""
    if dry_run and result.damage:
        return "Without --dry-run they are."
    return "Remove what nobody signed, after a look at it; repair removes nothing."


def damage_lines(result: RepairResult, dry_run: bool) -> list[str]:
    """Return lines for what was damaged. Raises nothing."""
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


def source_lines(result: RepairResult) -> list[str]:
    """Return lines for where spans came from. Raises nothing."""
    counts = Counter(one.source for one in result.taken)
    lines = [f"source     {source}: {count} spans" for source, count in counts.items()]
    lines += [
        f"bad        {one.path} [{one.start}, {one.end}) from {one.source}; had elsewhere"
        for one in result.bad
    ]
    if result.tree_source:
        lines.append(f"tree file  damaged or missing; taken from {result.tree_source}")
    return lines


def details(result: RepairResult, dry_run: bool) -> dict[str, Any]:
    """Return the same for JSON. Raises nothing."""
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
