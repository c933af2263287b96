# SPDX-License-Identifier: Apache-2.0
"""Key files: every way in which one is wrong to read, and what is left when writing fails."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from pyhash import limits
from pyhash.errors import KeyFileError, UsageError
from pyhash.signing import load_verifier
from pyhash.signing.ecdsa import (
    CURVES,
    PrivateKey,
    PublicKey,
    generate_key,
    load_private_key,
    load_public_key,
    write_key_pair,
)

_OMS = Path(__file__).resolve().parents[1] / "vectors" / "oms"

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8
_TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
_PLAIN = serialization.NoEncryption()
_EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.fixture(scope="module")
def other() -> ec.EllipticCurvePrivateKey:
    """A P-256 key that was not made by the code under test."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def pem_file(tmp_path: Path) -> Callable[..., Path]:
    def write(data: bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "key.pem"
        path.write_bytes(data)
        path.chmod(mode)
        return path

    return write


def _public_pem(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(_PEM, _SPKI)


def test_file_with_the_name_of_a_method(
    other: ec.EllipticCurvePrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a colon makes it a method."""
    monkeypatch.chdir(tmp_path)
    Path("certificate").write_bytes(_public_pem(other.public_key()))
    assert load_verifier("certificate").hint == load_public_key("certificate").hint


# --- reading key files ------------------------------------------------------------------------


@pytest.mark.parametrize("format_", [_PKCS8, _TRADITIONAL])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_load_private_key(
    format_: serialization.PrivateFormat,
    mode: int,
    other: ec.EllipticCurvePrivateKey,
    pem_file: Callable[..., Path],
) -> None:
    pem = other.private_bytes(_PEM, format_, _PLAIN)
    key = load_private_key(pem_file(pem, mode))
    assert key.public_key.pem == _public_pem(other.public_key())


def test_load_private_key_behind_its_parameters(
    other: ec.EllipticCurvePrivateKey, pem_file: Callable[..., Path]
) -> None:
    """What ``openssl ecparam -genkey`` writes."""
    pem = _EC_PARAMETERS + other.private_bytes(_PEM, _TRADITIONAL, _PLAIN)
    assert load_private_key(pem_file(pem)).public_key.pem == _public_pem(other.public_key())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_private_key_that_others_can_reach(
    mode: int, other: ec.EllipticCurvePrivateKey, pem_file: Callable[..., Path]
) -> None:
    path = pem_file(other.private_bytes(_PEM, _PKCS8, _PLAIN), mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600") as caught:
        load_private_key(path)
    assert caught.value.path == str(path)


def _private_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(_PEM, _PKCS8, _PLAIN)


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
_SECRET = serialization.BestAvailableEncryption(b"secret")
_PRIVATE_FAULTS: dict[str, tuple[Callable[[ec.EllipticCurvePrivateKey], bytes], str]] = {
    "empty": (lambda key: b"", "not a PEM file"),
    "text": (lambda key: b"hello\n", "not a PEM file"),
    "public": (lambda key: _public_pem(key.public_key()), "this is a public key"),
    "certificate": (lambda key: _CERTIFICATE, "no private key"),
    "two": (lambda key: _private_pem(key) * 2, "more than one private key"),
    "rsa": (lambda key: _private_pem(_rsa_key()), "not an ECDSA key"),
    "ed25519": (
        lambda key: _private_pem(ed25519.Ed25519PrivateKey.generate()),
        "not an ECDSA key",
    ),
    "koblitz": (
        lambda key: _private_pem(ec.generate_private_key(ec.SECP256K1())),
        "secp256k1; only P-256",
    ),
    "damaged": (lambda key: _private_pem(key).replace(b"M", b"N", 1), "cannot be decoded"),
    "encrypted": (
        lambda key: key.private_bytes(_PEM, _PKCS8, _SECRET),
        "encrypted, and no passphrase",
    ),
    "old encryption": (
        lambda key: key.private_bytes(_PEM, _TRADITIONAL, _SECRET),
        "one round of MD5",
    ),
}


@pytest.mark.parametrize("name", _PRIVATE_FAULTS)
def test_not_a_private_key(
    name: str, other: ec.EllipticCurvePrivateKey, pem_file: Callable[..., Path]
) -> None:
    make, message = _PRIVATE_FAULTS[name]
    path = pem_file(make(other))
    with pytest.raises(KeyFileError, match=message) as caught:
        load_private_key(path)
    assert caught.value.path == str(path)


_PKCS1 = serialization.PublicFormat.PKCS1
_PUBLIC_FAULTS: dict[str, tuple[Callable[[ec.EllipticCurvePrivateKey], bytes], str]] = {
    "empty": (lambda key: b"", "not a PEM file with one PUBLIC KEY"),
    "der": (lambda key: b"0Y0\x13\x06\x07*", "not a PEM file with one PUBLIC KEY"),
    "private": (_private_pem, "this is a private key"),
    "both": (
        lambda key: _public_pem(key.public_key()) + _private_pem(key),
        "this is a private key",
    ),
    "certificate": (lambda key: _CERTIFICATE, "this is a certificate"),
    "two": (lambda key: _public_pem(key.public_key()) * 2, "more than one public key"),
    "pkcs1": (
        lambda key: _rsa_key().public_key().public_bytes(_PEM, _PKCS1),
        "not a PEM file with one PUBLIC KEY",
    ),
    "rsa": (lambda key: _public_pem(_rsa_key().public_key()), "not an ECDSA key"),
    "ed25519": (
        lambda key: _public_pem(ed25519.Ed25519PrivateKey.generate().public_key()),
        "not an ECDSA key",
    ),
    "koblitz": (
        lambda key: _public_pem(ec.generate_private_key(ec.SECP256K1()).public_key()),
        "secp256k1; only P-256",
    ),
    "off the curve": (
        # The last byte of the point is changed; it is no point of the curve any more.
        lambda key: (_OMS / "tiny-model.pub").read_bytes().replace(b"cxIYw==", b"cxIYg=="),
        "cannot be decoded",
    ),
}


@pytest.mark.parametrize("name", _PUBLIC_FAULTS)
def test_not_a_public_key(
    name: str, other: ec.EllipticCurvePrivateKey, pem_file: Callable[..., Path]
) -> None:
    make, message = _PUBLIC_FAULTS[name]
    path = pem_file(make(other), 0o644)
    with pytest.raises(KeyFileError, match=message) as caught:
        load_public_key(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_files_that_cannot_be_read(
    load: Callable[[Path], PrivateKey | PublicKey], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "loop").symlink_to("loop")
    for name, message in {
        "missing": "No such file",
        "folder": "not a regular file",
        "pipe": "not a regular file",
        "loop": "symbolic links",
        "folder/../missing/key": "No such file",
    }.items():
        with pytest.raises(KeyFileError, match=message) as caught:
            load(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)


def test_key_behind_a_link(tmp_path: Path) -> None:
    """Secrets are mounted as links in a cluster; the mode that counts is that of the file."""
    key = generate_key()
    write_key_pair(key, tmp_path / "key", tmp_path / "key.pub")
    (tmp_path / "link").symlink_to("key")
    assert load_private_key(tmp_path / "link").hint == key.hint


def test_size_of_key_files(pem_file: Callable[..., Path]) -> None:
    pem = (_OMS / "tiny-model.pub").read_bytes()
    at_cap = pem.rjust(limits.MAX_KEY_FILE_BYTES, b"\n")
    assert load_public_key(pem_file(at_cap)).pem == pem
    with pytest.raises(KeyFileError, match="larger than 65536 bytes"):
        load_public_key(pem_file(b"\n" + at_cap))


# --- writing key files ------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("curve", CURVES)
def test_write_key_pair(curve: str, mask: int, tmp_path: Path) -> None:
    key = generate_key(curve)
    before = os.umask(mask)
    try:
        write_key_pair(key, tmp_path / "key", str(tmp_path / "key.pub"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "key.pub").stat().st_mode) == 0o644
    assert (tmp_path / "key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    public = load_public_key(tmp_path / "key.pub")
    assert public.curve == curve
    public.verify(b"message", load_private_key(tmp_path / "key").sign(b"message"))


@pytest.mark.parametrize("there", ["key", "key.pub"])
def test_keys_are_never_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_bytes(b"precious")
    with pytest.raises(KeyFileError, match=f"{there}: exists already") as caught:
        write_key_pair(generate_key(), tmp_path / "key", tmp_path / "key.pub")
    assert caught.value.path == str(tmp_path / there)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_keys_are_not_written_through_links(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("elsewhere")
    with pytest.raises(KeyFileError, match="exists already"):
        write_key_pair(generate_key(), tmp_path / "key", tmp_path / "key.pub")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_keys_need_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="two files"):
        write_key_pair(generate_key(), tmp_path / "key", "./key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", ["key", "key.pub"])
def test_folder_that_is_not_there(lost: str, tmp_path: Path) -> None:
    paths = {"key": tmp_path / "key", "key.pub": tmp_path / "key.pub"}
    paths[lost] = tmp_path / "missing" / lost
    with pytest.raises(KeyFileError, match="cannot be written: No such file") as caught:
        write_key_pair(generate_key(), paths["key"], paths["key.pub"])
    assert caught.value.path == str(paths[lost])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing_call", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), KeyFileError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_both_files_or_none(
    failing_call: int,
    fault: BaseException,
    seen: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of the four syncs (file and directory, twice) fails in turn."""
    calls = iter(range(1, 10))
    sync = os.fsync

    def failing_sync(descriptor: int) -> None:
        if next(calls) == failing_call:
            raise fault
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_sync)
    with pytest.raises(seen):
        write_key_pair(generate_key(), tmp_path / "key", tmp_path / "key.pub")
    assert list(tmp_path.iterdir()) == []


def test_everything_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    sync = os.fsync

    def counting_sync(descriptor: int) -> None:
        kinds.append(stat.S_IFMT(os.fstat(descriptor).st_mode))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", counting_sync)
    write_key_pair(generate_key(), tmp_path / "key", tmp_path / "key.pub")
    assert kinds == [stat.S_IFREG, stat.S_IFDIR] * 2
