# SPDX-License-Identifier: Apache-2.0
"""Runs the reference tool of OpenSSF Model Signing, and makes key pairs for it and for us.

Where the tool is missing every call fails, with the command that installs it: interoperability
that was not tested must not look like interoperability. Imports nothing of pyhash.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.make_peer_env import REPOSITORY, is_ready, peer_program

MAKE_COMMAND = "python tests/support/make_peer_env.py"
TIMEOUT_SECONDS = 120

CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


class PeerMissing(RuntimeError):
    """The reference tool is not installed."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM files of one key pair.

    Attributes:
        curve: A name of CURVES.
        private: PKCS #8, not encrypted, mode 0600.
        public: SubjectPublicKeyInfo.
    """

    curve: str
    private: Path
    public: Path


def make_key_pair(directory: Path, curve: str = "P-256", name: str = "key") -> KeyPair:
    """Write a new key pair as ``<name>.pem`` and ``<name>.pub.pem``.

    Raises:
        FileExistsError: One of the files exists.
    """
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(CURVES[curve])
    pair = KeyPair(curve, directory / f"{name}.pem", directory / f"{name}.pub.pem")
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for path, data, mode in ((pair.private, private, 0o600), (pair.public, public, 0o644)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    return pair


def run_model_signing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the tool's command line to its end.

    Args:
        arguments: What follows ``model_signing``.

    Returns:
        Exit code and output; a refusal is exit code 1, not an exception.

    Raises:
        PeerMissing: The tool is not installed.
        subprocess.TimeoutExpired: It took longer than TIMEOUT_SECONDS.
    """
    if not is_ready():
        raise PeerMissing(f"the peer tool is not installed; in {REPOSITORY} run: {MAKE_COMMAND}")
    return subprocess.run(
        [str(peer_program()), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


def peer_sign(
    model: Path, keys: KeyPair, signature: Path, *options: str | Path
) -> subprocess.CompletedProcess[str]:
    """Sign a directory with the tool's ``sign key``."""
    return run_model_signing(
        *("sign", "key", model, "--private_key", keys.private, "--signature", signature),
        *options,
    )


def peer_verify(
    model: Path, public: Path, signature: Path, *options: str | Path
) -> subprocess.CompletedProcess[str]:
    """Verify a directory with the tool's ``verify key``."""
    return run_model_signing(
        *("verify", "key", model, "--public_key", public, "--signature", signature),
        *options,
    )


_API_SCRIPT = """
import json, sys
import model_signing
how = json.loads(sys.argv[1])
hashing = model_signing.hashing.Config()
if how["method"] == "files":
    hashing.use_file_serialization(hashing_algorithm=how["algorithm"])
else:
    hashing.use_shard_serialization(
        hashing_algorithm=how["algorithm"], shard_size=how["shard_size"]
    )
hashing.set_ignored_paths(paths=how["ignored"])
config = model_signing.signing.Config()
config.use_elliptic_key_signer(private_key=how["key"])
config.set_hashing_config(hashing)
config.sign(how["model"], how["signature"])
"""


def peer_sign_by_api(
    model: Path,
    keys: KeyPair,
    signature: Path,
    *,
    method: str = "files",
    algorithm: str = "sha256",
    shard_size: int = 1_000_000_000,
) -> None:
    """Sign with the tool's library, which can do what its command line cannot.

    Args:
        method: ``files`` or ``shards``.
        algorithm: ``sha256``, ``blake2`` or ``blake3``, in the library's words.
        shard_size: Bytes of a range, for ``shards``.

    Raises:
        PeerMissing: The tool is not installed.
        subprocess.CalledProcessError: It failed.
    """
    if not is_ready():
        raise PeerMissing(f"the peer tool is not installed; in {REPOSITORY} run: {MAKE_COMMAND}")
    how = {
        "method": method,
        "algorithm": algorithm,
        "shard_size": shard_size,
        "key": str(keys.private),
        "model": str(model),
        "signature": str(signature),
        "ignored": [signature.name],
    }
    python = peer_program().with_name("python")
    subprocess.run(
        [str(python), "-c", _API_SCRIPT, json.dumps(how)],
        capture_output=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
