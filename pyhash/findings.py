# SPDX-License-Identifier: Apache-2.0
"""From a list of findings to the one exception that carries them all."""

from __future__ import annotations

from collections.abc import Sequence

from pyhash import errors
from pyhash.errors import Finding, VerificationError

# The gravest first: what decides the exception's class when several things are wrong.
KINDS: dict[str, type[VerificationError]] = {
    "digest": errors.DigestMismatchError,
    "size": errors.SizeMismatchError,
    "missing": errors.MissingShardError,
    "unexpected": errors.UnexpectedFileError,
    "changed": errors.ChangedWhileReadError,
    "closure": errors.ClosureError,
}


def raise_findings(findings: Sequence[Finding]) -> None:
    """Raise the exception that fits the gravest finding, with all of them; none: return.

    Raises:
        VerificationError: The subclass that KINDS names.
    """
    if not findings:
        return
    order = list(KINDS)
    ordered = tuple(sorted(findings, key=lambda one: (order.index(one.code), one.path)))
    first = ordered[0]
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    raise KINDS[first.code](f"{first.path}: {first.message}{more}", ordered)
