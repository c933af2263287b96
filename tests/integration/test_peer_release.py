# SPDX-License-Identifier: Apache-2.0
"""Releases travel in bundles that the reference tool of OpenSSF Model Signing still verifies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.cosign_checkpoint import cosign
from pyhash.policy import Policy
from tests.support import mutations, peer

RELEASE = pyhash.Release(int(time.time()), 12, int(time.time()) + 86_400, "acme/modèle")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name, data in {"config.json": b"{}", "weights/a.bin": bytes(range(256))}.items():
        mutations.add_file(tmp_path / "model" / name, data)
    return tmp_path / "model"


@pytest.fixture
def keys(tmp_path: Path) -> peer.KeyPair:
    return peer.make_key_pair(tmp_path / "keys")


def peer_answer(model: Path, public: Path, signature: Path) -> int:
    return peer.peer_verify(model, public, signature).returncode


def test_peer_verifies_a_release(model: Path, keys: peer.KeyPair) -> None:
    signed = pyhash.sign(model, keys.private, release=RELEASE)
    bundle = Path(signed.bundle_path)
    assert pyhash.verify(model, keys=[keys.public]).manifest.release == RELEASE
    assert peer_answer(model, keys.public, bundle) == 0
    mutations.flip_byte(model / "weights/a.bin", 7)
    assert peer_answer(model, keys.public, bundle) == 1


def test_peer_verifies_what_we_refuse_as_expired(model: Path, keys: peer.KeyPair) -> None:
    """The annotation means nothing to it: expiry is ours to enforce, and does not break OMS."""
    release = pyhash.Release(1_000_000_000, expires=1_000_000_001)
    signed = pyhash.sign(model, keys.private, release=release)
    assert peer_answer(model, keys.public, Path(signed.bundle_path)) == 0
    with pytest.raises(errors.PolicyError, match="expires at 2001-09-09T01:46:41Z"):
        pyhash.verify(model, keys=[keys.public])


def test_peer_verifies_a_cosignature(model: Path, keys: peer.KeyPair, tmp_path: Path) -> None:
    """A co-signature is a bundle like any other."""
    pyhash.sign(model, keys.private, release=RELEASE)
    auditor = peer.make_key_pair(tmp_path / "keys", name="auditor")
    output = tmp_path / "auditor.sig"
    cosign(model, auditor.private, output, policy=Policy.from_key_files([keys.public]))
    assert peer_answer(model, auditor.public, output) == 0
    assert peer_answer(model, keys.public, output) == 1


def test_ours_cosigns_a_bundle_of_the_peer(model: Path, keys: peer.KeyPair, tmp_path: Path) -> None:
    signature = model / "model.sig"
    assert peer.peer_sign(model, keys, signature).returncode == 0
    auditor = peer.make_key_pair(tmp_path / "keys", name="auditor")
    output = tmp_path / "auditor.sig"
    cosign(model, auditor.private, output, policy=Policy.from_key_files([keys.public]))
    assert peer_answer(model, auditor.public, output) == 0
    both = Policy.from_key_files([keys.public, auditor.public])
    assert len(pyhash.verify(model, policy=both, cosignatures=[output]).signers) == 2
