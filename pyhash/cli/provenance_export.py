# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance export``: writes a lineage in formats that other tools read."""

from __future__ import annotations

import base64
import os

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, public_keys_option
from pyhash.cli.provenance_reading import read_statements
from pyhash.cli.settings import Settings


@answering(
    "provenance export",
    example="pyhash provenance export my-model --key trainer.pub --as cyclonedx --out bom.json",
)
@click.argument("model", type=PATH)
@public_keys_option
@click.option(
    "--as",
    "kind",
    type=click.Choice(("cyclonedx", "manifest")),
    default="cyclonedx",
    help="CycloneDX 1.7 ML-BOM, or the flat manifest of six lines.",
)
@click.option("--out", required=True, type=PATH, metavar="FILE")
def command(
    settings: Settings, *, model: str, keys: tuple[str, ...], kind: str, out: str
) -> Answer:
    """Verify MODEL and its statements, and write what they say to FILE."""
    from pyhash import atomic, files, limits, signing
    from pyhash.provenance.cyclonedx import dump_cyclonedx
    from pyhash.provenance.flat_manifest import dump_flat_manifest, flatten

    with settings.hashing_options() as options:
        read = read_statements(model, keys, options)
    name = os.path.basename(os.path.abspath(model))
    root = f"pyhash-v1:{read.root}"
    if kind == "cyclonedx":
        data = dump_cyclonedx(read.statements, read.root, name)
    else:
        place = str(read.signature)
        bundle = signing.load_bundle(files.read_small(place, limits.MAX_BUNDLE_BYTES), place)
        signature = base64.b64encode(bundle.envelope.signatures[0]).decode("ascii")
        flat = flatten(
            read.statements, root, name, signed_by=str(read.signed_by), signature=signature
        )
        data = dump_flat_manifest(flat)
    atomic.write_file(out, data)
    return Answer(
        "verified",
        f"wrote {out}",
        summary=(f"wrote  {out}", f"root   {root}"),
        root=root,
        details={"file": out, "as": kind},
    )
