# SPDX-License-Identifier: Apache-2.0
"""Steps 1 and 2 of docs/format-v1.md, "Verifying": read the bundle strictly, check who signed it,
and only then look inside, at what was signed and what the policy says to it. Opens no shard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyhash import errors, files, limits, signing
from pyhash.frozen import frozen
from pyhash.manifest import Manifest, load_statement
from pyhash.policy import Policy, Requirement, check_requirements, judge
from pyhash.signing import Identity

if TYPE_CHECKING:
    from pyhash.policy import Remembered


@frozen
class Signed:
    """What trusted signers signed, before anything is decided about it.

    Attributes:
        manifest: What was signed.
        payload: The exact bytes of it.
        key_hint: The trusted key that made the bundle's signature.
        signers: Independent signers, each once.
        requirements: What the policy requires, met or not.
    """

    manifest: Manifest
    payload: bytes
    key_hint: str
    signers: tuple[Identity, ...]
    requirements: tuple[Requirement, ...]


def load_signed(
    bundle_path: str,
    policy: Policy,
    *,
    location: str | os.PathLike[str] = "",
    cosignatures: Sequence[str | os.PathLike[str]] = (),
) -> Signed:
    """Steps 1 and 2: read the bundle strictly, check who signed it, and only then look inside.

    Args:
        bundle_path: The bundle.
        policy: Whom to trust.
        location: The checkpoint, where the policy does not say which one it is for.
        cosignatures: Further bundles over the same statement; every one of them must hold.

    Returns:
        What was signed; the policy accepts it.

    Raises:
        UnsignedError: There is no bundle.
        SignatureError: No trusted key signed it, or one of the co-signatures.
        PolicyError: It is signed, but has expired, or is not what the policy accepts.
        PolicyFileError: What was accepted before cannot be found out.
        FormatError, LimitError, ReadError: It cannot be read, or is not what it should be.
    """
    signed = inspect_signed(bundle_path, policy, location=location, cosignatures=cosignatures)
    check_requirements(signed.requirements, bundle_path)
    return signed


def inspect_signed(
    bundle_path: str,
    policy: Policy,
    *,
    location: str | os.PathLike[str] = "",
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    accept_historical: bool = False,
) -> Signed:
    """Do all of ``load_signed`` but refuse what the policy does not accept: for explanations.

    Args:
        bundle_path, policy, location, cosignatures: As for ``load_signed``.
        accept_historical: Also read bundles that model-signing wrote before version 1.1.

    Returns:
        What was signed, and what the policy requires of it.

    Raises:
        UnsignedError, SignatureError, PolicyFileError, FormatError, LimitError, ReadError: As
            ``load_signed``.
    """
    return inspect_bundle(
        read_bundle(bundle_path, accept_historical=accept_historical),
        bundle_path,
        policy,
        location=location,
        cosignatures=cosignatures,
        accept_historical=accept_historical,
    )


def check_signed(
    data: bytes,
    bundle_path: str,
    policy: Policy,
    *,
    location: str | os.PathLike[str] = "",
    cosignatures: Sequence[str | os.PathLike[str]] = (),
) -> tuple[Manifest, str]:
    """Do all of ``load_signed`` for a bundle that has been fetched and is no file yet.

    Args:
        data: The bundle.
        bundle_path: Where it came from, for messages.
        policy, location, cosignatures: As for ``load_signed``.

    Returns:
        The manifest, and the hint of the key that signed it.

    Raises:
        SignatureError, PolicyError, PolicyFileError, FormatError, LimitError: As ``load_signed``.
    """
    bundle = signing.load_bundle(data, bundle_path)
    signed = inspect_bundle(
        bundle, bundle_path, policy, location=location, cosignatures=cosignatures
    )
    check_requirements(signed.requirements, bundle_path)
    return signed.manifest, signed.key_hint


def inspect_bundle(
    bundle: signing.Bundle,
    bundle_path: str,
    policy: Policy,
    *,
    location: str | os.PathLike[str] = "",
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    accept_historical: bool = False,
) -> Signed:
    """Do all of ``inspect_signed`` for a bundle that has been read.

    Raises:
        UnsignedError: A co-signature is not there.
        SignatureError: No trusted key signed it, or one of the co-signatures.
        PolicyError: The policy trusts nobody.
        PolicyFileError: What was accepted before cannot be found out.
        FormatError, LimitError, ReadError: What was signed, or a co-signature, cannot be read or is
            not what it should be; or there are too many co-signatures.
        DependencyError: A library that the method of a bundle needs is not installed.
    """
    if not policy.keys:
        raise errors.PolicyError(f"{policy.rule} trusts nobody, so that nothing can be verified")
    if len(cosignatures) > limits.MAX_COSIGNATURES:
        raise errors.LimitError(
            f"{len(cosignatures)} co-signatures, above the cap of {limits.MAX_COSIGNATURES}"
        )
    keys = policy.keys
    if accept_historical:
        from pyhash.signing import historical

        keys = historical.accepting(keys)
    verified = signing.verify_envelope(bundle, keys, path=bundle_path)
    signers = [verified.signer]
    for place in [os.fspath(one) for one in cosignatures]:
        other = signing.verify_envelope(read_bundle(place), policy.keys, path=place)
        if other.payload != verified.payload:
            raise errors.SignatureError(f"{place}: over another statement than {bundle_path}")
        signers.append(other.signer)
    manifest = load_statement(
        verified.payload, path=bundle_path, accept_historical=accept_historical
    )
    independent = signing.distinct_signers(signers)
    requirements = judge(
        policy,
        manifest,
        len(independent),
        now=int(time.time()),
        remembered=_remembered(policy, os.fspath(location)),
    )
    hint = verified.signer.fingerprint
    return Signed(manifest, verified.payload, hint, independent, requirements)


def _remembered(policy: Policy, location: str) -> Remembered | None:
    if policy.state is None:
        return None
    from pyhash.policy import recall_release

    return recall_release(policy, location)


def read_bundle(bundle_path: str, *, accept_historical: bool = False) -> signing.Bundle:
    """Read a bundle strictly; nothing of it is checked.

    Args:
        bundle_path: The file.
        accept_historical: Also one that model-signing wrote before version 1.1.

    Raises:
        UnsignedError: There is no such file.
        FormatError, LimitError, ReadError: It cannot be read, or is not what it should be.
    """
    try:
        data = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
    except errors.ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise errors.UnsignedError(
                f"{bundle_path}: no such file: this checkpoint is not signed, or its bundle lies"
                " elsewhere (--signature)"
            ) from error
        raise
    if accept_historical:
        from pyhash.signing import historical

        data = historical.modernize_bundle(data, bundle_path)
    return signing.load_bundle(data, bundle_path)
