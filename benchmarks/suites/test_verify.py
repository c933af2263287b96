# SPDX-License-Identifier: Apache-2.0
"""Verifying a checkpoint in the page cache; a copy with one other bit must be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyhash
from pyhash.processors import usable_processors
from pyhash.signing import ecdsa


@pytest.mark.parametrize("threads", sorted({1, usable_processors(), 2 * usable_processors()}))
def test_verify(threads: int, files: Any, measure: Any, tmp_path: Path) -> None:
    key, public = str(tmp_path / "k.key"), str(tmp_path / "k.pub")
    ecdsa.write_key_pair(ecdsa.generate_key("P-256"), key, public)
    places = {"signature": tmp_path / "model.sig", "tree": tmp_path / "model.tree"}
    signed = pyhash.sign(files.directory, key, **places)
    options = pyhash.Options(threads=threads)
    found = measure(
        lambda: pyhash.verify(files.directory, keys=[public], options=options, **places),
        size=files.size,
        cache="warm",
        threads=threads,
    )
    assert found.root == signed.root
    flip_last_bit(files.paths[-1])
    try:
        with pytest.raises(pyhash.VerificationError):
            pyhash.verify(files.directory, keys=[public], options=options, **places)
    finally:
        flip_last_bit(files.paths[-1])


def flip_last_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
