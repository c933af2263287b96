# SPDX-License-Identifier: Apache-2.0
"""``pyhash scrub``: checks checkpoints in the background, for cron and timers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, located_options
from pyhash.cli.network import parse_rate
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.trust import publisher_options, take_trust
from pyhash.errors import DamagedRange, Finding

if TYPE_CHECKING:
    from pyhash.scrub import ScrubResult

EXAMPLE = """\
pyhash scrub my-model --key publisher.pub --limit-rate 100M --records /var/lib/pyhash/scrub"""


@answering("scrub", example=EXAMPLE)
@click.argument("models", nargs=-1, required=True, type=PATH, metavar="MODEL...")
@click.option("--limit-rate", metavar="RATE", help="Bytes per second at most, such as 100M.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop after so long in each MODEL; the next run goes on.",
)
@click.option("--records", type=PATH, metavar="DIR", help="Keep positions and records here.")
@click.option("--record", is_flag=True, help="Record XXH3-128 of every span of this pass.")
@click.option(
    "--rot-only",
    is_flag=True,
    help="Compare with that record, at memory speed: finds rot, not attackers.",
)
@click.option("--from-drive", is_flag=True, help="Read the drive even where memory has the bytes.")
@click.option(
    "--priority",
    type=click.Choice(("idle", "normal")),
    default="idle",
    help="Of processor and reads. Default: idle, gives way to everything.",
)
@click.option("--metrics", type=PATH, metavar="FILE", help="Write Prometheus text metrics.")
@publisher_options
@located_options
def command(
    settings: Settings,
    *,
    models: tuple[str, ...],
    limit_rate: str | None,
    seconds: float | None,
    records: str | None,
    record: bool,
    rot_only: bool,
    from_drive: bool,
    priority: str,
    metrics: str | None,
    **parameters: Any,
) -> Answer:
    """Check each MODEL span by span with low priority, and go on where the last run stopped.

    Exit code 0: what was checked is as it should be. 1: damage, or a signature, name or size is
    not right. 3: something could not be read. Starts nothing and stands for no verification.
    """
    from pyhash.atomic import write_file
    from pyhash.scrub import ScrubOptions, become_idle, dump_metrics, scrub

    trust = take_trust(parameters)
    names = ("signature", "tree", "cosignatures")
    files = {name: getattr(trust, name) for name in names}
    if priority == "idle":
        become_idle()
    began = time.monotonic()
    rate = parse_rate(limit_rate)
    with settings.hashing_options() as hashing:
        options = ScrubOptions(records, record, rot_only, rate, seconds, from_drive, hashing)
        results = [
            scrub(model, trust.policy_for(model), options=options, **files) for model in models
        ]
    if metrics is not None:
        write_file(metrics, dump_metrics(results, time.time()))
    answer = _answer(results, time.monotonic() - began)
    return replace(answer, checkpoint=models[0] if len(models) == 1 else None)


def _answer(results: list[ScrubResult], seconds: float) -> Answer:
    damaged = sum(len(one.damaged) for one in results)
    unreadable = sum(len(one.unreadable) for one in results)
    size = sum(one.checked_bytes for one in results)
    result = "refused" if damaged else "error" if unreadable else "ok"
    message = f"{damaged} damaged and {unreadable} unreadable spans"
    return Answer(
        result,
        "every span that was checked is as it should be" if result == "ok" else message,
        advice="pyhash repair mends them from a second copy." if result == "refused" else "",
        summary=(
            *(line for one in results for line in _lines(one)),
            f"checked    {amount(size)} in {seconds:.1f} s",
        ),
        bytes=size,
        seconds=seconds,
        findings=tuple(finding for one in results for finding in _findings(one)),
        details={
            "checkpoints": [
                {
                    "path": one.location,
                    "digest": one.digest,
                    "position": one.position,
                    "total": one.total,
                    "damaged": [list(place) for place in one.damaged],
                    "unreadable": [list(place) for place in one.unreadable],
                    "recorded": one.recorded or None,
                }
                for one in results
            ]
        },
    )


def _lines(one: ScrubResult) -> list[str]:
    meaning = {
        "sha256": "signed digests",
        "xxh3-128": "XXH3-128 of an earlier pass: finds rot, not attackers",
    }[one.digest]
    state = "pass finished" if one.is_finished else "goes on in the next run"
    lines = [
        f"scrubbed   {one.location}",
        f"compared   {meaning}",
        f"spans      {one.position} of {one.total}; {state}",
    ]
    return [*lines, *([f"recorded   {one.recorded}"] if one.recorded else [])]


def _findings(one: ScrubResult) -> list[Finding]:
    return [
        Finding("digest", path, f"{what} in [{start}, {end})", ranges=(DamagedRange(start, end),))
        for what, places in (("differs", one.damaged), ("could not be read", one.unreadable))
        for path, start, end in places
    ]
