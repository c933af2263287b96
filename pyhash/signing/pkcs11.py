# SPDX-License-Identifier: Apache-2.0
"""Keys inside tokens (PKCS #11): signing with an ECDSA key that never leaves its token.

The reference is a ``pkcs11:`` URI. Verifying needs no token: it takes the public key, as for any
other key. Needs the extra ``[pkcs11]``, which is imported when a token is opened.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from pyhash import limits
from pyhash.errors import DependencyError, KeyFileError, SignatureError, UsageError
from pyhash.signing._base import KEY, AskSecret, Material, Sealed, SigningMethod
from pyhash.signing.dsse import PAYLOAD_TYPE, pae
from pyhash.signing.ecdsa import PublicKey, public_key
from pyhash.signing.pem_files import read_key_file
from pyhash.signing.pkcs11_uri import KeyUri, parse_uri

if TYPE_CHECKING:
    from types import ModuleType

_DIGESTS = {"P-256": hashlib.sha256, "P-384": hashlib.sha384, "P-521": hashlib.sha512}
_COORDINATE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66}


# Being logged in belongs to a process and not to a session, so conversations take turns.
_CONVERSATION = threading.Lock()


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A private key in a token, which is spoken to for every signature. Immutable, thread-safe.

    Attributes:
        public_key: The matching public key.
    """

    public_key: PublicKey
    _uri: KeyUri = field(repr=False)
    _pin: str = field(repr=False)

    @property
    def hint(self) -> str:
        """Hint of the matching public key, 64 lowercase hex digits. Raises nothing."""
        return self.public_key.hint

    def seal(self, payload: bytes) -> Sealed:
        """Sign a payload; see ``Signer``.

        Raises:
            KeyFileError: The token refused, went away, or signed something else.
        """
        message = pae(PAYLOAD_TYPE, payload)
        signature = self._sign(message)
        try:
            self.public_key.verify(message, signature)
        except SignatureError as error:
            raise KeyFileError(f"the token made a signature that does not hold: {error}") from error
        return Sealed(signature, Material(KEY, hint=self.hint))

    def _sign(self, message: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        curve = self.public_key.curve
        digest = _DIGESTS[curve](message).digest()
        with _session(self._uri, self._pin) as (library, session):
            key = _only(session, _template(library, self._uri, "PRIVATE_KEY"), "private key")
            raw = key.sign(digest, mechanism=library.Mechanism.ECDSA)
        length = _COORDINATE_BYTES[curve]
        if len(raw) != 2 * length:
            raise KeyFileError(f"the token made a signature of {len(raw)} bytes, not {2 * length}")
        r, s = int.from_bytes(raw[:length], "big"), int.from_bytes(raw[length:], "big")
        return encode_dss_signature(r, s)


def load_signer(rest: str, passphrase: AskSecret | None = None) -> TokenKey:
    """Open a session with a token and find a key. Safe to call from any thread.

    Args:
        rest: What stands behind ``pkcs11:``.
        passphrase: Asked for the PIN, unless ``pin-source`` names a file.

    Raises:
        UsageError: The URI makes no sense.
        DependencyError: The extra is not installed.
        KeyFileError: No such library, token or key, or several; a wrong PIN; a key of another kind.
    """
    uri = parse_uri(rest)
    _library()  # said before anybody is asked for a PIN
    pin = _read_pin(uri, passphrase)
    with _session(uri, pin) as (library, session):
        _only(session, _template(library, uri, "PRIVATE_KEY"), "private key")
        public = _only(session, _template(library, uri, "PUBLIC_KEY"), "public key")
        return TokenKey(_public_key(public), uri, pin)


def load_verifier(rest: str) -> NoReturn:
    """Refuse: whoever verifies has a public key and no token.

    Raises:
        UsageError: Always.
    """
    raise UsageError("pkcs11: a token signs; to verify, give the public key as a PEM file")


def _library() -> ModuleType:
    try:
        import pkcs11
    except ImportError as error:
        raise DependencyError(
            "keys in tokens need python-pkcs11: pip install 'pyhash-checkpoint[pkcs11]'"
        ) from error
    return pkcs11


@contextmanager
def _session(uri: KeyUri, pin: str) -> Iterator[tuple[ModuleType, Any]]:
    """Log in, and out at the end; the library's exceptions, often without a text, become ours."""
    library = _library()
    try:
        with _CONVERSATION, _find_token(library, uri).open(user_pin=pin) as session:
            yield library, session
    except library.exceptions.PKCS11Error as error:
        name = type(error).__name__
        detail = str(error) or "no detail"
        raise KeyFileError(f"the token of {uri.module}: {name}: {detail}") from error


def _template(library: ModuleType, uri: KeyUri, kind: str) -> dict[Any, Any]:
    attribute = library.Attribute
    found = {attribute.LABEL: uri.label, attribute.ID: uri.key_id}
    found[attribute.CLASS] = library.ObjectClass[kind]
    return {name: value for name, value in found.items() if value is not None}


def _find_token(library: ModuleType, uri: KeyUri) -> Any:
    found = []
    for slot in library.lib(uri.module).get_slots(token_present=True):
        token = slot.get_token()
        pairs = (
            (uri.token, token.label),
            (uri.serial, token.serial.decode("utf-8", "replace")),
            (uri.manufacturer, token.manufacturer_id),
            (uri.model, token.model),
        )
        if all(wanted in (None, actual) for wanted, actual in pairs):
            found.append(token)
    if len(found) != 1:
        raise KeyFileError(f"{uri.module}: {len(found)} tokens fit the URI, not one")
    return found[0]


def _only(session: Any, template: dict[Any, Any], what: str) -> Any:
    found = list(session.get_objects(template))
    if len(found) != 1:
        raise KeyFileError(f"the token holds {len(found)} times the {what} of the URI, not once")
    return found[0]


def _read_pin(uri: KeyUri, passphrase: AskSecret | None) -> str:
    if uri.pin_file is not None:
        secret = read_key_file(uri.pin_file, private=True).removesuffix(b"\n")
    elif passphrase is not None:
        secret = passphrase(f"the token {uri.token or uri.module}")
    else:
        raise KeyFileError(f"{uri.module}: the token needs a PIN, and none is given (pin-source)")
    if not 0 < len(secret) <= limits.MAX_PASSPHRASE_BYTES:
        raise KeyFileError(f"{uri.module}: the PIN is empty or too long")
    try:
        return secret.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFileError(f"{uri.module}: the PIN is not UTF-8") from None


def _public_key(found: Any) -> PublicKey:
    """Read a public key out of the token, in the DER that the library makes of it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from pkcs11 import KeyType
    from pkcs11.util.ec import encode_ec_public_key

    if found.key_type != KeyType.EC:
        raise KeyFileError("the key in the token is not an ECDSA key")
    try:
        key = load_der_public_key(encode_ec_public_key(found))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"the public key in the token cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise KeyFileError("the key in the token is not an ECDSA key")
    return public_key(key, "the token")


def _files(rest: str) -> tuple[str, ...]:
    uri = parse_uri(rest)
    return () if uri.pin_file is None else (uri.pin_file,)


METHOD = SigningMethod(
    scheme="pkcs11", load_signer=load_signer, load_verifier=load_verifier, files=_files
)
