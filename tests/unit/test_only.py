# SPDX-License-Identifier: Apache-2.0
"""Verifying named files and tensors: what is covered, what is not, and whose word a header is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.guarantees import only
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys, write_shard

SIZE = 2 * SPAN + SPAN // 2  # of the shard


@pytest.fixture
def model(tmp_path: Path) -> Path:
    private, _ = write_keys(tmp_path)
    write_checkpoint(tmp_path / "model")
    pyhash.sign(tmp_path / "model", private)
    return tmp_path / "model"


def verify(model: Path, *names: str) -> pyhash.Verified:
    return pyhash.verify(model, keys=[model.parent / "publisher.pub"], guarantee=only(names))


def covered(proof: pyhash.Verified) -> dict[str, list[list[int]]]:
    found = dict(proof.details)["covered"]
    assert isinstance(found, list)
    return {one["path"]: one["ranges"] for one in found}


def test_a_file(model: Path) -> None:
    proof = verify(model, "config.json")
    assert proof.guarantee == "sampled"
    assert covered(proof) == {"config.json": [[0, 23]]}
    assert proof.size == 23
    details = dict(proof.details)
    assert details["not_covered"] == [SHARD, "sub/caf\u00e9", "sub/empty"]
    assert (details["whole_files"], details["tensors"]) == (["config.json"], [])
    assert "of 3 of 4 files no byte was hashed" in proof.detail


def test_a_tensor_and_the_header_that_says_where_it_is(model: Path) -> None:
    proof = verify(model, "c")
    assert covered(proof) == {SHARD: [[0, SPAN], [2 * SPAN, SIZE]]}
    assert dict(proof.details)["tensors"] == [{"path": SHARD, "name": "c"}]
    assert covered(verify(model, "b")) == {SHARD: [[0, 2 * SPAN]]}
    assert covered(verify(model, "a")) == {SHARD: [[0, SPAN]]}


def test_patterns_and_several_names(model: Path) -> None:
    assert covered(verify(model, "[bc]")) == {SHARD: [[0, SIZE]]}
    assert covered(verify(model, "*.safetensors")) == {SHARD: [[0, SIZE]]}
    both = covered(verify(model, "sub/*", "a"))
    assert both == {SHARD: [[0, SPAN]], "sub/caf\u00e9": [[0, 1]], "sub/empty": []}
    assert covered(verify(model, "a", "a")) == {SHARD: [[0, SPAN]]}


def test_damage_in_what_is_named(model: Path) -> None:
    flip(model / SHARD, SIZE - 1)
    with pytest.raises(errors.DigestMismatchError) as caught:
        verify(model, "c")
    (finding,) = caught.value.findings
    assert [(one.start, one.end, one.tensors) for one in finding.ranges] == [
        (2 * SPAN, SIZE, ("c",))
    ]


def test_damage_elsewhere_is_not_seen_and_not_claimed(model: Path) -> None:
    flip(model / SHARD, SIZE - 1)
    proof = verify(model, "b")
    assert covered(proof) == {SHARD: [[0, 2 * SPAN]]}
    assert verify(model, "config.json").guarantee == "sampled"


def test_a_header_that_was_changed_names_nothing(model: Path) -> None:
    """One that swaps two names would have another tensor's bytes verified."""
    data = bytearray((model / SHARD).read_bytes())
    header = data[8:4096]
    for old, new in ((b'"b"', b'"?"'), (b'"c"', b'"b"'), (b'"?"', b'"c"')):
        header = header.replace(old, new)
    data[8:4096] = header
    (model / SHARD).write_bytes(data)
    with pytest.raises(errors.DigestMismatchError, match="where its header lies") as caught:
        verify(model, "c")
    assert caught.value.findings[0].ranges[0].end == SPAN


def test_a_tensor_in_several_files(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path)
    (tmp_path / "model").mkdir()
    for name in ("one.safetensors", "two.safetensors"):
        write_shard(tmp_path / "model" / name)
    pyhash.sign(tmp_path / "model", private)
    proof = verify(tmp_path / "model", "b")
    assert list(covered(proof)) == ["one.safetensors", "two.safetensors"]


@pytest.mark.parametrize("name", ["d", "nothing.bin", "*.gguf", ""])
def test_nothing_of_that_name(name: str, model: Path) -> None:
    with pytest.raises(errors.UsageError, match="no file and no tensor"):
        verify(model, name)
    with pytest.raises(errors.UsageError, match="no file and no tensor"):
        verify(model, "config.json", name)


def test_arguments() -> None:
    with pytest.raises(errors.UsageError, match="as a list"):
        only("config.json")
    with pytest.raises(errors.UsageError, match="at least one"):
        only([])


def test_tree_file_is_needed(model: Path) -> None:
    os.unlink(model / "model.tree")
    with pytest.raises(errors.ReadError, match=r"model\.tree"):
        verify(model, "config.json")


def test_a_signed_file_without_a_header_has_no_tensors(tmp_path: Path) -> None:
    """A signer whose tool did not look signed a broken header: the others are still found."""
    private, _ = write_keys(tmp_path)
    write_checkpoint(tmp_path / "model")
    (tmp_path / "model/notes.txt").write_bytes(b"GGUF" + bytes(40))
    try:
        pyhash.sign(tmp_path / "model", private)
    except errors.VerificationError:
        pytest.fail("closure looks at headers of weights only, and this file is small text")
    assert covered(verify(tmp_path / "model", "a")) == {SHARD: [[0, SPAN]]}
