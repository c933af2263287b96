# SPDX-License-Identifier: Apache-2.0
"""What the commands that show statements share: reading them, verified or clearly not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import PATH

if TYPE_CHECKING:
    from pyhash.hashing import Options
    from pyhash.provenance.lineage import Statement

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Read:
    """Statements that were read back.

    Attributes:
        statements: From the checkpoint back when they are verified, else as in the file.
        root: The checkpoint, 64 hex digits.
        note: A sentence about whether this was verified.
        signed_by, signature: Of the checkpoint itself; None: not checked.
    """

    statements: tuple[Statement, ...]
    root: str
    note: str
    signed_by: str | None = None
    signature: str | None = None


def lineage_key_option(function: F) -> F:
    """Add an optional ``--key``: with it, everything is verified before it is shown.

    Raises nothing.
    """
    return click.option(
        "--key",
        "keys",
        multiple=True,
        type=PATH,
        metavar="K.pub",
        help="Verify first, under this key. Repeatable. Without: nothing is verified.",
    )(function)


def read_statements(model: str, keys: tuple[str, ...], options: Options) -> Read:
    """Read the statements beside a checkpoint; with keys, verify it and them.

    Raises:
        VerificationError, CheckError: With keys: it, or a statement, does not verify.
    """
    from pyhash import locations, verify
    from pyhash.policy import Policy
    from pyhash.provenance.lineage import load_unverified, verify_lineage
    from pyhash.provenance.requirements import Requirements
    from pyhash.provenance.store import load_lines
    from pyhash.provenance.subject import describe_checkpoint

    place = locations.default_provenance(model)
    lines = load_lines(place)
    if not keys:
        root = describe_checkpoint(model, options=options).root
        return Read(load_unverified(lines, place), root, "Nothing of this was verified.")
    verified = verify(model, keys=keys, options=options)
    requirements = Requirements(Policy.from_key_files(keys).keys, allow_unknown_parents=True)
    lineage = verify_lineage(verified.root or b"", lines, requirements, path=place)
    return Read(
        lineage.statements,
        lineage.root,
        "Every signature and every digest was verified.",
        verified.key_hint,
        locations.default_bundle(model),
    )
