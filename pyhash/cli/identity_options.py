# SPDX-License-Identifier: Apache-2.0
"""The options that name whom to trust by certificate or keyless identity, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import click

from pyhash.cli.command import PATH
from pyhash.errors import UsageError
from pyhash.frozen import frozen

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class IdentityOptions:
    """What those options say.

    Attributes:
        trusted_root: Root certificates.
        sigstore_root: A Sigstore trusted root.
        identity: The only name to accept.
        any_identity: Any name under ``trusted_root`` will do.
        issuer: Who vouches for the name, with Sigstore.
        crl: Revocation lists.
        at: When certificates must have been valid; None: now.
    """

    trusted_root: tuple[str, ...] = ()
    sigstore_root: str | None = None
    identity: str | None = None
    any_identity: bool = False
    issuer: str | None = None
    crl: tuple[str, ...] = ()
    at: str | None = None

    def check(self) -> None:
        """Refuse an option that nothing would look at.

        Raises:
            UsageError: There is one.
        """
        if (self.crl or self.at or self.any_identity) and not self.trusted_root:
            raise UsageError("--crl, --at and --any-identity belong to a --trusted-root")
        if self.issuer is not None and self.sigstore_root is None:
            raise UsageError("--issuer belongs to a --sigstore-root")
        if self.identity is not None and not (self.trusted_root or self.sigstore_root):
            raise UsageError("--identity belongs to a --trusted-root or a --sigstore-root")


def identity_options(function: F) -> F:
    """Add the options to a command; ``take_identities`` takes their values. Raises nothing."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_identities(parameters: dict[str, Any]) -> IdentityOptions:
    """Take the values of ``identity_options`` out of a command's parameters. Raises nothing."""
    return IdentityOptions(
        **{one.name: parameters.pop(one.name) for one in fields(IdentityOptions)}
    )


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--trusted-root",
        multiple=True,
        type=PATH,
        metavar="R.pem",
        help="Trust certificates under this root, of the --identity. Repeatable.",
    ),
    click.option(
        "--sigstore-root",
        type=PATH,
        metavar="R.json",
        help="Trust keyless signatures under this Sigstore root, of --identity by --issuer.",
    ),
    click.option("--identity", metavar="NAME", help="Who must have signed: exactly this name."),
    click.option(
        "--any-identity",
        is_flag=True,
        help="Trust whoever has a certificate under --trusted-root.",
    ),
    click.option("--issuer", metavar="URL", help="Who must vouch for the name, with Sigstore."),
    click.option(
        "--crl",
        multiple=True,
        type=PATH,
        metavar="F",
        help="Revocation list; then every certificate must be covered by one. Repeatable.",
    ),
    click.option(
        "--at",
        metavar="TIME",
        help="When certificates must have been valid, as 2026-01-31T12:00:00Z. Default: now.",
    ),
)


def trusted_references(keys: tuple[str, ...], identities: IdentityOptions) -> tuple[str, ...]:
    """Return the key references of a verifier's options.

    Raises:
        UsageError: An option that nothing would look at, or one that is missing.
    """
    from pyhash.signing import references

    if identities == IdentityOptions():
        return keys
    identities.check()
    found = list(keys)
    names = [] if identities.identity is None else [identities.identity]
    if identities.trusted_root:
        parameters: dict[str, Sequence[str]] = {
            "root": identities.trusted_root,
            "identity": names,
            "any-identity": ["yes"] if identities.any_identity else [],
            "crl": identities.crl,
            "at": [] if identities.at is None else [identities.at],
        }
        found.append(references.format_reference("certificate", parameters))
    if identities.sigstore_root is not None:
        issuers = [] if identities.issuer is None else [identities.issuer]
        parameters = {"root": [identities.sigstore_root], "identity": names, "issuer": issuers}
        found.append(references.format_reference("sigstore", parameters))
    return tuple(found)
