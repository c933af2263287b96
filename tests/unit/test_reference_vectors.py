# SPDX-License-Identifier: Apache-2.0
"""The reference, its vectors and docs/format-v1.md agree with each other and with published values.

Nothing of pyhash is imported here: test_vectors.py holds the package to the same vectors.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

TESTS = Path(__file__).resolve().parents[1]
VECTORS = TESTS / "vectors" / "v1"
DOCUMENT = TESTS.parent / "docs" / "format-v1.md"
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

import reference as ref  # noqa: E402
import reference_recipes as recipes  # noqa: E402
import reference_refused as refused  # noqa: E402
import reference_statement as statements  # noqa: E402
import reference_vectors  # noqa: E402

WITHOUT_VECTOR = {"L2", "T7"}  # too large to be committed

# The tree that the Certificate Transparency project publishes with RFC 6962: leaves, then the root
# of the first 1, 2, ... 8 of them.
CT_LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def load(name: str) -> list[dict[str, Any]]:
    loaded = json.loads((VECTORS / name).read_bytes())
    assert loaded["format"] == "pyhash-v1"
    return loaded["vectors"]


def fenced(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.M)
    return found


def worked_example() -> dict[str, str]:
    return dict(line.split(": ") for line in fenced("text").splitlines() if ": " in line)


EXAMPLE_FILES = {"weights.bin": b"a" * 65536 + b"b", "notes/empty.txt": b""}


# --- published values ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, 9))
def test_rfc_6962_tree_of_certificate_transparency(count: int) -> None:
    items = [bytes.fromhex(leaf) for leaf in CT_LEAVES[:count]]
    assert ref.rfc6962_root(items).hex() == CT_ROOTS[count - 1]


def test_rfc_6962_empty_tree() -> None:
    # SHA-256 of nothing, FIPS 180-4 example values.
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert ref.rfc6962_root([]).hex() == empty
    assert ref.shard_root(b"").hex() == empty


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3 * 65536 + 5])
def test_split_prints_the_chunk_digests(tmp_path: Path, size: int) -> None:
    data = recipes.counter_stream("split", size)
    (tmp_path / "file").write_bytes(data)
    command = "split -b 65536 --filter=sha256sum file | cut -c1-64"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [digest.hex() for digest in ref.chunk_digests(data)]


# --- the document --------------------------------------------------------------------------------


def test_commands_of_the_document_print_what_it_says(tmp_path: Path) -> None:
    if shutil.which("basenc") is None:
        pytest.skip("the worked example needs basenc of GNU coreutils")
    done = subprocess.run(
        ["sh", "-eu"], input=fenced("sh"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == fenced("text")
    assert (tmp_path / "example" / "model.tree").read_bytes().hex() == worked_example()["tree"]


def test_worked_example_is_what_the_reference_computes() -> None:
    weights = EXAMPLE_FILES["weights.bin"]
    chunks = ref.chunk_digests(weights)
    root = ref.shard_root(weights)
    entry0 = ref.shard_entry("notes/empty.txt", 0, sha256(b"").digest())
    entry1 = ref.shard_entry("weights.bin", 65537, root)
    found = {
        "chunk0": chunks[0],
        "chunk1": chunks[1],
        "leaf0": sha256(b"\0" + chunks[0]).digest(),
        "leaf1": sha256(b"\0" + chunks[1]).digest(),
        "root0": ref.shard_root(b""),
        "root1": root,
        "entryleaf0": sha256(b"\0" + entry0).digest(),
        "entryleaf1": sha256(b"\0" + entry1).digest(),
        "checkpoint": ref.checkpoint_root(EXAMPLE_FILES),
        "entry0": entry0,
        "entry1": entry1,
        "tree": ref.tree_file(EXAMPLE_FILES),
    }
    assert {name: value.hex() for name, value in found.items()} == worked_example()
    last_line = fenced("text").splitlines()[-1]
    assert last_line == ref.format_root(ref.checkpoint_root(EXAMPLE_FILES))


def test_statement_of_the_document_says_the_worked_example() -> None:
    found = statements.load_statement(fenced("json").encode())
    assert found.name == "example"
    assert found.root == ref.checkpoint_root(EXAMPLE_FILES)
    assert [shard.path for shard in found.shards] == sorted(EXAMPLE_FILES)
    expected = [sha256(EXAMPLE_FILES[path]).digest() for path in sorted(EXAMPLE_FILES)]
    assert found.file_digests == expected
    assert found.ignore_paths == ref.LEFT_OUT


def test_every_rule_of_the_document_has_a_vector() -> None:
    section = DOCUMENT.read_text().split("### 8.1")[1].split("## 9.")[0]
    rules = re.findall(r"^\| ([A-Z]\d+) \| (.*)\|$", section, re.M)
    assert [rule for rule, _ in rules] == list(dict.fromkeys(rule for rule, _ in rules))
    assert {rule for rule, _ in rules} == set(refused.RULES)
    limits = {rule for rule, words in rules if words.startswith("*limit:*")}
    assert limits == refused.LIMIT_RULES
    used = {vector["rule"] for path in VECTORS.glob("invalid/*.json") for vector in load(path)}
    assert used == set(refused.RULES) - WITHOUT_VECTOR


# --- the committed vectors -----------------------------------------------------------------------


def test_committed_vectors_are_what_the_reference_writes(tmp_path: Path) -> None:
    written = reference_vectors.all_vectors()
    committed = {
        path.relative_to(VECTORS).as_posix(): path.read_bytes()
        for path in VECTORS.glob("*/*")
        if path.is_file()
    }
    assert sorted(written) == sorted(committed)
    for name, data in written.items():
        assert data == committed[name], f"{name} differs: run make vectors and look at the change"
    reference_vectors.write_vectors(tmp_path)
    assert (tmp_path / "valid" / "paths.json").read_bytes() == committed["valid/paths.json"]


@pytest.mark.parametrize("name", ["paths", "lists", "roots", "tree_files", "statements"])
def test_names_are_unique_and_every_vector_says_why(name: str) -> None:
    vectors = load(f"invalid/{name}.json")
    assert len({vector["name"] for vector in vectors}) == len(vectors)
    for vector in vectors:
        assert vector["why"]
        assert vector["expect"] in {"format", "limit", "usage", "unused"}


def refuse(vector: dict[str, Any], kind: str) -> None:
    if kind == "paths":
        ref.check_path(bytes.fromhex(vector["path_hex"]).decode("utf-8", "surrogateescape"))
    elif kind == "lists":
        ref.root_of_shards(
            [
                ref.Shard(entry["path"], entry["size"], bytes.fromhex(entry["root"]))
                for entry in vector["entries"]
            ]
        )
    elif kind == "roots":
        ref.parse_root(vector["text"])
    elif kind == "tree_files":
        nodes = ref.parse_tree_file(bytes.fromhex(vector["tree_hex"]), vector["sizes"])
        for of_shard, root in zip(nodes, vector["roots"], strict=True):
            ref.check_nodes(of_shard, bytes.fromhex(root))
    else:
        payload = vector.get("payload", "").encode("utf-8")
        statements.load_statement(payload or bytes.fromhex(vector.get("payload_hex", "")))


@pytest.mark.parametrize("kind", ["paths", "lists", "roots", "tree_files", "statements"])
def test_reference_refuses_each_vector_by_its_rule(kind: str) -> None:
    wrong = {}
    for vector in load(f"invalid/{kind}.json"):
        try:
            refuse(vector, kind)
        except ref.RefusedError as error:
            if error.rule != vector["rule"]:
                wrong[vector["name"]] = str(error)
        else:
            wrong[vector["name"]] = "accepted"
    assert wrong == {}


def test_invalid_statements_are_not_the_valid_ones() -> None:
    valid = {vector["payload"] for vector in load("valid/statements.json")}
    payloads = [vector.get("payload") for vector in load("invalid/statements.json")]
    assert valid.isdisjoint(payloads)
    texts = [payload for payload in payloads if payload is not None]
    assert len(set(texts)) == len(texts)


def test_valid_paths_and_tree_files_are_accepted() -> None:
    for vector in load("valid/paths.json"):
        ref.check_path(vector["path"])
    for vector in load("valid/tree_files.json"):
        refuse(vector, "tree_files")  # does not


# --- what the vectors must show ------------------------------------------------------------------


def test_roots_are_all_different_but_for_reorderings() -> None:
    shards = load("valid/shards.json") + load("valid/sparse_shards.json")
    assert len({vector["root"] for vector in shards}) == len(shards)
    checkpoints = {vector["name"]: vector["root"] for vector in load("valid/checkpoints.json")}
    backwards = {name for name in checkpoints if name.endswith("-reversed")}
    for name in backwards:
        assert checkpoints[name] == checkpoints[name.removesuffix("-reversed")]
    others = [root for name, root in checkpoints.items() if name not in backwards]
    assert len(set(others)) == len(others)


def test_entries_are_in_byte_order_which_is_no_other_order() -> None:
    by_name = {vector["name"]: vector for vector in load("valid/checkpoints.json")}
    paths = [entry["path"] for entry in by_name["byte-order"]["entries"]]
    assert paths == sorted(paths, key=lambda path: path.encode("utf-8"))
    assert paths != sorted(paths, key=lambda path: path.split("/"))
    points = [entry["path"] for entry in by_name["code-point-order"]["entries"]]
    assert points == sorted(points, key=lambda path: path.encode("utf-8"))
    assert points != sorted(points, key=lambda path: path.encode("utf-16-be"))


# --- the reference itself ------------------------------------------------------------------------


@given(st.integers(1, 70), st.integers(0, 65536))
def test_span_nodes_fold_to_the_root_of_the_chunk_digests(chunks: int, seed: int) -> None:
    digests = [sha256(f"{seed} {i}".encode()).digest() for i in range(chunks)]
    spans = [ref.rfc6962_root(digests[start : start + 16]) for start in range(0, chunks, 16)]
    assert ref.shard_root_of_nodes(spans) == ref.rfc6962_root(digests)


@given(st.integers(0, 2**30), st.integers(0, 40))
def test_recipes_are_prefixes_of_one_stream(seed: int, size: int) -> None:
    assert recipes.counter_stream(str(seed), 200).startswith(
        recipes.counter_stream(str(seed), size)
    )
    first = sha256(str(seed).encode() + bytes(8)).digest()
    assert recipes.counter_stream(str(seed), 32) == first


def test_last_node_is_not_paired_with_itself() -> None:
    a, b, c = (sha256(name).digest() for name in (b"a", b"b", b"c"))
    assert ref.fold([a, b, c]) != ref.fold([a, b, c, c])


def test_command_line_hashes_a_directory_and_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "example"
    for path, data in {**EXAMPLE_FILES, "model.sig": b"x", ".git/HEAD": b"x", "no/x": b""}.items():
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes(data)
    ref.main(["hash", str(model), "--ignore", "no"])
    assert capsys.readouterr().out == ref.format_root(ref.checkpoint_root(EXAMPLE_FILES)) + "\n"
    (model / "link").symlink_to("weights.bin")
    with pytest.raises(SystemExit, match="neither a regular file"):
        ref.main(["hash", str(model)])
    ref.main(["hash", str(model / "weights.bin")])
    alone = ref.checkpoint_root({"weights.bin": EXAMPLE_FILES["weights.bin"]})
    assert capsys.readouterr().out == ref.format_root(alone) + "\n"


def test_reference_is_a_script_without_pyhash(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"x")
    command = [sys.executable, "-S", str(TESTS / "reference.py"), "hash", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ref.format_root(ref.checkpoint_root({"w.bin": b"x"})) + "\n"
    for file in TESTS.glob("reference*.py"):
        assert not re.search(r"^\s*(import|from) pyhash", file.read_text(), re.M), file
