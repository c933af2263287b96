# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance graph``: draws how a checkpoint came about."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.provenance_reading import lineage_key_option, read_statements
from pyhash.cli.settings import Settings


@answering(
    "provenance graph",
    example="pyhash provenance graph my-model --key trainer.pub --html lineage.html",
)
@click.argument("model", type=PATH)
@lineage_key_option
@click.option("--html", "page", type=PATH, metavar="FILE", help="Also as SVG in a web page.")
def command(settings: Settings, *, model: str, keys: tuple[str, ...], page: str | None) -> Answer:
    """Draw MODEL, its ancestors and their data sets, as text or as a page that loads nothing."""
    from pyhash import atomic
    from pyhash.provenance.graph import draw_page, draw_text

    with settings.hashing_options() as options:
        read = read_statements(model, keys, options)
    if page is not None:
        text = draw_page(read.statements, read.root, note=read.note)
        atomic.write_file(page, text.encode("utf-8"))
    return Answer(
        "verified" if keys else "ok",
        read.note,
        lines=tuple(draw_text(read.statements, read.root)),
        note=read.note,
        root=f"pyhash-v1:{read.root}",
        details={"verified": bool(keys), "html": page},
    )
