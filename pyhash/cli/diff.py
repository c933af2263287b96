# SPDX-License-Identifier: Apache-2.0
"""``pyhash diff``: says what differs between two checkpoints or bundles. Verifies no file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount

if TYPE_CHECKING:
    from pyhash.difference import Difference, FileDifference, SideSummary

EXAMPLE = """\
pyhash diff model-v1 model-v2 --key publisher.pub
pyhash diff old/model.sig new/model.sig --html changes.html"""
SHOWN_RANGES = 4  # of one file
SHOWN_TENSORS = 8  # of one file
MARKS = {"added": "+", "removed": "-", "changed": "~"}


@answering("diff", example=EXAMPLE)
@click.argument("before", metavar="A", type=PATH)
@click.argument("after", metavar="B", type=PATH)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=PATH,
    metavar="K.pub",
    help="Public key that must have signed both. Repeatable: any one of them. Without, signatures"
    " are not checked.",
)
@click.option("--hash", "rehash", is_flag=True, help="Hash the files instead of reading bundles.")
@click.option("--html", type=PATH, metavar="FILE", help="Also write a page with a map.")
def command(
    settings: Settings,
    *,
    before: str,
    after: str,
    keys: tuple[str, ...],
    rehash: bool,
    html: str | None,
) -> Answer:
    """Say what differs between A and B: checkpoints, bundles, or one of each.

    Files and tensors that were added, removed or changed, with byte ranges of whole MiB. Bundles
    and tree files are compared, and files are hashed only where there are none; whether files are
    what is signed is for verify to find out. Exit code 0: compared, whatever was found.
    """
    from pyhash.difference import compare

    with settings.hashing_options() as options:
        found = compare(before, after, keys=keys, rehash=rehash, options=options)
    if html is not None:
        from pyhash.atomic import write_file
        from pyhash.difference import render_page

        write_file(html, render_page(found).encode("utf-8", "backslashreplace"))
    note = "; ".join((*_doubts(found), *found.notes))
    return Answer(
        "ok",
        "nothing differs" if not found.files else f"{len(found.files)} files differ",
        lines=tuple(line for file in found.files for line in _lines(file)),
        summary=(_summary(found),),
        note=note,
        files=len(found.files),
        bytes=found.changed,
        details=_as_object(found),
    )


def _doubts(found: Difference) -> list[str]:
    return [
        f"{side.location}: unverified: nobody's signature was checked; --key checks it"
        for side in (found.before, found.after)
        if side.signature == "unverified"
    ]


def _summary(found: Difference) -> str:
    return (
        f"{len(found.files)} files differ, {found.unchanged} are the same;"
        f" {amount(found.changed)} of {amount(found.size)} ({100 * found.share:.2f} %)"
    )


def _lines(file: FileDifference) -> list[str]:
    sizes = [amount(size) for size in dict.fromkeys((file.before, file.after)) if size is not None]
    where = "" if file.is_located else ", not known where"
    lines = [f"{MARKS[file.kind]} {file.path}  {file.kind}, {' -> '.join(sizes)}{where}"]
    if file.kind != "changed" or not file.is_located:
        return lines
    shown = [f"[{one.start}, {one.end})" for one in file.ranges[:SHOWN_RANGES]]
    more = len(file.ranges) - len(shown)
    lines.append(f"    bytes {', '.join(shown)}{f' and {more} more ranges' if more else ''}")
    for tensor in file.tensors[:SHOWN_TENSORS]:
        lines.append(f"    {tensor.kind} {tensor.name}")
    if len(file.tensors) > SHOWN_TENSORS:
        lines.append(f"    and {len(file.tensors) - SHOWN_TENSORS} more tensors")
    return lines


def _as_object(found: Difference) -> dict[str, Any]:
    return {
        "same": not found.files,
        "before": _side(found.before),
        "after": _side(found.after),
        "unchanged_files": found.unchanged,
        "changed_bytes": found.changed,
        "total_bytes": found.size,
        "share": found.share,
        "hashed_bytes": found.hashed,
        "notes": list(found.notes),
        "differences": [asdict(file) for file in found.files],
    }


def _side(side: SideSummary) -> dict[str, Any]:
    from pyhash.merkle import format_root

    return asdict(side) | {"root": None if side.root is None else format_root(side.root)}
