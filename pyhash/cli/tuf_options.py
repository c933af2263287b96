# SPDX-License-Identifier: Apache-2.0
"""Options for a pointer to the latest release that TUF vouches for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash import errors
from pyhash.cli.command import PATH

if TYPE_CHECKING:
    from pyhash.fetch import TufTrust

F = TypeVar("F", bound=Callable[..., Any])


def tuf_options(function: F) -> F:
    """Add ``--tuf-root`` and ``--tuf-state`` to a command. Raises nothing."""
    for option in (
        click.option(
            "--tuf-state",
            type=PATH,
            metavar="DIR",
            help="Where seen TUF versions are kept. With --tuf-root.",
        ),
        click.option(
            "--tuf-root",
            type=PATH,
            metavar="FILE",
            help="First root metadata: the pointer to the latest release must be vouched for by"
            " TUF.",
        ),
    ):
        function = option(function)
    return function


def tuf_trust(root: str | None, state: str | None) -> TufTrust | None:
    """Return what the two options say; None when neither is given.

    Raises:
        UsageError: Only one is.
        CheckError: The root metadata cannot be read.
    """
    from pyhash import files, limits
    from pyhash.fetch import TufTrust

    if (root is None) != (state is None):
        raise errors.UsageError("--tuf-root and --tuf-state go together")
    if root is None or state is None:
        return None
    return TufTrust(files.read_small(root, limits.MAX_TUF_BYTES), state)
