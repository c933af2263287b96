# SPDX-License-Identifier: Apache-2.0
"""The options that say who signs, the same for every command that signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyhash import errors
from pyhash.cli.command import PATH
from pyhash.cli.secrets import asker, passphrase_options

F = TypeVar("F", bound=Callable[..., Any])


def signer_options(function: F) -> F:
    """Add ``--certificate``, ``--chain`` and where a passphrase comes from, beside ``--key``.

    Raises nothing.
    """
    function = passphrase_options(function)
    function = click.option(
        "--chain",
        multiple=True,
        type=PATH,
        metavar="C.pem",
        help="Certificates between the leaf and the root. Repeatable.",
    )(function)
    return click.option(
        "--certificate",
        type=PATH,
        metavar="LEAF.pem",
        help="Certificate of the key: sign as the one it names.",
    )(function)


def signer_reference(key: str, certificate: str | None, chain: tuple[str, ...]) -> str:
    """Return the key reference of a signer's options.

    Raises:
        UsageError: A chain without a certificate.
    """
    from pyhash.signing import references

    if certificate is None:
        if chain:
            raise errors.UsageError("--chain belongs to a --certificate, and there is none")
        return key
    return references.format_reference(
        "certificate", {"key": [key], "leaf": [certificate], "chain": chain}
    )


def take_signer(key: str, parameters: dict[str, Any]) -> tuple[str, Callable[[str], bytes]]:
    """Take the values of ``signer_options`` out of a command's parameters.

    Returns:
        The key reference, and what asks for a passphrase.

    Raises:
        UsageError: The options contradict each other.
    """
    ask = asker(parameters.pop("passphrase_fd"), parameters.pop("passphrase_env"))
    certificate, chain = parameters.pop("certificate"), parameters.pop("chain")
    return signer_reference(key, certificate, chain), ask
