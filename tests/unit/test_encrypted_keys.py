# SPDX-License-Identifier: Apache-2.0
"""Private keys under a passphrase, and where a passphrase may come from."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pyhash import limits
from pyhash.cli import secrets
from pyhash.errors import KeyFileError, UsageError
from pyhash.signing import load_signer
from pyhash.signing.ecdsa import generate_key, load_private_key, write_key_pair

SECRET = b"correct horse \xc3\xa9"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    write_key_pair(generate_key(), tmp_path / "k.key", tmp_path / "k.pub", SECRET)
    return tmp_path / "k.key"


def test_encrypted_key(key: Path) -> None:
    """Asked once, by name; and other readers of PKCS #8 agree on the format."""
    asked = []

    def ask(what: str) -> bytes:
        asked.append(what)
        return SECRET

    assert load_private_key(key, ask).hint == load_signer(str(key), passphrase=ask).hint
    assert asked == [str(key)] * 2
    assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    serialization.load_pem_private_key(key.read_bytes(), SECRET)
    assert key.stat().st_mode & 0o777 == 0o600


def test_openssl_reads_it(key: Path) -> None:
    done = subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-passin", "stdin", "-noout"],
        input=SECRET,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("secret", "message"),
    [(b"wrong", "is the passphrase right"), (b"", "the passphrase empty")],
)
def test_wrong_passphrase(key: Path, secret: bytes, message: str) -> None:
    with pytest.raises(KeyFileError, match=message) as caught:
        load_private_key(key, lambda _: secret)
    assert "horse" not in str(caught.value)


def test_nobody_to_ask(key: Path) -> None:
    with pytest.raises(KeyFileError, match="no passphrase is given"):
        load_private_key(key)


def test_not_asked_for_a_plain_key(tmp_path: Path) -> None:
    write_key_pair(generate_key(), tmp_path / "k.key", tmp_path / "k.pub")

    def ask(_: str) -> bytes:
        raise AssertionError("asked")

    load_private_key(tmp_path / "k.key", ask)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_encrypted_and_open_to_others(key: Path, mode: int) -> None:
    key.chmod(mode)
    with pytest.raises(KeyFileError, match="lets others reach"):
        load_private_key(key, lambda _: SECRET)


def test_old_encryption_is_refused(tmp_path: Path) -> None:
    """One round of MD5: the right passphrase changes nothing."""
    path = tmp_path / "old"
    path.touch(0o600)
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(SECRET),
        )
    )
    with pytest.raises(KeyFileError, match=r"one round of MD5.*openssl pkcs8 -topk8"):
        load_private_key(path, lambda _: SECRET)


@pytest.mark.parametrize("length", [0, limits.MAX_PASSPHRASE_BYTES + 1])
def test_passphrases_that_cannot_be(tmp_path: Path, length: int) -> None:
    with pytest.raises(UsageError, match="a passphrase has 1 to 1023 bytes"):
        write_key_pair(generate_key(), tmp_path / "a", tmp_path / "b", b"x" * length)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [1, limits.MAX_PASSPHRASE_BYTES])
def test_shortest_and_longest_passphrase(tmp_path: Path, length: int) -> None:
    write_key_pair(generate_key(), tmp_path / "a", tmp_path / "b", b"x" * length)
    load_private_key(tmp_path / "a", lambda _: b"x" * length)


# --- where it comes from --------------------------------------------------------------------------


def from_descriptor(data: bytes) -> bytes:
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    try:
        return secrets.asker(read, None)("x")
    finally:
        os.close(read)


@pytest.mark.parametrize(
    "data", [SECRET, SECRET + b"\n", SECRET + b"\nmore\n", b"x" * limits.MAX_PASSPHRASE_BYTES]
)
def test_first_line_of_a_descriptor(data: bytes) -> None:
    assert from_descriptor(data) == data.split(b"\n")[0]


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * (limits.MAX_PASSPHRASE_BYTES + 1)])
def test_descriptor_without_a_passphrase(data: bytes) -> None:
    with pytest.raises(KeyFileError, match="1 to 1023 bytes"):
        from_descriptor(data)


def test_descriptor_that_is_none() -> None:
    with pytest.raises(KeyFileError, match="cannot be read from descriptor 999"):
        secrets.asker(999, None)("x")


def test_only_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "secret")
    assert secrets.asker(None, "MINE")("x") == b"secret"
    with pytest.raises(KeyFileError, match="in the variable OTHER: not set"):
        secrets.asker(None, "OTHER")("x")


def test_not_both() -> None:
    with pytest.raises(UsageError, match="not both"):
        secrets.asker(0, "MINE")


def run(
    *words: object, given: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pyhash", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        input=given,
        capture_output=True,
        check=False,
    )


def test_command_line(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "w.bin").write_bytes(b"w")
    name = tmp_path / "publisher"
    made = run("keygen", name, "--encrypt", "--passphrase-fd", 0, given=SECRET)
    assert made.returncode == 0, made.stderr
    sign = ("sign", model, "--key", f"{name}.key")
    done = run(*sign, "--passphrase-env", "MINE", MINE="wrong")
    assert (done.returncode, (model / "model.sig").exists()) == (3, False)
    done = run(*sign, "--passphrase-env", "MINE", MINE=SECRET.decode())
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    done = run("verify", model, "--key", f"{name}.pub")
    assert done.returncode == 0, done.stderr
    for words in (("--passphrase-fd", 0, "--passphrase-env", "MINE"), ("--passphrase", "x")):
        assert run(*sign, *words).returncode == 2
    assert run("keygen", tmp_path / "k", "--passphrase-fd", 0, given=SECRET).returncode == 2
    assert not (tmp_path / "k.key").exists()


def test_no_terminal_to_ask_on(tmp_path: Path) -> None:
    """Without a terminal standard input is not read for a secret, and nothing waits."""
    command = [sys.executable, "-m", "pyhash", "keygen", str(tmp_path / "k"), "--encrypt"]
    done = subprocess.run(command, input=b"a\na\n", capture_output=True, start_new_session=True)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"error: the passphrase of ")
    assert b"no terminal; give --passphrase-fd or --passphrase-env" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_asked_on_a_terminal(tmp_path: Path) -> None:
    """Twice for a new key, without an echo."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pyhash", "keygen", str(tmp_path / "k"), "--encrypt"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        for question in (b"Passphrase of", b"Repeat for confirmation"):
            while question not in shown:
                shown += os.read(ours, 4096)
            os.write(ours, b"secret\n")
        with contextlib.suppress(OSError):  # EIO at the end
            while block := os.read(ours, 4096):
                shown += block
        assert process.wait(30) == 0, shown
    os.close(ours)
    assert b"secret\r" not in shown
    key = serialization.load_pem_private_key((tmp_path / "k.key").read_bytes(), b"secret")
    assert isinstance(key, ec.EllipticCurvePrivateKey)


def test_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked twice for a new key, on standard error, and not shown."""
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)

    @click.command()
    def command() -> None:
        click.echo(secrets.asker(None, None, confirm=True)("k.key").decode()[::-1])

    done = CliRunner().invoke(command, input="secret\nsecret\n")
    assert "terces" in done.output
    assert "Passphrase of k.key" in done.output
