# SPDX-License-Identifier: Apache-2.0
"""Whom a rule of a policy file trusts: keys, and identities that somebody vouches for."""

from __future__ import annotations

import os
from typing import Any

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.policy._trusted_files import check_trusted
from pyhash.signing import Verifier, load_verifier

SIGNER_KEYS = ("keys",)


def load_signers(fields: dict[str, Any], base: str) -> tuple[tuple[Verifier, ...], tuple[str, ...]]:
    """Load everybody whom a rule trusts.

    Args:
        fields: The rule's table; only ``SIGNER_KEYS`` are looked at.
        base: Directory that paths are relative to.

    Returns:
        The verifiers, and the files that they were read from.

    Raises:
        FormatError: Not what docs/policy.md describes, or somebody is listed twice.
        PolicyFileError: Others could change one of the files.
        KeyFileError: A key cannot be read, or is of a kind we do not take.
    """
    references = fields.get("keys", [])
    if not isinstance(references, list) or not all(isinstance(one, str) for one in references):
        raise FormatError("keys must be an array of strings")
    if len(references) > limits.MAX_RULE_SIGNERS:
        raise FormatError(f"more than {limits.MAX_RULE_SIGNERS} signers")
    files = tuple(os.path.join(base, one) for one in references)
    for file in files:
        check_trusted(file)
    verifiers = tuple(load_verifier(file) for file in files)
    if len({verifier.hint for verifier in verifiers}) < len(verifiers):
        raise FormatError("somebody is listed twice; each counts once")
    return verifiers, files
