# SPDX-License-Identifier: Apache-2.0
"""The options that choose a guarantee other than ``content``, and where receipts are kept.

No environment variable plays a part: the place comes from who runs the command, or is named.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import PATH
from pyhash.errors import UsageError
from pyhash.frozen import frozen

if TYPE_CHECKING:
    from pyhash.guarantees import Guarantee
    from pyhash.receipts import Store

F = TypeVar("F", bound=Callable[..., Any])

ROOT_RECEIPTS = "/var/lib/pyhash/receipts"
USER_RECEIPTS = ".local/state/pyhash/receipts"  # below the home directory
# Those of guarantees.MEANINGS that a start can be told to be content with.
STARTABLE = ("receipt", "sampled", "content", "kernel")


@frozen
class Comparison:
    """What the options say.

    Attributes:
        only: Names of files and tensors.
        sample: A share or a size.
        seed: Of the sample.
        receipt: Hash nothing, rely on a receipt.
        changed: Hash what a receipt does not cover.
        resume: Go on with an interrupted pass.
        write_receipt: Leave a receipt.
        once: Directory that processes of one host share, to verify once; None: not.
        receipts: Where receipts are; None: the default of this user.
    """

    only: tuple[str, ...] = ()
    sample: str | None = None
    seed: int | None = None
    receipt: bool = False
    changed: bool = False
    resume: bool = False
    write_receipt: bool = False
    once: str | None = None
    receipts: str | None = None

    def guarantee(self, least: str | None = None) -> Guarantee:
        """Return the guarantee that was asked for.

        Args:
            least: The weakest to accept; None: any. ``kernel`` is asked for by its name alone.

        Raises:
            UsageError: Two that exclude each other, one that is too weak, or an option that has no
                sense here.
            ReceiptError: The place for receipts cannot be used.
        """
        from pyhash import guarantees

        given = self._check()
        if least == "kernel":
            if given or self.write_receipt:
                raise UsageError(
                    "--guarantee kernel rests on sealed files and nothing else: leave out"
                    f" {given or '--write-receipt'}"
                )
            return guarantees.KERNEL
        chosen = self._chosen()
        if least is not None and not guarantees.is_at_least(chosen.name, least):
            raise UsageError(
                f"these options verify no more than {chosen.name!r}, which is less than {least!r}"
            )
        return chosen

    def _chosen(self) -> Guarantee:
        from pyhash import guarantees

        if self.only:
            return guarantees.only(self.only)
        if self.sample is not None:
            return guarantees.sample(self.sample, seed=self.seed)
        if self.once is not None:
            from pyhash.receipts import open_store

            return guarantees.once(open_store(self.once, create=True))
        chosen = guarantees.CONTENT
        if self.resume:
            chosen = guarantees.resume(self._store(create=True))
        elif self.receipt or self.changed:
            store = self._store(create=self.write_receipt)
            chosen = guarantees.by_receipt(store, rehash=self.changed)
        if self.write_receipt:
            return guarantees.recorded(chosen, self._store(create=True))
        return chosen

    def guarantee_to_start_behind(self, least: str) -> Guarantee:
        """Return the guarantee that was asked for, if a start may rest on it.

        Args:
            least: The weakest that was accepted by name.

        Raises:
            UsageError: It is weaker, or a sample that was known beforehand.
            ReceiptError: The place for receipts cannot be used.
        """
        from pyhash.guarantees import is_at_least

        if self.seed is not None:
            raise UsageError(
                "nothing is started behind a sample that was known beforehand (--seed)"
            )
        chosen = self.guarantee(least if least == "kernel" else None)
        if not is_at_least(chosen.name, least):
            raise UsageError(
                f"these options verify no more than {chosen.name!r}, and nothing is started behind"
                f" less than {least!r} unless --guarantee {chosen.name} says so"
            )
        return chosen

    def _check(self) -> str:
        """Refuse what excludes each other; returns the one option that was given, or nothing."""
        chosen = {
            "--only": bool(self.only),
            "--sample": self.sample is not None,
            "--receipt": self.receipt,
            "--changed": self.changed,
            "--resume": self.resume,
            "--once": self.once is not None,
        }
        given = [name for name, is_given in chosen.items() if is_given]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} exclude each other: give one")
        if self.seed is not None and self.sample is None:
            raise UsageError("--seed has a sense only with --sample")
        if self.once is not None and (self.write_receipt or self.receipts is not None):
            raise UsageError("--once keeps its own records: leave out --write-receipt, --receipts")
        if self.write_receipt and (self.only or self.sample is not None or self.receipt):
            raise UsageError(f"--write-receipt needs every byte verified, and {given[0]} does not")
        return given[0] if given else ""

    def _store(self, *, create: bool) -> Store:
        from pyhash.receipts import open_store

        return open_store(self.receipts or default_receipts(), create=create)


def take_comparison(parameters: dict[str, Any]) -> Comparison:
    """Take those options out of a command's parameters. Raises nothing."""
    return Comparison(**{one.name: parameters.pop(one.name) for one in fields(Comparison)})


def default_receipts() -> str:
    """Return where the receipts of this process's user are.

    Raises:
        UsageError: The user has no home directory.
    """
    user = os.geteuid()
    if user == 0:
        return ROOT_RECEIPTS
    try:
        return os.path.join(pwd.getpwuid(user).pw_dir, USER_RECEIPTS)
    except KeyError as error:
        raise UsageError(
            f"user {user} has no home directory here; name a place with --receipts"
        ) from error


def receipts_option(function: F) -> F:
    """Add ``--receipts`` to a command. Raises nothing."""
    return click.option(
        "--receipts",
        type=PATH,
        metavar="DIR",
        help=f"Where receipts are kept. Default: ~/{USER_RECEIPTS}; for root {ROOT_RECEIPTS}.",
    )(function)


def least_option(function: F) -> F:
    """Add ``--guarantee`` to a command that starts something. Raises nothing."""
    return click.option(
        "--guarantee",
        "least",
        type=click.Choice(STARTABLE),
        default="content",
        help="The weakest guarantee to start behind. Default: content. With kernel, sealed files"
        " are measured and not hashed.",
    )(function)


def asked_option(function: F) -> F:
    """Add ``--guarantee`` to a command that verifies and starts nothing. Raises nothing."""
    return click.option(
        "--guarantee",
        "least",
        type=click.Choice(STARTABLE),
        help="The weakest guarantee to accept. With kernel, sealed files are measured and not"
        " hashed.",
    )(function)


def guarantee_options(function: F) -> F:
    """Add the fields of ``Comparison`` to a command. Raises nothing."""
    options = (
        click.option(
            "--only",
            multiple=True,
            metavar="NAME",
            help="Verify this file, tensor or pattern alone. Repeatable.",
        ),
        click.option(
            "--sample",
            metavar="SHARE",
            help="Verify a random part: 5% or 20GiB. Says how likely damage is found.",
        ),
        click.option(
            "--seed", type=int, metavar="N", help="Sample what the run with this seed did."
        ),
        click.option(
            "--receipt", is_flag=True, help="Hash nothing: no file changed since the receipt."
        ),
        click.option(
            "--changed", is_flag=True, help="Hash only files that changed since the receipt."
        ),
        click.option("--resume", is_flag=True, help="Go on where a run was interrupted."),
        click.option(
            "--write-receipt", is_flag=True, help="Leave a receipt for --receipt and --changed."
        ),
        click.option(
            "--once",
            type=PATH,
            metavar="DIR",
            help="Of several processes that share DIR, one verifies and the others rely on it.",
        ),
        receipts_option,
    )
    for option in reversed(options):
        function = option(function)
    return function
