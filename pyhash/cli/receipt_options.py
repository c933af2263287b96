# SPDX-License-Identifier: Apache-2.0
"""``--vsa`` and ``--vsa-key``: the receipt of a start, as commands that start something take it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import PATH
from pyhash.errors import PyhashError, UsageError

if TYPE_CHECKING:
    from pyhash.policy import Policy
    from pyhash.verification_summary import StartReceipt

F = TypeVar("F", bound=Callable[..., Any])


def start_receipt_options(function: F) -> F:
    """Add both options to a command. Raises nothing."""
    function = click.option(
        "--vsa-key", type=PATH, metavar="K.key", help="Private key that signs the receipt."
    )(function)
    return click.option(
        "--vsa",
        type=PATH,
        metavar="FILE",
        help="Leave a receipt of this start (in-toto, SLSA VSA); none can be written, no start.",
    )(function)


def check_receipt_options(vsa: str | None, vsa_key: str | None) -> None:
    """Refuse a key without a receipt.

    Raises:
        UsageError: There is one.
    """
    if vsa_key is not None and vsa is None:
        raise UsageError("--vsa-key signs a receipt: name its file with --vsa")


def open_start_receipt(
    vsa: str | None, vsa_key: str | None, model: str, signature: str | None, policy: Policy
) -> StartReceipt | None:
    """Begin the receipt that the options ask for; None: they ask for none.

    Raises:
        As ``begin_receipt`` and ``load_signer``.
    """
    if vsa is None:
        return None
    from pyhash.locations import places
    from pyhash.signing import load_signer
    from pyhash.verification_summary import begin_receipt

    signer = None if vsa_key is None else load_signer(vsa_key)
    bundle, _ = places(model, signature, None)
    return begin_receipt(vsa, model, bundle, policy, signer)


def leave_failed(receipt: StartReceipt | None) -> None:
    """Say in the receipt that nothing was started; that must not hide why. Raises nothing."""
    if receipt is not None:
        with suppress(PyhashError):
            receipt.write_failed()
