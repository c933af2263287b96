# SPDX-License-Identifier: Apache-2.0
"""Keyless signatures (OMS method ``sigstore``): who signed is an identity, and a log remembers it.

Verifying is offline: the trusted root is a file of the verifier's, and nothing is fetched, neither
here nor by the library. Signing talks to the authority and the log that a trust configuration
names. Needs the extra ``[sigstore]``, which is imported when it is used.

A reference for verifying is ``sigstore:root=trusted_root.json;identity=NAME;issuer=URL``; one for
signing is ``sigstore:config=trust_config.json;token-file=F``.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass, field
from typing import Any

from pyhash import limits
from pyhash.errors import DependencyError, KeyFileError, SignatureError, UsageError
from pyhash.signing import references
from pyhash.signing._base import SIGSTORE, AskSecret, Identity, Material, Sealed, SigningMethod
from pyhash.signing.bundle import Bundle, dump_bundle, load_bundle
from pyhash.signing.dsse import PAYLOAD_TYPE, Envelope
from pyhash.signing.pem_files import read_key_file
from pyhash.strict_json import show

SCHEME = "sigstore"
_SIGNER_PARAMETERS = ("config", "token-file")
_VERIFIER_PARAMETERS = ("root", "identity", "issuer")


@dataclass(frozen=True, slots=True)
class SigstoreVerifier:
    """One identity, vouched for by one issuer, under one trusted root. Immutable, thread-safe.

    Attributes:
        identity: Exactly the name in the certificate: a mail address or the URI of a workflow.
        issuer: Exactly the address of the OpenID Connect issuer.
    """

    identity: str
    issuer: str
    _verifier: Any = field(repr=False, compare=False)

    @property
    def kind(self) -> str:
        """The kind of material that it checks. Raises nothing."""
        return SIGSTORE

    @property
    def hint(self) -> str:
        """Whom it trusts, in words. Raises nothing."""
        return f"{self.identity} by {self.issuer}"

    def identify(self, envelope: Envelope, material: Material) -> Identity:
        """Check certificate, log entry, signature and identity; see ``Verifier``.

        The library gets the values that were parsed here, written anew, so that there is no second
        reading of the file; what it says was signed must be this very payload.

        Raises:
            SignatureError: Something does not hold.
        """
        errors, policies = _import("sigstore.errors"), _import("sigstore.verify.policy")
        models = _import("sigstore.models")
        text = dump_bundle(Bundle(envelope, material))
        policy = policies.Identity(identity=self.identity, issuer=self.issuer)
        try:
            found = models.Bundle.from_json(text)
            payload_type, payload = self._verifier.verify_dsse(found, policy)
        except (errors.Error, *_BROKEN_MATERIAL) as error:
            raise SignatureError(f"sigstore: {error}") from error
        if (payload_type, payload) != (envelope.payload_type, envelope.payload):
            raise SignatureError("sigstore: the library checked other bytes than these")
        mark = f"{self.issuer}\n{self.identity}".encode()
        return Identity(SIGSTORE, self.identity, hashlib.sha256(mark).hexdigest(), self.issuer)


# What the library lets through, besides its own errors, when a certificate or an entry in a bundle
# is damaged.
_BROKEN_MATERIAL = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class SigstoreSigner:
    """An identity token and the services that make a signature of it. Immutable, thread-safe.

    Attributes:
        identity: The name in the token.
        issuer: Who issued the token.
    """

    identity: str
    issuer: str
    _context: Any = field(repr=False, compare=False)
    _token: Any = field(repr=False, compare=False)

    @property
    def hint(self) -> str:
        """A digest of issuer and name. Raises nothing."""
        return hashlib.sha256(f"{self.issuer}\n{self.identity}".encode()).hexdigest()

    def seal(self, payload: bytes) -> Sealed:
        """Sign a payload; see ``Signer``. Uses the network.

        Raises:
            KeyFileError: A service could not be reached or refused.
        """
        dsse, errors = _import("sigstore.dsse"), _import("sigstore.errors")
        requests = _import("requests")
        try:
            with self._context.signer(self._token) as signer:
                made = signer.sign_dsse(dsse.Statement(payload))
        except (errors.Error, requests.RequestException) as error:
            raise KeyFileError(f"sigstore: not signed: {type(error).__name__}: {error}") from error
        bundle = load_bundle(made.to_json().encode("utf-8"), "what sigstore made")
        if (bundle.envelope.payload, bundle.envelope.payload_type) != (payload, PAYLOAD_TYPE):
            raise KeyFileError("sigstore: the library signed other bytes than these")
        return Sealed(bundle.envelope.signatures[0], bundle.material)


def load_verifier(rest: str) -> SigstoreVerifier:
    """Load a trusted root. Safe to call from any thread; uses no network.

    Args:
        rest: What stands behind ``sigstore:``, with ``root``, ``identity`` and ``issuer``.

    Raises:
        UsageError: A parameter is missing or unknown.
        DependencyError: The extra is not installed.
        KeyFileError: The trusted root cannot be read.
    """
    given = references.parse_parameters(rest, _VERIFIER_PARAMETERS, scheme=SCHEME)
    name = references.needed_value(given, "root", scheme=SCHEME)
    identity = references.needed_value(given, "identity", scheme=SCHEME)
    issuer = references.needed_value(given, "issuer", scheme=SCHEME)
    data = read_key_file(name, private=False, max_bytes=limits.MAX_TRUST_ROOT_BYTES)
    models, verify = _import("sigstore.models"), _import("sigstore.verify")
    trust = _import("sigstore_models.trustroot.v1")
    errors = _import("sigstore.errors")
    try:
        root = models.TrustedRoot(trust.TrustedRoot.from_json(data))
        # Now, and not when a checkpoint waits: are there keys of the log and certificates in it?
        root.get_fulcio_certs()
        verifier = verify.Verifier(trusted_root=root)
    except (errors.Error, *_BROKEN_MATERIAL) as error:
        raise KeyFileError(f"{name}: no usable trusted root: {_short(error)}", name) from error
    return SigstoreVerifier(identity, issuer, verifier)


def load_signer(rest: str, passphrase: AskSecret | None = None) -> SigstoreSigner:
    """Load a trust configuration and an identity token. Safe to call from any thread.

    Args:
        rest: What stands behind ``sigstore:``, with ``config``, and ``token-file`` unless
            ``passphrase`` gives the token.
        passphrase: Asked for the token.

    Raises:
        UsageError: A parameter is missing or unknown.
        DependencyError: The extra is not installed.
        KeyFileError: A file cannot be read, or holds no valid configuration or token.
    """
    given = references.parse_parameters(rest, _SIGNER_PARAMETERS, scheme=SCHEME)
    name = references.needed_value(given, "config", scheme=SCHEME)
    token_file = references.one_value(given, "token-file", scheme=SCHEME)
    data = read_key_file(name, private=False, max_bytes=limits.MAX_TRUST_ROOT_BYTES)
    if token_file is not None:
        secret = read_key_file(token_file, private=True)
    elif passphrase is not None:
        secret = passphrase("the identity token")
    else:
        raise UsageError(f"{SCHEME}: no identity token: give token-file=FILE")
    models, sign, oidc = (_import(f"sigstore.{one}") for one in ("models", "sign", "oidc"))
    errors = _import("sigstore.errors")
    try:
        config = models.ClientTrustConfig.from_json(data)
        context = sign.SigningContext.from_trust_config(config)
    except (errors.Error, *_BROKEN_MATERIAL) as error:
        raise KeyFileError(f"{name}: no usable trust configuration: {_short(error)}") from error
    try:
        token = oidc.IdentityToken(secret.decode("ascii").strip())
    except (errors.Error, oidc.IdentityError, *_BROKEN_MATERIAL) as error:
        raise KeyFileError(f"sigstore: no usable identity token: {_short(error)}") from error
    return SigstoreSigner(token.identity, token.issuer, context, token)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            "keyless signatures need sigstore: pip install 'pyhash-checkpoint[sigstore]'"
        ) from error


def _short(error: Exception) -> str:
    return show(str(error) or type(error).__name__)


def _files(rest: str) -> tuple[str, ...]:
    names = (*_SIGNER_PARAMETERS, *_VERIFIER_PARAMETERS)
    given = references.parse_parameters(rest, names, scheme=SCHEME)
    return (*given["root"], *given["config"], *given["token-file"])


METHOD = SigningMethod(
    scheme=SCHEME, load_signer=load_signer, load_verifier=load_verifier, files=_files
)
