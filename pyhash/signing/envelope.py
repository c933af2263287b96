# SPDX-License-Identifier: Apache-2.0
"""Signs a payload, and checks who signed one: of a bundle, and of co-signatures beside it.

Only this module makes a ``VerifiedPayload``. It never looks into the payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyhash.errors import FormatError, SignatureError, UsageError
from pyhash.frozen import frozen
from pyhash.signing._base import CERTIFICATE, KEY, SIGSTORE, Identity, Signer, Verifier
from pyhash.signing.bundle import Bundle
from pyhash.signing.dsse import PAYLOAD_TYPE, Envelope
from pyhash.strict_json import show

_SIGNED_BY = {
    KEY: "a plain key (method 'key')",
    CERTIFICATE: "a certificate (method 'certificate')",
    SIGSTORE: "a keyless identity (method 'sigstore')",
}


@frozen
class VerifiedPayload:
    """Bytes over which somebody trusted has made a valid signature.

    Only ``verify_envelope`` constructs one, so that holding one is the proof.

    Attributes:
        payload: The exact bytes that were signed.
        payload_type: Always ``PAYLOAD_TYPE``.
        key: The trusted key or identity that accepted the signature.
        signer: Who signed.
    """

    payload: bytes
    payload_type: str
    key: Verifier
    signer: Identity


def sign_payload(payload: bytes, signer: Signer) -> Bundle:
    """Sign a payload and put it into a bundle. Thread-safe if the signer is.

    Args:
        payload: The exact bytes of the statement.
        signer: What signs.

    Returns:
        The bundle, not written anywhere.

    Raises:
        CheckError: The signer could not sign.
    """
    sealed = signer.seal(payload)
    return Bundle(Envelope(payload, PAYLOAD_TYPE, (sealed.signature,)), sealed.material)


def verify_envelope(
    bundle: Bundle, keys: Sequence[Verifier], *, path: str = "the bundle"
) -> VerifiedPayload:
    """Check the signature over the exact bytes received. Thread-safe.

    The key comes from ``keys`` alone; what the bundle says only chooses among them. The signature
    must hold first, and only then is its type looked at, so that both a changed type and a
    signature made over something else end in a refusal.

    Args:
        bundle: What ``load_bundle`` gave.
        keys: The trusted keys and identities; one of them must have signed.
        path: Where the bundle came from, for messages.

    Returns:
        The payload, now proven to be what somebody trusted signed.

    Raises:
        UsageError: No trusted key was given.
        SignatureError: Nobody trusted made this signature, or it was made over something that is
            not a statement.
        FormatError: The envelope has not exactly one signature.
        DependencyError: A library that the bundle's method needs is not installed.
    """
    if not keys:
        raise UsageError("at least one trusted key is needed to check a signature")
    envelope = bundle.envelope
    if len(envelope.signatures) != 1:
        raise FormatError(
            f"{path}: {len(envelope.signatures)} signatures in one envelope; exactly one is "
            "checked, and co-signatures are bundles of their own",
            path,
        )
    key, signer = _find_signer(bundle, keys, path)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureError(
            f"{path}: the signature holds, but over {show(envelope.payload_type)}, "
            f"not over {PAYLOAD_TYPE!r}"
        )
    return VerifiedPayload(envelope.payload, envelope.payload_type, key, signer)


def verify_cosignatures(
    payload: bytes, bundles: Iterable[Bundle], keys: Sequence[Verifier]
) -> tuple[Identity, ...]:
    """Check every bundle over one payload and count who signed, each signer once. Thread-safe.

    Args:
        payload: The exact bytes that all of them must have signed: those of the first bundle.
        bundles: The first bundle and its co-signatures, in any order.
        keys: The trusted keys and identities.

    Returns:
        Distinct signers, as ``distinct_signers`` has them; its length is what a threshold counts.

    Raises:
        SignatureError: One bundle is by nobody trusted, or over other bytes. None is passed over:
            what lies beside a checkpoint and does not hold is a reason to look.
        FormatError, UsageError, DependencyError: As for ``verify_envelope``.
    """
    found = []
    for number, bundle in enumerate(bundles, 1):
        where = f"signature {number}"
        if bundle.envelope.payload != payload:
            raise SignatureError(f"{where}: over another statement than the first bundle's")
        found.append(verify_envelope(bundle, keys, path=where).signer)
    return distinct_signers(found)


def distinct_signers(signers: Iterable[Identity]) -> tuple[Identity, ...]:
    """Return one of each group of identities that could be the same signer. Pure, thread-safe.

    Two are the same when they have a key in common, or a name that the same issuer vouches for:
    one key in two certificates counts once, and so do two certificates of one person. Identities
    that hang together through a third count once as well.

    Args:
        signers: Proven identities, in any order.

    Returns:
        One of each group. Raises nothing.
    """
    groups: list[list[Identity]] = []
    for signer in signers:
        touching = [group for group in groups if any(_could_be(signer, one) for one in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([*(one for group in touching for one in group), signer])
    return tuple(group[0] for group in groups)


def _could_be(one: Identity, other: Identity) -> bool:
    """Could both be the same signer?"""
    named_alike = (one.kind, one.issuer, one.name) == (other.kind, other.issuer, other.name)
    return one.fingerprint == other.fingerprint or named_alike


def _find_signer(bundle: Bundle, keys: Sequence[Verifier], path: str) -> tuple[Verifier, Identity]:
    """Return who is trusted and made the one signature, or raise SignatureError."""
    material = bundle.material
    trusted = ", ".join(key.hint for key in keys)
    fitting = [key for key in keys if key.kind == material.kind]
    if not fitting:
        raise SignatureError(
            f"{path}: signed by {_SIGNED_BY[material.kind]}, and nothing of that kind is trusted; "
            f"trusted: {trusted}"
        )
    candidates = [key for key in fitting if material.hint in (None, key.hint)]
    if not candidates:
        raise SignatureError(
            f"{path}: made by the key {show(material.hint or '')}, which is not trusted; "
            f"trusted: {trusted}"
        )
    reasons = []
    for key in candidates:
        try:
            return key, key.identify(bundle.envelope, material)
        except SignatureError as error:
            reasons.append(str(error))
    claim = "" if material.hint is None else f" (the bundle names the key {material.hint})"
    why = f": {'; '.join(dict.fromkeys(reasons))}" if material.kind != KEY else ""
    raise SignatureError(
        f"{path}: the signature does not hold for any trusted key{claim}; trusted: {trusted}{why}"
    )
