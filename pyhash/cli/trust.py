# SPDX-License-Identifier: Apache-2.0
"""The options that say whom to trust, the same for every command that verifies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import (
    PATH,
    historical_option,
    ignore_option,
    links_option,
    located_options,
    root_option,
)
from pyhash.cli.identity_options import (
    IdentityOptions,
    identity_options,
    take_identities,
    trusted_references,
)
from pyhash.errors import UsageError
from pyhash.frozen import frozen

if TYPE_CHECKING:
    from pyhash.policy import Policy

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class Trust:
    """What those options say.

    Attributes:
        keys: Keys to trust.
        policy: A policy file; None: none.
        state: Directory that remembers releases; None: as the policy says.
        ignore, root: What a policy would say, where there is none.
        signature, tree, cosignatures: Where those files lie.
        links_within, accept_historical: As the library has them.
        identities: Certificates and keyless identities to trust.
    """

    keys: tuple[str, ...]
    policy: str | None
    state: str | None
    ignore: tuple[str, ...]
    root: str | None
    signature: str | None
    tree: str | None
    cosignatures: tuple[str, ...]
    links_within: str | None
    accept_historical: bool
    identities: IdentityOptions

    def check_given(self) -> None:
        """Refuse a command line that says in no way, or in two, whom to trust.

        Raises:
            UsageError: Neither keys nor a policy, or both.
        """
        trusted = trusted_references(self.keys, self.identities)
        if self.policy is None and not trusted:
            raise UsageError("Missing option '--key', '--trusted-root' or '--policy'")
        if self.policy is not None and (trusted or self.ignore or self.root is not None):
            raise UsageError(
                "--policy says whom to trust; leave out --key, --ignore, --root and identities"
            )

    def policy_for(self, model: str) -> Policy:
        """Return what to hold a checkpoint against.

        Args:
            model: The checkpoint, as it was named on the command line.

        Raises:
            UsageError: Neither keys nor a policy, or both.
            PolicyError: No rule is for this checkpoint.
            PolicyFileError, KeyFileError: The policy or a key cannot be used.
        """
        from pyhash.opening import given_policy

        self.check_given()
        if self.policy is None:
            trusted = trusted_references(self.keys, self.identities)
            return given_policy(model, None, trusted, self.ignore, self.root).located(
                "", self.state
            )
        from pyhash.policy import PolicyFile

        return PolicyFile.read(self.policy).for_checkpoint(model, self.state)

    def files(self) -> dict[str, Any]:
        """Return the arguments of the library that say where files lie. Raises nothing."""
        return {
            "signature": self.signature,
            "tree": self.tree,
            "cosignatures": self.cosignatures,
            "links_within": self.links_within,
            "accept_historical": self.accept_historical,
        }


def trust_options(function: F) -> F:
    """Add ``publisher_options`` and where bundle and tree file lie to a command. Raises nothing."""
    return publisher_options(located_options(historical_option(links_option(function))))


def publisher_options(function: F) -> F:
    """Add ``--key``, ``--policy``, ``--state``, ``--root``, ``--cosignature``, ``--ignore`` and the
    options of identities to a command; ``Trust`` holds their values. Raises nothing.
    """
    for option in (
        click.option(
            "--state",
            type=PATH,
            metavar="DIR",
            help="Remember the highest release in this directory; refuse a lower one.",
        ),
        click.option(
            "--cosignature",
            "cosignatures",
            multiple=True,
            type=PATH,
            metavar="FILE",
            help="Another bundle over the same statement, by another signer. Repeatable.",
        ),
        root_option,
        ignore_option,
        identity_options,
        click.option(
            "--policy",
            type=PATH,
            metavar="FILE",
            help="Policy file: whom to trust for which checkpoint. Instead of --key.",
        ),
        click.option(
            "--key",
            "keys",
            multiple=True,
            type=PATH,
            metavar="K.pub",
            help="Public key to trust. Repeatable: any one of them may have signed.",
        ),
    ):
        function = option(function)
    return function


def take_trust(parameters: dict[str, Any]) -> Trust:
    """Take the values of either out of a command's parameters. Raises nothing."""
    identities = take_identities(parameters)
    plain = [one.name for one in fields(Trust) if one.name != "identities"]
    return Trust(**{name: parameters.pop(name, None) for name in plain}, identities=identities)
