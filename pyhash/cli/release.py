# SPDX-License-Identifier: Apache-2.0
"""The options of a signer that say which release is signed, and how long it is good for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.errors import FormatError, UsageError

if TYPE_CHECKING:
    from pyhash.manifest import Release

F = TypeVar("F", bound=Callable[..., Any])


def release_options(function: F) -> F:
    """Add ``--release``, ``--release-name`` and ``--expires`` to a command. Raises nothing."""
    for option in (
        click.option(
            "--expires",
            metavar="WHEN",
            help="Refused from then on: 90d, 2027-02-28 or 2027-02-28T12:00:00Z (UTC).",
        ),
        click.option(
            "--release-name", metavar="NAME", help="What releases are counted under, signed too."
        ),
        click.option(
            "--release",
            type=click.IntRange(min=0),
            metavar="N",
            help="Number of this release; greater than that of every release before.",
        ),
    ):
        function = option(function)
    return function


def take_release(parameters: dict[str, Any]) -> Release | None:
    """Take the values of ``release_options`` out of a command's parameters.

    Returns:
        The release, signed now; None where none of the options was given.

    Raises:
        UsageError: A value that no signature can express.
    """
    counter, name, expires = (parameters.pop(one) for one in ("release", "release_name", "expires"))
    if counter is None and name is None and expires is None:
        return None
    from pyhash.manifest import Release

    created = int(time.time())
    try:
        until = None if expires is None else _seconds_of(expires, created)
        return Release(created, counter, until, name)
    except FormatError as error:
        raise UsageError(str(error)) from error


def _seconds_of(text: str, created: int) -> int:
    from pyhash.manifest import parse_time
    from pyhash.policy import parse_duration

    if text[-1:] in ("h", "d", "w", "y"):
        try:
            return created + parse_duration(text)
        except ValueError as error:
            raise UsageError(f"--expires: {text!r} is not {error}") from error
    whole = text if "T" in text else f"{text}T00:00:00Z"
    return parse_time(whole, "--expires")
