# SPDX-License-Identifier: Apache-2.0
"""The tree file is not signed. Whatever stands in it, the answer is the same; only where the
damage is may be lost, and it is never told wrongly."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import pyhash
from pyhash import hashing, tree_file
from pyhash.errors import DigestMismatchError, UnexpectedFileError
from tests.attacks._stage import Stage
from tests.support import mutations as do
from tests.support.attacks import make_victim

HEADER = struct.Struct(">12sIQQ")
U64 = (1 << 64) - 1
Lie = Callable[[Stage], None]


@pytest.fixture
def stage(large_stage: Stage) -> Stage:
    """Spans matter here."""
    return large_stage


def _write_header(*fields: object) -> Lie:
    def lie(stage: Stage) -> None:
        data = bytearray(stage.tree.read_bytes())
        HEADER.pack_into(data, 0, *fields)
        stage.tree.write_bytes(data)

    return lie


def _change(change: Callable[[bytes], bytes]) -> Lie:
    return lambda stage: _replace(stage.tree, change(stage.tree.read_bytes())) and None


def _replace(path: Path, data: bytes) -> int:
    return path.write_bytes(data)


def _of_another_checkpoint(stage: Stage) -> None:
    other = make_victim(stage.home / "other", seed=1)
    pyhash.sign(other, stage.key)
    (other / "model.tree").replace(stage.tree)


def _of_what_is_there_now(stage: Stage) -> None:
    """The attacker's own: it fits the damaged files, and so says that nothing is damaged."""
    digests = hashing.hash_checkpoint(stage.model).shards
    stage.tree.write_bytes(tree_file.dump_tree([digest.span_nodes for _, digest in digests]))


LIES: dict[str, Lie] = {
    "missing": lambda stage: stage.tree.unlink(),
    "empty": _change(lambda data: b""),
    "truncated_in_header": _change(lambda data: data[:20]),
    "truncated": _change(lambda data: data[:-1]),
    "too_long": _change(lambda data: data + b"\0"),
    "zeros": _change(lambda data: data[: HEADER.size] + bytes(len(data) - HEADER.size)),
    "nodes_rotated": _change(lambda data: data[:32] + data[64:] + data[32:64]),
    "other_magic": _change(lambda data: b"P" + data[1:]),
    "other_version": _write_header(tree_file.MAGIC, 2, 12, 9),
    "no_shards": _write_header(tree_file.MAGIC, 1, 0, 0),
    "huge_counts": _write_header(tree_file.MAGIC, 1, U64, U64),
    "huge_node_count": _write_header(tree_file.MAGIC, 1, 12, U64 // 32),
    "of_another_checkpoint": _of_another_checkpoint,
    "of_what_is_there_now": _of_what_is_there_now,
    "sparse_and_huge": lambda stage: os.truncate(stage.tree, (1 << 30) + 1),
}
IN_PLACE = [name for name in LIES if name != "of_what_is_there_now"]


@pytest.mark.parametrize("name", LIES)
def test_damage_is_refused(name: str, stage: Stage) -> None:
    do.flip_byte(stage.model / do.SHARD_2, do.SPAN_BYTES + 7)
    LIES[name](stage)
    error = stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_2)
    assert isinstance(error, DigestMismatchError)
    (finding,) = error.findings
    assert finding.ranges == ()
    assert "no usable tree file" in finding.message


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_is_whole_verifies(name: str, stage: Stage) -> None:
    LIES[name](stage)
    stage.expect_verified()


def test_true_tree_file_tells_where(stage: Stage) -> None:
    do.flip_byte(stage.model / do.SHARD_2, do.SPAN_BYTES + 7)
    error = stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_2)
    assert isinstance(error, DigestMismatchError)
    ((start, end),) = [(one.start, one.end) for one in error.findings[0].ranges]
    assert (start, end) == (do.SPAN_BYTES, 2 * do.SPAN_BYTES)


def test_one_lie_about_one_shard_costs_only_that_one(stage: Stage) -> None:
    # Nodes follow in byte order of path; of the victim's files only the shards have three spans.
    for name in (do.SHARD_1, do.SHARD_2):
        do.flip_byte(stage.model / name, 2 * do.SPAN_BYTES)
    paths = sorted(path.relative_to(stage.model).as_posix() for path in stage.model.rglob("*")
                   if path.is_file() and path.name not in ("model.sig", "model.tree"))  # fmt: skip
    offset = HEADER.size
    for path in paths:
        if path == do.SHARD_1:
            break
        offset += 32 * -(-(stage.model / path).stat().st_size // do.SPAN_BYTES)
    do.flip_byte(stage.tree, offset)
    error = stage.expect_refused(DigestMismatchError, code="digest", path=do.SHARD_1)
    assert isinstance(error, DigestMismatchError)
    ranges = {one.path: one.ranges for one in error.findings}
    assert ranges[do.SHARD_1] == ()
    assert [one.start for one in ranges[do.SHARD_2]] == [2 * do.SPAN_BYTES]


def test_link_to_a_good_tree_file(stage: Stage) -> None:
    do.replace_by_symlink(stage.tree)
    stage.expect_refused(UnexpectedFileError, code="unexpected", path="model.tree")
