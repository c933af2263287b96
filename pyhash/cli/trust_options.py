# SPDX-License-Identifier: Apache-2.0
"""The options that say who signs and whom to trust, and the key references they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pyhash import errors
from pyhash.cli.command import PATH

F = TypeVar("F", bound=Callable[..., Any])

TRUST_NAMES = ("keys", "trusted_root", "sigstore_root", "identity", "any_identity", "issuer")
TRUST_NAMES += ("crl", "at")


def signer_options(function: F) -> F:
    """Add ``--certificate`` and ``--chain`` beside a signer's ``--key``."""
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


def trust_options(function: F) -> F:
    """Add all that names whom to trust; the command gets ``trust``, a tuple of key references."""

    def work(*args: Any, **parameters: Any) -> Any:
        given = {name: parameters.pop(name) for name in TRUST_NAMES}
        return function(*args, trust=lambda: trusted_references(**given), **parameters)

    work.__doc__, work.__name__ = function.__doc__, function.__name__
    work.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        work = option(work)
    return work  # type: ignore[return-value]


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--key",
        "keys",
        multiple=True,
        type=PATH,
        metavar="K.pub",
        help="Public key to trust. Repeatable: any one of them may have signed.",
    ),
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


def trusted_references(
    *,
    keys: tuple[str, ...],
    trusted_root: tuple[str, ...],
    sigstore_root: str | None,
    identity: str | None,
    any_identity: bool,
    issuer: str | None,
    crl: tuple[str, ...],
    at: str | None,
) -> tuple[str, ...]:
    """Return the key references of a verifier's options.

    Raises:
        UsageError: An option that nothing would look at, or one that is missing.
    """
    from pyhash.signing import references

    if (crl or at or any_identity) and not trusted_root:
        raise errors.UsageError("--crl, --at and --any-identity belong to a --trusted-root")
    if issuer is not None and sigstore_root is None:
        raise errors.UsageError("--issuer belongs to a --sigstore-root")
    if identity is not None and not (trusted_root or sigstore_root):
        raise errors.UsageError("--identity belongs to a --trusted-root or a --sigstore-root")
    found = list(keys)
    names = [] if identity is None else [identity]
    if trusted_root:
        parameters = {"root": trusted_root, "identity": names, "crl": crl}
        parameters["any-identity"] = ["yes"] if any_identity else []
        parameters["at"] = [] if at is None else [at]
        found.append(references.format_reference("certificate", parameters))
    if sigstore_root is not None:
        issuers = [] if issuer is None else [issuer]
        parameters = {"root": [sigstore_root], "identity": names, "issuer": issuers}
        found.append(references.format_reference("sigstore", parameters))
    return tuple(found)
