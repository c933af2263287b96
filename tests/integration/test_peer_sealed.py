# SPDX-License-Identifier: Apache-2.0
"""fs-verity digests travel in bundles that the reference tool of OpenSSF Model Signing verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyhash
from pyhash import guarantees
from tests.support import mutations, peer
from tests.support.verity_kernel import VerityKernel


def test_peer_verifies_a_sealed_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, keys = tmp_path / "model", peer.make_key_pair(tmp_path / "keys")
    for name, data in {"config.json": b"{}", "weights/a.bin": bytes(5000), "empty": b""}.items():
        mutations.add_file(model / name, data)
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.ioctl", VerityKernel().ioctl)
        signed = pyhash.sign(model, keys.private, seal=True)
        proof = pyhash.verify(model, keys=[keys.public], guarantee=guarantees.KERNEL)
    assert all(shard.verity for shard in proof.manifest.shards)
    bundle = Path(signed.bundle_path)
    assert peer.peer_verify(model, keys.public, bundle).returncode == 0
    mutations.flip_byte(model / "weights/a.bin", 7)
    assert peer.peer_verify(model, keys.public, bundle).returncode == 1
