# SPDX-License-Identifier: Apache-2.0
"""Keys in a real token (SoftHSM): signed there, verified by us and by the reference tool."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11.exceptions import PKCS11Error

import pyhash
from pyhash import limits, signing
from pyhash.errors import DependencyError, KeyFileError, UsageError
from pyhash.signing.pkcs11 import _find_token
from pyhash.signing.pkcs11_uri import parse_uri
from tests.support import authority, peer, softhsm

TOKEN = "pyhash tests"
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


class Token:
    """A token with one key of each curve, one of RSA, and two that share a label."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.hsm = softhsm.softhsm()
        self.environment = softhsm.make_store(home)
        softhsm.make_token(self.hsm, self.environment, TOKEN)
        keys = {name: ec.generate_private_key(curve) for name, curve in CURVES.items()}
        for number, (label, key) in enumerate(keys.items(), 1):
            self._import(label, f"0{number}", key, f"key{number}")
        self._import("rsa", "0a", rsa.generate_private_key(65537, 2048), "rsa")
        for number in (1, 2):
            twin = ec.generate_private_key(ec.SECP256R1())
            self._import("twin", f"1{number}", twin, f"twin{number}")
        self.pin = home / "pin"
        self.pin.touch(0o600)
        self.pin.write_text(softhsm.PIN + "\n")
        self.keys = keys

    def _import(self, label: str, key_id: str, key: object, name: str) -> None:
        path = authority.write_key(self.home / name, key)
        softhsm.import_key(self.hsm, self.environment, TOKEN, path, label=label, key_id=key_id)

    def uri(self, names: str, query: str | None = None) -> str:
        query = f"&pin-source={self.pin}" if query is None else query
        return f"pkcs11:token=pyhash%20tests;{names}?module-path={self.hsm.module}{query}"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    made = Token(tmp_path_factory.mktemp("token"))
    # Read by the library when it begins: which it does once, unless it is told to begin again.
    with patch.dict(os.environ, made.environment):
        pkcs11.lib(str(made.hsm.module)).reinitialize()
        yield made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "weights.bin").write_bytes(bytes(100_000))
    (directory / "empty").touch()
    return directory


def public_file(token: Token, curve: str, directory: Path) -> Path:
    path = directory / "key.pub"
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = token.keys[curve].public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.mark.parametrize("curve", CURVES)
def test_signed_in_the_token(token: Token, model: Path, tmp_path: Path, curve: str) -> None:
    result = pyhash.sign(model, token.uri(f"object={curve}"))
    public = public_file(token, curve, tmp_path)
    verified = pyhash.verify(model, keys=[public])
    assert verified.key_hint == result.key_hint == signing.load_verifier(public).hint
    done = peer.peer_verify(model, public, Path(result.bundle_path))
    assert done.returncode == 0, done.stderr
    (model / "weights.bin").write_bytes(bytes(99_999) + b"x")
    with pytest.raises(pyhash.VerificationError):
        pyhash.verify(model, keys=[public])


def test_key_by_identifier(token: Token) -> None:
    assert signing.load_signer(token.uri("id=%02")).hint == (
        signing.load_signer(token.uri("object=P-384")).hint
    )


def test_pin_is_asked_for(token: Token) -> None:
    asked = []

    def ask(what: str) -> bytes:
        asked.append(what)
        return softhsm.PIN.encode()

    signer = signing.load_signer(token.uri("object=P-256", ""), passphrase=ask)
    assert signing.verify_envelope(
        signing.sign_payload(b"x", signer),
        [signer.public_key],  # type: ignore[attr-defined]
    )
    assert asked == ["the token pyhash tests"]
    assert softhsm.PIN not in repr(signer)


def test_certificate_of_a_key_in_a_token(token: Token, model: Path, tmp_path: Path) -> None:
    root = authority.ca("root")
    end = authority.leaf(root, key=token.keys["P-256"])
    (tmp_path / "root").write_bytes(root.pem())
    (tmp_path / "leaf").write_bytes(end.pem())
    key = token.uri("object=P-256").replace("%", "%25").replace(";", "%3B")
    pyhash.sign(model, f"certificate:key={key};leaf={tmp_path / 'leaf'}")
    trust = f"certificate:root={tmp_path / 'root'};identity={authority.IDENTITY}"
    assert pyhash.verify(model, keys=[trust])


REFUSED = {
    "no such key": ("object=nobody", None, "holds 0 times the private key"),
    "two keys": ("object=twin", None, "holds 2 times"),
    "RSA": ("object=rsa", None, "not an ECDSA key"),
    "other serial": ("serial=123;object=P-256", None, "0 tokens fit"),
    "other manufacturer": ("manufacturer=x;object=P-256", None, "0 tokens fit"),
    "other model": ("model=x;object=P-256", None, "0 tokens fit"),
    "label of one key, identifier of another": ("object=P-256;id=%02", None, "holds 0 times"),
    "no PIN": ("object=P-256", "", "needs a PIN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(token: Token, name: str) -> None:
    names, query, message = REFUSED[name]
    with pytest.raises(KeyFileError, match=message):
        signing.load_signer(token.uri(names, query))


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        (b"0000", "PinIncorrect"),
        (b"", "empty or too long"),
        (b"\xff", "not UTF-8"),
        (b"1" * (limits.MAX_PASSPHRASE_BYTES + 1), "empty or too long"),
        (b"1" * limits.MAX_PASSPHRASE_BYTES, r"PinIncorrect|PinLenRange"),
        (b"1", r"PinIncorrect|PinLenRange"),
    ],
)
def test_wrong_pin(token: Token, pin: bytes, message: str) -> None:
    with pytest.raises(KeyFileError, match=message):
        signing.load_signer(token.uri("object=P-256", ""), passphrase=lambda _: pin)


