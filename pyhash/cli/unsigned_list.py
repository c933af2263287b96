# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify --from``: compares a checkpoint with a list of another tool, and says what it is
worth: damage is found, nobody is proven to have made the files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyhash.cli.answer import Answer
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount

F = TypeVar("F", bound=Callable[..., Any])


def list_options(function: F) -> F:
    """Add ``--from`` and ``--ignore-missing`` to a command. Raises nothing."""
    function = click.option(
        "--ignore-missing",
        is_flag=True,
        help="With --from: files of the list need not be there, as long as one is.",
    )(function)
    return click.option(
        "--from",
        "source",
        metavar="[KIND:]LIST",
        help="Compare with an unsigned list instead: sha256sum, sglang, gguf-hash, oci,"
        " flat-manifest; or huggingface, for what its downloader noted in MODEL itself.",
    )(function)


def compare(
    settings: Settings,
    model: str,
    source: str,
    *,
    ignore: tuple[str, ...],
    ignore_missing: bool,
    links_within: str | None,
) -> Answer:
    """Compare, and answer ``matches``; what differs is raised.

    Raises:
        VerificationError, CheckError, UsageError: As ``verify_list``.
    """
    from pyhash.interchange import KINDS, MEANINGS, verify_list

    with settings.hashing_options() as options:
        found = verify_list(
            model,
            source,
            ignore=ignore,
            ignore_missing=ignore_missing,
            links_within=links_within,
            options=options,
        )
    kind = KINDS[found.kind]
    notes = (*found.notes, *_absent(found.absent))
    return Answer(
        "matches",
        f"{model} matches a list that nobody signed; no publisher is proven",
        summary=(
            f"matches    {model}",
            f"list       {found.source} ({kind.title})",
            f"files      {found.files}, {amount(found.size)} in {found.seconds:.1f} s",
            f"guarantee  {found.guarantee}: {MEANINGS[found.guarantee]}",
            f"covers     {kind.covers}",
            f"not        {kind.leaves_out}",
            *(f"note       {note}" for note in notes),
        ),
        guarantee=found.guarantee,
        files=found.files,
        bytes=found.size,
        seconds=found.seconds,
        details={
            "kind": found.kind,
            "list": found.source,
            "covers": kind.covers,
            "leaves_out": kind.leaves_out,
            "absent": list(found.absent),
            "notes": list(found.notes),
        },
    )


def _absent(absent: tuple[str, ...]) -> tuple[str, ...]:
    return (f"{len(absent)} files of the list are not there",) if absent else ()
