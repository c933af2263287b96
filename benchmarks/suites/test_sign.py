# SPDX-License-Identifier: Apache-2.0
"""Signing a checkpoint in the page cache, with whole-file digests and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyhash
from pyhash.signing import ecdsa


@pytest.mark.parametrize("file_digests", [True, False])
def test_sign(file_digests: bool, files: Any, measure: Any, tmp_path: Path) -> None:
    key, public = str(tmp_path / "k.key"), str(tmp_path / "k.pub")
    ecdsa.write_key_pair(ecdsa.generate_key("P-256"), key, public)
    places = {"signature": tmp_path / "model.sig", "tree": tmp_path / "model.tree"}
    found = measure(
        lambda: pyhash.sign(files.directory, key, file_digests=file_digests, **places),
        size=files.size,
        cache="warm",
        file_digests=file_digests,
    )
    if file_digests:
        assert tuple(shard.file_digest for shard in found.manifest.shards) == files.digests
    proof = pyhash.verify(files.directory, keys=[public], **places)
    assert proof.root == found.root
