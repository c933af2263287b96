# SPDX-License-Identifier: Apache-2.0
"""Co-sign a checkpoint: verify it, then sign the very same statement with another key.

A co-signature is a bundle of its own and says the same as the first; a policy that wants several
independent signers counts both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from pyhash import atomic, errors, hashing, signing
from pyhash.locations import check_keys_outside, places
from pyhash.policy import Policy, PolicyFile
from pyhash.signed_bundle import inspect_signed
from pyhash.verify_checkpoint import Verified, verify


@dataclass(frozen=True, slots=True)
class CosignResult:
    """What was co-signed, and where the co-signature is.

    Attributes:
        verified: The proof about what was co-signed.
        bundle_path: The co-signature that was written.
        key_hint: Who co-signed: SHA-256 of the public PEM, hex.
    """

    verified: Verified
    bundle_path: str
    key_hint: str


def cosign(
    path: str | os.PathLike[str],
    key: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    policy: Policy | PolicyFile,
    signature: str | os.PathLike[str] | None = None,
    passphrase: signing.AskSecret | None = None,
    options: hashing.Options | None = None,
) -> CosignResult:
    """Verify a checkpoint in full and sign the same statement; may be called from several threads.

    Args:
        path: The checkpoint.
        key: What signs, as for ``sign``.
        output: Where the co-signature goes, a file that is not there yet.
        policy: Whom to trust for the signature that is there.
        signature: The bundle that is there; None: as for ``verify``.
        passphrase: Asked for what opens the key.
        options: How to hash.

    Returns:
        What was co-signed.

    Raises:
        VerificationError, CheckError: As ``verify``. Nothing was written.
        KeyFileError: The key cannot be read or must not be used. Nothing was hashed.
        UsageError: The key lies inside the checkpoint, it is the one that signed, or there is
            something in the place of the output.
        WriteError: The co-signature could not be written.
    """
    check_keys_outside(path, signing.key_files(key))
    signer = signing.load_signer(key, passphrase=passphrase)
    target = os.fspath(output)
    if os.path.lexists(target):
        raise errors.UsageError(f"{target}: is there already, and is not written over")
    resolved = policy.for_checkpoint(path) if isinstance(policy, PolicyFile) else policy
    verified = verify(path, policy=resolved, signature=signature, options=options)
    bundle_path, _ = places(path, signature, None)
    signed = inspect_signed(bundle_path, resolved, location=path)
    if signed.manifest != verified.manifest:
        raise errors.ChangedWhileReadError(f"{bundle_path}: another bundle than was verified")
    if signer.hint in {one.fingerprint for one in signed.signers}:
        raise errors.UsageError(f"{bundle_path}: this key has signed it already; each counts once")
    made = signing.sign_payload(signed.payload, signer)
    atomic.write_file(target, signing.dump_bundle(made))
    return CosignResult(verified, target, signer.hint)
