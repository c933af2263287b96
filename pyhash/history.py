# SPDX-License-Identifier: Apache-2.0
"""Holds what lies beside a checkpoint against a policy: statements about its life, and proofs that
they and its bundle are in a log. Comes right after the signature, before any file of the
checkpoint is looked at, and works offline.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyhash import files, limits, signing
from pyhash.errors import ChangedWhileReadError, ProvenanceError
from pyhash.locations import default_proofs, default_provenance
from pyhash.log.proof_file import load_proofs, verify_logged
from pyhash.manifest import Manifest
from pyhash.policy import Policy, Requirement
from pyhash.provenance.lineage import verify_lineage
from pyhash.provenance.requirements import Requirements
from pyhash.provenance.store import load_lines


@dataclass(frozen=True, slots=True)
class Beside:
    """Where the files lie that tell a checkpoint's history. Nothing in them is trusted.

    Attributes:
        provenance: Of statements.
        proofs: Of proofs that they are in a log.
    """

    provenance: str
    proofs: str


def check_history(
    policy: Policy,
    manifest: Manifest,
    payload: bytes,
    path: str | os.PathLike[str],
    bundle_path: str,
) -> tuple[Requirement, ...]:
    """Check the history of a checkpoint whose signature has been checked. Thread-safe.

    Args:
        policy: What is required; without ``log`` and ``provenance``, nothing is.
        manifest: What was signed.
        payload: The exact bytes of it.
        path: The checkpoint; statements and proofs lie in it, or beside a file.
        bundle_path: Its bundle.

    Returns:
        What was required, all of it met.

    Raises:
        LogError: The bundle or a statement is not proven to be in the log.
        ProvenanceError: A statement is missing or says what the policy does not accept.
        SignatureError: A statement, or a checkpoint of the log, is not by anybody who may.
        ChangedWhileReadError: Another bundle stands there now.
        FormatError, LimitError, ReadError: A file cannot be read, or is not what it should be.
    """
    if policy.log is None and policy.provenance is None:
        return ()
    bundle = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
    again = signing.verify_envelope(
        signing.load_bundle(bundle, bundle_path), policy.keys, path=bundle_path
    )
    if again.payload != payload:
        raise ChangedWhileReadError(f"{bundle_path}: another bundle than a moment ago")
    beside = Beside(default_provenance(path), default_proofs(path))
    return check_beside(policy, manifest, bundle, bundle_path, beside)


def check_beside(
    policy: Policy, manifest: Manifest, bundle: bytes, bundle_path: str, beside: Beside
) -> tuple[Requirement, ...]:
    """Do all of ``check_history`` for a bundle whose exact bytes have been verified.

    Args:
        policy, manifest: As there.
        bundle: The bundle.
        bundle_path: Where it came from, for messages.
        beside: Where the other files are.

    Returns:
        What was required, all of it met.

    Raises:
        LogError, ProvenanceError, SignatureError, FormatError, LimitError, ReadError: As there.
    """
    met: list[Requirement] = []
    if policy.log is not None:
        proofs = load_proofs(beside.proofs)
        found = verify_logged(bundle, proofs, policy.log, f"{bundle_path} ({beside.proofs})")
        seen = len(found.checkpoint.witnesses)
        text = f"entry {found.index} of {policy.log.key.name}, co-signed by {seen} known witnesses"
        met.append(Requirement("log", True, text))
    if policy.provenance is not None:
        met.append(_check_lineage(policy.provenance, manifest, bundle_path, beside))
    return tuple(met)


def _check_lineage(
    needs: Requirements, manifest: Manifest, bundle_path: str, beside: Beside
) -> Requirement:
    if manifest.root is None:
        raise ProvenanceError(
            f"{bundle_path}: signed by another tool, without the root that statements are about"
        )
    lineage = verify_lineage(
        manifest.root,
        load_lines(beside.provenance),
        needs,
        proofs=load_proofs(beside.proofs) if needs.log is not None else None,
        path=beside.provenance,
    )
    steps = " <- ".join(f"{one.step.step} of {one.step.name}" for one in lineage.statements)
    return Requirement("provenance", True, steps or "a known parent itself")
