# SPDX-License-Identifier: Apache-2.0
"""The package computes what every valid vector of format v1 says, and refuses every invalid one.

The vectors come from the reference (test_reference_vectors.py); recipes are made into data by
reference_recipes.py. Nothing here computes an expected value.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pyhash import errors, hashing, manifest, merkle, paths, tree_file
from pyhash._native import Kernel, kernels
from pyhash.damage import damaged_ranges

TESTS = Path(__file__).resolve().parents[1]
VECTORS = TESTS / "vectors" / "v1"
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from reference_recipes import make_data, make_files  # noqa: E402

ERRORS = {
    "format": errors.FormatError,
    "limit": errors.LimitError,
    "usage": errors.UsageError,
}
SMALL_BYTES = 17 * merkle.CHUNK_BYTES + 1  # what every kernel and reader is given
GIB = 1 << 30


def load(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((VECTORS / name).read_bytes())["vectors"]
    assert vectors
    return vectors


def small_shards() -> list[dict[str, Any]]:
    return [one for one in load("valid/shards.json") if one["data"]["size"] <= SMALL_BYTES]


def nodes_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex("".join(vector["span_nodes"]))


def check_digest(found: hashing.ShardDigest, vector: dict[str, Any]) -> None:
    assert found.size == vector["data"]["size"], vector["name"]
    assert found.span_nodes.hex() == "".join(vector["span_nodes"]), vector["name"]
    assert found.root.hex() == vector["root"], vector["name"]


# --- shards --------------------------------------------------------------------------------------


def test_buffers() -> None:
    for vector in load("valid/shards.json"):
        check_digest(hashing.hash_buffer(make_data(vector["data"])), vector)


@pytest.mark.parametrize("kernel", kernels(), ids=lambda kernel: kernel.name)
def test_buffers_with_each_kernel(kernel: Kernel) -> None:
    if not kernel.supported:
        pytest.skip(f"this processor cannot run {kernel.name}")
    options = hashing.Options(kernel=kernel.name, threads=1)
    for vector in small_shards():
        check_digest(hashing.hash_buffer(make_data(vector["data"]), options=options), vector)


@pytest.mark.parametrize("reader", ["mmap", "buffered"])
def test_files(tmp_path: Path, reader: str) -> None:
    file = tmp_path / "shard"
    for vector in small_shards():
        file.write_bytes(make_data(vector["data"]))
        options = hashing.Options(reader=reader, threads=2)
        found = hashing.hash_file(file, file_digest=True, options=options)
        check_digest(found, vector)
        assert found.file_digest is not None
        assert found.file_digest.hex() == vector["file_digest"], vector["name"]


def test_shard_roots_of_span_nodes() -> None:
    for vector in load("valid/shards.json"):
        assert merkle.shard_root(nodes_of(vector)).hex() == vector["root"]
        assert merkle.span_count(vector["data"]["size"]) == len(vector["span_nodes"])


def test_shard_roots_around_4_gib() -> None:
    whole = hashing.hash_buffer(bytes(merkle.SPAN_BYTES)).span_nodes
    for vector in load("valid/sparse_shards.json"):
        spans, rest = divmod(vector["data"]["size"], merkle.SPAN_BYTES)
        nodes = whole * spans + hashing.hash_buffer(bytes(rest)).span_nodes
        assert merkle.shard_root(nodes).hex() == vector["root"]


def test_sparse_file_above_4_gib(tmp_path: Path) -> None:
    vector = load("valid/sparse_shards.json")[-1]
    assert vector["data"]["size"] > 4 * GIB
    file = tmp_path / "sparse"
    with file.open("wb") as stream:
        stream.truncate(vector["data"]["size"])
    assert hashing.hash_file(file).root.hex() == vector["root"]


# --- checkpoints ---------------------------------------------------------------------------------


def test_checkpoint_roots_of_entries() -> None:
    for vector in load("valid/checkpoints.json"):
        entries = [
            (entry["path"], entry["size"], bytes.fromhex(entry["root"]))
            for entry in vector.get("entries", [])
        ]
        for listed in (entries, entries[::-1]) if entries else ():
            assert merkle.checkpoint_root(listed).hex() == vector["root"], vector["name"]


@pytest.mark.parametrize("vector", load("valid/checkpoints.json"), ids=lambda one: one["name"])
def test_checkpoints_on_disk(tmp_path: Path, vector: dict[str, Any]) -> None:
    for path, data in make_files(vector).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    found = hashing.hash_checkpoint(tmp_path)
    assert found.root.hex() == vector["root"]
    tree = tree_file.dump_tree([digest.span_nodes for _, digest in found.shards])
    assert sha256(tree).hexdigest() == vector["tree_file_digest"]
    if "entries" in vector:
        assert [(path, one.size, one.root.hex()) for path, one in found.shards] == [
            (entry["path"], entry["size"], entry["root"]) for entry in vector["entries"]
        ]


def test_valid_paths() -> None:
    for vector in load("valid/paths.json"):
        paths.check_path(vector["path"])


def test_roots_are_spelled_in_one_way() -> None:
    for vector in load("valid/checkpoints.json"):
        spelled = merkle.format_root(bytes.fromhex(vector["root"]))
        assert spelled == "pyhash-v1:" + vector["root"]
        assert merkle.parse_root(spelled).hex() == vector["root"]


# --- tree files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", load("valid/tree_files.json"), ids=lambda one: one["name"])
def test_tree_files(vector: dict[str, Any]) -> None:
    nodes = [bytes.fromhex("".join(of_shard)) for of_shard in vector["span_nodes"]]
    data = bytes.fromhex(vector["tree_hex"])
    assert tree_file.dump_tree(nodes) == data
    assert [bytes(one) for one in tree_file.load_tree(data, vector["sizes"], "t")] == nodes
    assert [merkle.shard_root(one).hex() for one in nodes] == vector["roots"]


# --- statements ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", load("valid/statements.json"), ids=lambda one: one["name"])
def test_statements(vector: dict[str, Any]) -> None:
    found = manifest.load_statement(vector["payload"].encode("utf-8"), path="s")
    expected = vector["expected"]
    assert found.name == expected["name"]
    assert found.predicate_type == expected["predicate_type"]
    assert hex_or_none(found.root) == expected["root"]
    assert list(found.ignore_paths) == expected["ignore_paths"]
    assert [
        {
            "path": shard.path,
            "size": shard.size,
            "root": hex_or_none(shard.root),
            "file_digest": hex_or_none(shard.file_digest),
            **({"verity": shard.verity.hex()} if shard.verity is not None else {}),
        }
        for shard in found.shards
    ] == expected["shards"]
    assert release_of(found) == expected["release"]
    if not found.single_file:
        assert manifest.load_statement(manifest.dump_statement(found), path="s") == found


def release_of(found: manifest.Manifest) -> dict[str, Any] | None:
    """The release as the vectors spell it; the standard library turns times into text."""
    release = found.release
    if release is None:
        return None
    fields = {
        "created": text_of(release.created),
        "expires": None if release.expires is None else text_of(release.expires),
        "counter": release.counter,
        "name": release.name,
    }
    return {key: value for key, value in fields.items() if value is not None}


def text_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def hex_or_none(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()


# --- what must be refused ------------------------------------------------------------------------


def refuse_path(vector: dict[str, Any]) -> None:
    paths.check_path(bytes.fromhex(vector["path_hex"]).decode("utf-8", "surrogateescape"))


def refuse_list(vector: dict[str, Any]) -> None:
    manifest.build_manifest(
        "m",
        [
            manifest.ShardEntry(entry["path"], entry["size"], bytes.fromhex(entry["root"]), None)
            for entry in vector["entries"]
        ],
    )


def refuse_root(vector: dict[str, Any]) -> None:
    merkle.parse_root(vector["text"])


def refuse_tree(vector: dict[str, Any]) -> None:
    tree_file.load_tree(bytes.fromhex(vector["tree_hex"]), vector["sizes"], "t")


def refuse_statement(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector.get("payload_hex", "")) or vector["payload"].encode("utf-8")
    manifest.load_statement(payload, path="s")


REFUSALS: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
    ("paths", refuse_path),
    ("lists", refuse_list),
    ("roots", refuse_root),
    ("tree_files", refuse_tree),
    ("statements", refuse_statement),
]


@pytest.mark.parametrize(("kind", "refuse"), REFUSALS, ids=[kind for kind, _ in REFUSALS])
def test_invalid_vectors_are_refused(kind: str, refuse: Callable[[dict[str, Any]], None]) -> None:
    wrong = {}
    for vector in load(f"invalid/{kind}.json"):
        if vector["expect"] == "unused":
            continue
        try:
            refuse(vector)
        except errors.PyhashError as error:
            expected = ERRORS[vector["expect"]]
            is_limit = isinstance(error, errors.LimitError)
            if not isinstance(error, expected) or is_limit != (vector["expect"] == "limit"):
                wrong[vector["name"]] = f"{type(error).__name__}: {error}"
        else:
            wrong[vector["name"]] = "accepted"
    assert wrong == {}


def test_span_nodes_that_prove_nothing_are_not_used() -> None:
    unused = [one for one in load("invalid/tree_files.json") if one["expect"] == "unused"]
    assert unused
    for vector in unused:
        found = tree_file.load_tree(bytes.fromhex(vector["tree_hex"]), vector["sizes"], "t")
        roots = [bytes.fromhex(root) for root in vector["roots"]]
        misfits = [
            (nodes, root, size)
            for nodes, root, size in zip(found, roots, vector["sizes"], strict=True)
            if merkle.shard_root(nodes) != root
        ]
        assert misfits, vector["name"]
        for nodes, root, size in misfits:
            assert damaged_ranges(root, nodes, bytes(len(nodes)), size) == ()
