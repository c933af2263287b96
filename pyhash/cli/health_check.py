# SPDX-License-Identifier: Apache-2.0
"""``pyhash health check``: an exec probe's answer out of the file that health serve writes."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings


@answering("health check", example="pyhash health check --file /run/pyhash/health")
@click.option("--file", "path", required=True, type=PATH, metavar="FILE", help="The file.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="An older file says nothing.",
)
def command(settings: Settings, *, path: str, max_age: float) -> Answer:
    """Exit with 0 if the file says ready; 1: it says not ready; 3: it is missing, old or broken."""
    from pyhash.health.probe_file import check_probe_file

    age = check_probe_file(path, max_age)
    return Answer("ok", f"{path}: ready", summary=("ready",), details={"age_seconds": age})
