# SPDX-License-Identifier: Apache-2.0
"""``pyhash export``: writes a checkpoint's digests as the list that another tool takes."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, ignore_option, links_option, optional_keys_option
from pyhash.cli.settings import Settings

# As interchange.KINDS has them; a test compares, since importing that would load the engine.
WRITTEN = ("sha256sum", "sglang", "gguf-hash", "oci")

EXAMPLE = """\
pyhash export my-model --to sha256sum --key publisher.pub -o SHA256SUMS
pyhash export my-model --to sglang --unverified > checksums.json"""


@answering("export", example=EXAMPLE)
@click.argument("model", type=PATH)
@click.option("--to", "kind", required=True, type=click.Choice(WRITTEN), help="Kind of list.")
@click.option("-o", "target", type=PATH, metavar="FILE", help="Default: standard output.")
@optional_keys_option
@click.option(
    "--unverified",
    is_flag=True,
    help="Look at no signature: hash every file, and list what it is now.",
)
@click.option("--signature", type=PATH, metavar="FILE", help="Default: MODEL/model.sig.")
@ignore_option
@links_option
def command(
    settings: Settings,
    *,
    model: str,
    kind: str,
    target: str | None,
    keys: tuple[str, ...],
    unverified: bool,
    signature: str | None,
    ignore: tuple[str, ...],
    links_within: str | None,
) -> Answer:
    """Write the digests of MODEL as a list for another tool.

    With --key the list says what that key signed: nothing is hashed where the signed digests are
    those that the list needs. A list is not signed: whoever can change it can change what it says.
    """
    from pyhash.atomic import write_file
    from pyhash.errors import UsageError
    from pyhash.interchange.exporting import check_target, export_list

    if settings.format == "json" and target is None:
        raise UsageError("with --format json, say with -o where the list goes")
    if not keys and not unverified:
        raise UsageError(
            "whose signature? Give --key, or --unverified to list the files as they are"
        )
    if target is not None:
        check_target(model, target)
    with settings.hashing_options() as options:
        made = export_list(
            model,
            kind,
            keys=keys,
            unverified=unverified,
            signature=signature,
            ignore=ignore,
            links_within=links_within,
            options=options,
        )
    if target is not None:
        write_file(target, made.data)
    origin = (
        "as a trusted key signed them" if made.is_signed else "as they are; nothing was verified"
    )
    return Answer(
        "ok",
        f"digests of {made.files} files, {origin}",
        lines=() if target is not None else (made.data.removesuffix(b"\n"),),
        summary=() if target is None else (f"written  {target}: {made.files} files, {origin}",),
        files=made.files,
        bytes=made.hashed,
        details={"kind": kind, "written": target, "signed": made.is_signed},
    )
