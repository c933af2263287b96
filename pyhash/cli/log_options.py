# SPDX-License-Identifier: Apache-2.0
"""Where accesses are recorded: the options, and what makes an operation leave a trace or not take
place (``recorded``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.command import PATH

if TYPE_CHECKING:
    from pyhash.access import AccessLog
    from pyhash.policy import Policy
    from pyhash.verify_checkpoint import Verified

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def access_log_options(function: F) -> F:
    """Add ``--log`` and ``--log-key``: where this operation is recorded. Raises nothing."""
    function = click.option(
        "--log-key", type=PATH, metavar="FILE", help="Private key of the log. Default: DIR.key."
    )(function)
    return click.option(
        "--log",
        type=PATH,
        metavar="DIR",
        help="Record this access in a log (pyhash log init); what cannot be recorded is refused.",
    )(function)


def open_log_option(log: str | None, log_key: str | None) -> AccessLog | None:
    """Open the log that the options name, before any work; None: they name none.

    Raises:
        As ``pyhash.access.open_access_log``.
    """
    if log is None:
        return None
    from pyhash.access import open_access_log

    return open_access_log(log, log_key)


def under_log(policy: Policy, log: AccessLog | None) -> Policy:
    """Return a policy for an access that will be recorded in a log, if there is one.

    Raises:
        PolicyError: There is none, and the policy requires one, whatever its mode is.
    """
    if log is None:
        policy.check_logged()
        return policy
    return policy.logged(log)


def recorded(
    log: AccessLog | None,
    operation: str,
    model: str,
    work: Callable[[], T],
    *,
    done: Callable[[T], dict[str, Any]],
    claimed: Callable[[], bytes | None] = lambda: None,
    outcome: str = "done",
) -> T:
    """Do something and record it: also when it was refused or failed.

    Args:
        log: Where to; None: nothing is recorded.
        operation: Name of what is done.
        model: The checkpoint.
        work: Does it.
        done: From its result, arguments of ``AccessLog.event``.
        claimed: After a refusal: the root that was validly signed, if there was one.
        outcome: Word for success.

    Returns:
        What ``work`` returned, once it is recorded.

    Raises:
        Whatever ``work`` raises; and what ``record_access`` raises, when success cannot be
        recorded.
    """
    if log is None:
        return work()
    from pyhash.access import failures_recorded, record_access

    with failures_recorded(log, operation, model, claimed):
        result = work()
    record_access(log, log.event(operation, outcome, model, **done(result)))
    return result


def take_access_log(parameters: dict[str, Any]) -> AccessLog | None:
    """Take the options out of a command's parameters and open the log that they name, if any.

    Raises:
        As ``open_log_option``.
    """
    return open_log_option(parameters.pop("log"), parameters.pop("log_key"))


def signed_root(model: str, policy: Policy, signature: str | None) -> Callable[[], bytes | None]:
    """Return what finds the root that a trusted key signed, when the content is not that root's.

    Raises nothing; what it returns raises as ``signed_bundle.inspect_signed``.
    """

    def claimed() -> bytes | None:
        from pyhash.locations import places
        from pyhash.signed_bundle import inspect_signed

        bundle, _ = places(model, signature, None)
        return inspect_signed(bundle, policy, location=model).manifest.root

    return claimed


def of_verified(verified: Verified) -> dict[str, Any]:
    """Return what an event says about a checkpoint that was verified. Raises nothing."""
    return {"root": verified.root, "key": verified.key_hint}


def record_signature(log: AccessLog | None, model: str, bundle_path: str) -> None:
    """Append a bundle that was just written, and keep its proof beside the checkpoint.

    Raises:
        As ``pyhash.access.record_statement``.
    """
    if log is None:
        return
    from pyhash import access, files, limits, locations

    bundle = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
    access.record_statement(log, bundle, locations.default_proofs(model))
