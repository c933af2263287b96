# SPDX-License-Identifier: Apache-2.0
"""Whom a rule of a policy file trusts: keys, and identities that somebody vouches for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.policy._trusted_files import check_trusted
from pyhash.signing import KEY, Verifier, key_files, load_verifier
from pyhash.signing.references import format_reference
from pyhash.strict_json import show

SIGNER_KEYS = ("keys", "certificate", "sigstore")

# Keys of a table -> parameters of the reference that it comes to; FILES are relative to the policy.
_CERTIFICATE = {"root": "root", "crl": "crl", "identity": "identity", "at": "at"}
_SIGSTORE = {"trusted-root": "root", "identity": "identity", "issuer": "issuer"}
_FILES = ("root", "crl", "trusted-root")


def load_signers(
    fields: Mapping[str, Any], base: str
) -> tuple[tuple[Verifier, ...], tuple[str, ...]]:
    """Load everybody whom a rule trusts.

    Args:
        fields: The rule's table; only ``SIGNER_KEYS`` are looked at.
        base: Directory that paths are relative to.

    Returns:
        The verifiers, and the files that they are read from.

    Raises:
        FormatError, UsageError: Not what docs/policy.md describes, or somebody is listed twice.
        PolicyFileError: Others could change one of the files.
        KeyFileError: A key cannot be read, or is of a kind we do not take.
        DependencyError: A library for one of them is not installed.
    """
    references = [
        *(f"file:{os.path.join(base, one)}" for one in _strings(fields.get("keys", []), "keys")),
        *(_certificate(table, base) for table in _tables(fields, "certificate")),
        *(_reference("sigstore", _SIGSTORE, table, base) for table in _tables(fields, "sigstore")),
    ]
    if len(references) > limits.MAX_RULE_SIGNERS:
        raise FormatError(f"{len(references)} signers, above the cap of {limits.MAX_RULE_SIGNERS}")
    if len(set(references)) < len(references):
        raise FormatError("somebody is listed twice; each counts once")
    files = tuple(file for reference in references for file in key_files(reference))
    for file in files:
        check_trusted(file)
    verifiers = tuple(load_verifier(reference) for reference in references)
    if count_signers(verifiers) < len(verifiers):
        raise FormatError("a key is listed twice; each counts once")
    return verifiers, files


def count_signers(verifiers: Sequence[Verifier]) -> int:
    """Return how many of the keys and identities are different ones. Raises nothing."""
    keys = {verifier.hint for verifier in verifiers if verifier.kind == KEY}
    return len(keys) + sum(verifier.kind != KEY for verifier in verifiers)


def _certificate(table: Mapping[str, Any], base: str) -> str:
    """A certificate needs a name, or the express word that any name will do."""
    anybody = table.get("any-identity", False)
    if not isinstance(anybody, bool):
        raise FormatError("certificate: any-identity must be true or false")
    named = {key: value for key, value in table.items() if key != "any-identity"}
    reference = _reference("certificate", _CERTIFICATE, named, base)
    return f"{reference};any-identity=yes" if anybody else reference


def _reference(scheme: str, known: Mapping[str, str], table: Mapping[str, Any], base: str) -> str:
    parameters: dict[str, list[str]] = {}
    for key, value in table.items():
        if key not in known:
            raise FormatError(f"{scheme}: unknown key {show(key)}; there are {', '.join(known)}")
        values = _strings(value if isinstance(value, list) else [value], f"{scheme}: {key}")
        if not all(values):
            raise FormatError(f"{scheme}: {key} is empty")
        if key in _FILES:
            values = [os.path.join(base, one) for one in values]
        parameters[known[key]] = values
    return format_reference(scheme, parameters)


def _tables(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    tables = fields.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise FormatError(f"{name} must be tables, each under [[rule.{name}]]")
    return tables


def _strings(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise FormatError(f"{what} must be an array of strings")
    return value
