# SPDX-License-Identifier: Apache-2.0
"""The options of commands that use the network, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash import errors
from pyhash.cli.command import PATH

if TYPE_CHECKING:
    from pyhash.fetch import Network

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def network_options(function: F) -> F:
    """Add ``--credentials``, ``--ca`` and ``--proxy`` to a command. Raises nothing."""
    for option in (
        click.option("--proxy", metavar="URL", help="Go through this proxy."),
        click.option(
            "--ca", type=PATH, metavar="FILE", help="Authorities to trust instead of the system's."
        ),
        click.option(
            "--credentials",
            type=PATH,
            metavar="FILE",
            help="TOML file with access_key_id, secret_access_key, endpoint; mode 0600.",
        ),
    ):
        function = option(function)
    return function


def transfer_options(function: F) -> F:
    """Add ``--limit-rate`` and ``--connections`` to a command that fetches weights.

    Raises nothing.
    """
    for option in (
        click.option(
            "--connections",
            type=click.IntRange(1, 64),
            default=8,
            show_default=True,
            metavar="N",
            help="Requests at once.",
        ),
        click.option(
            "--limit-rate", metavar="RATE", help="Bytes per second at most, such as 200M."
        ),
    ):
        function = option(function)
    return function


def network_of(credentials: str | None, ca: str | None, proxy: str | None) -> Network:
    """Return what the options say.

    Raises:
        CheckError: The credential file cannot be used.
    """
    from pyhash.credentials import load_credential
    from pyhash.fetch import Network

    found = {} if credentials is None else load_credential(credentials)
    ca = ca or found.pop("ca_file", None)
    return Network(ca_file=ca, proxy=proxy, credentials=tuple(found.items()))


def parse_rate(text: str | None) -> int | None:
    """Return bytes per second: a number, with K, M or G for powers of 1024.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,15})([KMG]?)", text)
    if match is None or int(match[1]) == 0:
        raise errors.UsageError(f"{text!r} is no rate; for example 200M for 200 MiB per second")
    return int(match[1]) * _UNITS[match[2]]
