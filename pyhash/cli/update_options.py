# SPDX-License-Identifier: Apache-2.0
"""The options of ``pyhash sign`` that carry digests over from an earlier bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import PATH
from pyhash.cli.guarantee_options import default_receipts, receipts_option
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from pyhash.carrying import Carried, Update
    from pyhash.receipts import Store

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """What the options say.

    Attributes:
        update: Whether anything is carried over.
        unchanged: Patterns of files that the caller vouches for.
        receipt: Whether files that the receipt covers are unchanged.
        earlier_keys: Who signed the earlier bundle; none: the key that signs now.
        write_receipt: Whether to leave a receipt.
        receipts: Where receipts are; None: the default of this user.
    """

    update: bool
    unchanged: tuple[str, ...]
    receipt: bool
    earlier_keys: tuple[str, ...]
    write_receipt: bool
    receipts: str | None

    def open(self) -> tuple[Update | None, Store | None]:
        """Return the grounds for carrying over, and where a receipt goes.

        Raises:
            UsageError: Options that need ``--update``, or the other way round.
            KeyFileError: A key cannot be read.
            ReceiptError: The place for receipts cannot be used.
        """
        from pyhash.carrying import Update
        from pyhash.signing import load_verifier

        store = self._store(create=True) if self.write_receipt else None
        if not self.update:
            if self.unchanged or self.receipt or self.earlier_keys:
                raise UsageError("--unchanged, --receipt and --earlier-key need --update")
            return None, store
        proofs = self._store(create=False) if self.receipt else None
        keys = tuple(load_verifier(key) for key in self.earlier_keys)
        return Update(self.unchanged, proofs, keys), store

    def _store(self, *, create: bool) -> Store:
        from pyhash.receipts import open_store

        return open_store(self.receipts or default_receipts(), create=create)


def take_update(parameters: dict[str, Any]) -> UpdateRequest:
    """Take those options out of a command's parameters. Raises nothing."""
    return UpdateRequest(**{one.name: parameters.pop(one.name) for one in fields(UpdateRequest)})


def carried_lines(carried: tuple[Carried, ...], count: int) -> list[str]:
    """Say which files were signed unread, all of them: their content is somebody's word.

    Args:
        carried: The files.
        count: How many were signed in all.

    Returns:
        Lines for a terminal. Raises nothing.
    """
    if not carried:
        return []
    lines = [f"carried    {len(carried)} of {count} files, not hashed now:"]
    return [*lines, *(f"  {one.path}  {one.reason}" for one in carried)]


def update_options(function: F) -> F:
    """Add the fields of ``UpdateRequest`` to a command. Raises nothing."""
    options = (
        click.option(
            "--update",
            is_flag=True,
            help="Hash only what changed since the bundle that is there; the next options say what"
            " did not.",
        ),
        click.option(
            "--unchanged",
            multiple=True,
            metavar="PATTERN",
            help="With --update: vouch for these files unread. Repeatable.",
        ),
        click.option(
            "--receipt",
            is_flag=True,
            help="With --update: files are unchanged that the receipt covers.",
        ),
        click.option(
            "--earlier-key",
            "earlier_keys",
            multiple=True,
            type=PATH,
            metavar="K.pub",
            help="With --update: who signed the bundle that is there. Default: K.key.",
        ),
        click.option("--write-receipt", is_flag=True, help="Leave a receipt of what was hashed."),
        receipts_option,
    )
    for option in reversed(options):
        function = option(function)
    return function
