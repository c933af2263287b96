# SPDX-License-Identifier: Apache-2.0
"""The options that say whom to believe about a log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import PATH

if TYPE_CHECKING:
    from pyhash.log.checkpoint import TrustedLog

F = TypeVar("F", bound=Callable[..., Any])


def trust_options(function: F) -> F:
    """Add ``--log-key``, ``--witness`` and ``--quorum``: whom to believe about a log.

    Raises nothing.
    """
    function = click.option(
        "--quorum",
        type=click.IntRange(min=0),
        metavar="N",
        help="How many witnesses must have co-signed. Default: all that are named.",
    )(function)
    function = click.option(
        "--witness",
        "witnesses",
        multiple=True,
        type=PATH,
        metavar="W.vkey",
        help="Public key of a witness. Repeatable.",
    )(function)
    return click.option(
        "--log-key",
        "log_key",
        required=True,
        type=PATH,
        metavar="L.vkey",
        help="Public key of the log, from somewhere else than the log itself.",
    )(function)


def load_trust(log_key: str, witnesses: tuple[str, ...], quorum: int | None) -> TrustedLog:
    """Return what the trust options say.

    Raises:
        KeyFileError: A key cannot be read.
        UsageError: A witness twice, or a quorum that cannot be met.
    """
    from pyhash.log.checkpoint import TrustedLog
    from pyhash.log.note_keys import LOG, WITNESS, load_verifier

    known = tuple(load_verifier(one, kind=WITNESS) for one in witnesses)
    needed = len(known) if quorum is None else quorum
    return TrustedLog(load_verifier(log_key, kind=LOG), known, needed)