def test_pin_file_that_others_read(token: Token, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(softhsm.PIN)
    (tmp_path / "pin").chmod(0o644)
    with pytest.raises(KeyFileError, match="lets others reach"):
        signing.load_signer(token.uri("object=P-256", f"&pin-source=file:{tmp_path / 'pin'}"))


def test_pin_file_inside_the_checkpoint(token: Token, model: Path) -> None:
    (model / "pin").write_text(softhsm.PIN)
    with pytest.raises(UsageError, match="keep keys apart"):
        pyhash.sign(model, token.uri("object=P-256", f"&pin-source={model / 'pin'}"))


def test_library_that_is_none(tmp_path: Path) -> None:
    for module in (tmp_path / "none.so", Path(__file__)):
        with pytest.raises(KeyFileError, match="PKCS11Error"):
            signing.load_signer(
                f"pkcs11:object=a?module-path={module}", passphrase=lambda _: b"1234"
            )


def test_two_tokens_that_fit() -> None:
    """None is chosen; where there is no token, nobody looks."""
    token = SimpleNamespace(label="a", serial=b"1", manufacturer_id="m", model="x")
    slots = [SimpleNamespace(get_token=lambda: token)]

    def library(count: int) -> Any:
        def get_slots(*, token_present: bool) -> list[Any]:
            return slots * count if token_present else []

        return SimpleNamespace(lib=lambda _: SimpleNamespace(get_slots=get_slots))

    uri = parse_uri("token=a;serial=1;manufacturer=m;model=x;object=o?module-path=m")
    assert _find_token(library(1), uri) is token
    with pytest.raises(KeyFileError, match="2 tokens fit"):
        _find_token(library(2), uri)


def test_token_that_lies(token: Token) -> None:
    """A signature is checked before it leaves."""
    signer = signing.load_signer(token.uri("object=P-256"))

    for answer, message in ((b"\1" * 64, "does not hold"), (b"\1" * 63, "63 bytes, not 64")):
        lies = SimpleNamespace(sign=lambda *_, answer=answer, **__: answer)
        with (
            patch("pyhash.signing.pkcs11._only", return_value=lies),
            pytest.raises(KeyFileError, match=message),
        ):
            signer.seal(b"x")


def der(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"no key", "the public key in the token cannot be read"),
        (der(rsa.generate_private_key(65537, 2048)), "not an ECDSA key"),
        (der(ec.generate_private_key(ec.SECP256K1())), "the token: .*curve"),
    ],
)
def test_public_key_that_is_another(token: Token, answer: bytes, message: str) -> None:
    """The token says that it is an elliptic curve's."""
    with (
        patch("pkcs11.util.ec.encode_ec_public_key", return_value=answer),
        pytest.raises(KeyFileError, match=message),
    ):
        signing.load_signer(token.uri("object=P-256"))


@pytest.mark.parametrize(
    ("error", "text"), [(PKCS11Error("why"), "why$"), (PKCS11Error(), "no detail$")]
)
def test_what_the_token_says(token: Token, error: Exception, text: str) -> None:
    with (
        patch("pyhash.signing.pkcs11._only", side_effect=error),
        pytest.raises(KeyFileError, match=f"PKCS11Error: {text}"),
    ):
        signing.load_signer(token.uri("object=P-256"))


def test_serial_number_that_is_no_text() -> None:
    """It fits no URI, and hides no other token."""
    others = {"label": "a", "manufacturer_id": "m", "model": "x"}
    tokens = [SimpleNamespace(serial=serial, **others) for serial in (b"\xff", b"1")]
    slots = [SimpleNamespace(get_token=lambda one=one: one) for one in tokens]
    library: Any = SimpleNamespace(lib=lambda _: SimpleNamespace(get_slots=lambda **_: slots))
    assert _find_token(library, parse_uri("serial=1;object=o?module-path=m")) is tokens[1]


def test_a_token_does_not_verify() -> None:
    with pytest.raises(UsageError, match="give the public key"):
        signing.load_verifier("pkcs11:object=a?module-path=b")


def test_without_the_extra() -> None:
    with patch.dict(sys.modules, {"pkcs11": None}), pytest.raises(DependencyError, match="pkcs11]"):
        signing.load_signer("pkcs11:object=a?module-path=b")


def test_command_line(token: Token, model: Path, tmp_path: Path) -> None:
    """The PIN by descriptor and by a variable that is named; it is nowhere in the output."""
    public = public_file(token, "P-256", tmp_path)
    command = [sys.executable, "-m", "pyhash"]
    sign = [*command, "sign", str(model), "--key", token.uri("object=P-256", "")]
    environment = {**os.environ, "MY_PIN": softhsm.PIN}
    for words, given in (
        (["--passphrase-fd", "0"], softhsm.PIN.encode() + b"\nrest"),
        (["--passphrase-env", "MY_PIN"], b""),
    ):
        done = subprocess.run(
            [*sign, *words], env=environment, input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert softhsm.PIN.encode() not in done.stdout + done.stderr
    done = subprocess.run(
        [*command, "verify", str(model), "--key", str(public)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [*sign, "--passphrase-fd", "0"], env=environment, input=b"wrong", capture_output=True
    )
    assert done.returncode == 3
    assert b"PinIncorrect" in done.stderr
