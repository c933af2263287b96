# SPDX-License-Identifier: Apache-2.0
"""The tree file is believed only where its nodes fold to a signed root."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyhash
from pyhash import errors, signed_tree
from pyhash.opening import Opened, given_policy, open_checkpoint
from tests import reference
from tests.unit._signed import flip, write_keys

SPAN = 1 << 20


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    private, public = write_keys(tmp_path, "signer")
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.bin").write_bytes(bytes(range(256)) * (3 * SPAN // 256))
    (model / "b.bin").write_bytes(b"")
    pyhash.sign(model, private)
    return open_checkpoint(model, given_policy(model, None, [public], (), None), guarantee=None)


def test_nodes_are_those_of_the_reference(opened: Opened) -> None:
    nodes = signed_tree.require_signed_nodes(opened.manifest, opened.tree_path)
    data = bytes(range(256)) * (3 * SPAN // 256)
    spans = [reference.shard_root(data[at : at + SPAN]) for at in range(0, 3 * SPAN, SPAN)]
    assert [bytes(one) for one in nodes] == [b"".join(spans), b""]
    assert signed_tree.load_signed_nodes(opened.manifest, opened.tree_path) == nodes


def test_nodes_that_fold_to_something_else_are_no_answer(opened: Opened) -> None:
    flip(Path(opened.tree_path), 40)
    with pytest.raises(errors.FormatError, match=r"a\.bin do not fold to the signed root"):
        signed_tree.require_signed_nodes(opened.manifest, opened.tree_path)


def test_no_tree_file(opened: Opened) -> None:
    Path(opened.tree_path).unlink()
    assert signed_tree.load_signed_nodes(opened.manifest, opened.tree_path) == ()
    with pytest.raises(errors.ReadError, match=r"model\.tree"):
        signed_tree.require_signed_nodes(opened.manifest, opened.tree_path)
