# SPDX-License-Identifier: Apache-2.0
"""Where a passphrase comes from: a prompt, a file descriptor or a variable that the user names.

Never from the command line, which everybody on the machine can read. No variable is looked at that
the command line does not name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyhash import errors, limits

F = TypeVar("F", bound=Callable[..., Any])


def passphrase_options(function: F) -> F:
    """Add ``--passphrase-fd`` and ``--passphrase-env`` to a command. Raises nothing."""
    function = click.option(
        "--passphrase-env",
        metavar="NAME",
        help="Read the passphrase or PIN from this environment variable.",
    )(function)
    return click.option(
        "--passphrase-fd",
        type=click.IntRange(min=0),
        metavar="N",
        help="Read the passphrase or PIN from this file descriptor, one line. Default: ask.",
    )(function)


def asker(
    descriptor: int | None, variable: str | None, *, confirm: bool = False
) -> Callable[[str], bytes]:
    """Return a function that finds out a secret when it is called, and not before.

    Args:
        descriptor: Where to read it from.
        variable: Which variable holds it.
        confirm: When asking a person, ask twice.

    Raises:
        UsageError: Both are given.
    """
    if descriptor is not None and variable is not None:
        raise errors.UsageError("give --passphrase-fd or --passphrase-env, not both")

    def ask(what: str) -> bytes:
        if descriptor is not None:
            return _from_descriptor(descriptor)
        if variable is not None:
            return _from_variable(variable)
        return _from_person(what, confirm)

    return ask


def _from_descriptor(descriptor: int) -> bytes:
    data = b""
    try:
        while b"\n" not in data and len(data) <= limits.MAX_PASSPHRASE_BYTES:
            block = os.read(descriptor, limits.MAX_PASSPHRASE_BYTES + 1)
            if not block:
                break
            data += block
    except OSError as error:
        raise errors.KeyFileError(
            f"the passphrase cannot be read from descriptor {descriptor}: {error.strerror}"
        ) from error
    return _checked(data.partition(b"\n")[0])


def _from_variable(name: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise errors.KeyFileError(f"the passphrase should be in the variable {name}: not set")
    return _checked(value)


def _from_person(what: str, confirm: bool) -> bytes:
    if not _has_terminal():
        raise errors.KeyFileError(
            f"the passphrase of {what} cannot be asked for, because there is no terminal;"
            " give --passphrase-fd or --passphrase-env"
        )
    text: str = click.prompt(
        f"Passphrase of {what}", hide_input=True, confirmation_prompt=confirm, err=True
    )
    return _checked(text.encode("utf-8", "surrogateescape"))


def _has_terminal() -> bool:
    """Whether a person can be asked without showing what is typed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return os.isatty(0)
    return True


def _checked(secret: bytes) -> bytes:
    if not 0 < len(secret) <= limits.MAX_PASSPHRASE_BYTES:
        raise errors.KeyFileError(
            f"a passphrase has 1 to {limits.MAX_PASSPHRASE_BYTES} bytes, not {len(secret)}"
        )
    return secret
