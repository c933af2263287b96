# SPDX-License-Identifier: Apache-2.0
"""What a rule of a policy file requires of a checkpoint's history: ``[rule.provenance]`` fills
``provenance.requirements``, ``[rule.log]`` says which log its bundle and statements must be in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyhash.errors import FormatError
from pyhash.log.checkpoint import TrustedLog
from pyhash.log.note_keys import LOG, WITNESS, load_verifier
from pyhash.merkle import parse_root
from pyhash.policy._signers import SIGNER_KEYS, load_signers
from pyhash.policy._trusted_files import check_trusted
from pyhash.provenance.requirements import Requirements
from pyhash.provenance.schema import STEPS
from pyhash.signing import Verifier
from pyhash.strict_json import show

Table = Mapping[str, Any]

_PROVENANCE_KEYS = (
    *SIGNER_KEYS,
    "step-keys",
    "known-parents",
    "allow-unknown-parents",
    "datasets",
    "required-steps",
)
_LOG_KEYS = ("key", "witnesses", "quorum")
_DATASET = re.compile(r"[a-z0-9-]+:[0-9a-f]+")


def load_log(table: Table, base: str) -> tuple[TrustedLog, tuple[str, ...]]:
    """Load whom a rule trusts for a log.

    Args:
        table: ``[rule.log]``.
        base: Directory that paths are relative to.

    Returns:
        The keys, and the files that they are read from.

    Raises:
        FormatError, UsageError: Not what docs/policy.md describes, or a quorum out of reach.
        PolicyFileError: Others could change one of the files.
        KeyFileError: A key cannot be read.
    """
    _check_keys(table, "log", _LOG_KEYS)
    if "key" not in table:
        raise FormatError("log: key is missing")
    (key,) = _files([_string(table["key"], "log: key")], base)
    witnesses = _files(_strings(table.get("witnesses", []), "log: witnesses"), base)
    known = tuple(load_verifier(one, kind=WITNESS) for one in witnesses)
    quorum = table.get("quorum", len(known))
    if isinstance(quorum, bool) or not isinstance(quorum, int):
        raise FormatError("log: quorum must be an integer")
    return TrustedLog(load_verifier(key, kind=LOG), known, quorum), (key, *witnesses)


def load_provenance(
    table: Table, base: str, log: TrustedLog | None
) -> tuple[Requirements, tuple[str, ...]]:
    """Load what a rule requires of a lineage.

    Args:
        table: ``[rule.provenance]``.
        base: Directory that paths are relative to.
        log: Where every statement must be logged; None: nowhere.

    Returns:
        The requirements, and the files that keys are read from.

    Raises:
        FormatError, UsageError: Not what docs/policy.md describes, or nobody may make a statement.
        PolicyFileError, KeyFileError, DependencyError: As ``load_signers``.
    """
    _check_keys(table, "provenance", _PROVENANCE_KEYS)
    keys, files = load_signers(table, base)
    by_step, step_files = _load_step_keys(table.get("step-keys", {}), base)
    allow = table.get("allow-unknown-parents", False)
    if not isinstance(allow, bool):
        raise FormatError("provenance: allow-unknown-parents must be true or false")
    parents = _strings(table.get("known-parents", []), "provenance: known-parents")
    needs = Requirements(
        keys,
        by_step,
        tuple(parse_root(one).hex() for one in parents),
        allow,
        _load_datasets(table),
        tuple(_strings(table.get("required-steps", []), "provenance: required-steps")),
        log,
    )
    return needs, (*files, *step_files)


def _load_step_keys(
    table: object, base: str
) -> tuple[tuple[tuple[str, tuple[Verifier, ...]], ...], tuple[str, ...]]:
    if not isinstance(table, dict):
        raise FormatError("provenance: step-keys must be a table of steps")
    _check_keys(table, "provenance: step-keys", STEPS)
    found: list[tuple[str, tuple[Verifier, ...]]] = []
    files: list[str] = []
    for step, names in table.items():
        keys, read = load_signers({"keys": names}, base)
        found.append((step, keys))
        files += read
    return tuple(found), tuple(files)


def _load_datasets(table: Table) -> tuple[str, ...] | None:
    """An empty list accepts no data set at all, which is not the same as any."""
    if "datasets" not in table:
        return None
    datasets = _strings(table["datasets"], "provenance: datasets")
    for one in datasets:
        if not _DATASET.fullmatch(one):
            raise FormatError(f"provenance: {show(one)} is no data set; write ALGORITHM:HEX")
    return tuple(datasets)


def _files(names: Sequence[str], base: str) -> tuple[str, ...]:
    found = tuple(os.path.join(base, one) for one in names)
    for one in found:
        check_trusted(one)
    return found


def _check_keys(table: Table, where: str, known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise FormatError(f"{where}: unknown key {show(key)}; there are {', '.join(known)}")


def _string(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise FormatError(f"{where} must be a string that is not empty")
    return value


def _strings(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise FormatError(f"{where} must be an array of strings")
    return value
