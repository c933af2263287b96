# SPDX-License-Identifier: Apache-2.0
"""Which valid test vectors there are; `reference.py vectors` writes them and the others.

Answers come from reference.py and reference_statement.py. What must be refused is in
reference_refused.py.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import reference as ref
import reference_statement as statements
from reference_recipes import LONG_SEED, Json, counter, make_data, make_files, repeat, text
from reference_samples import (
    add_extra_fields,
    changed,
    compact,
    follow,
    foreign_statement,
    nested,
    oms_statement,
    own_statement,
    released,
    reseal,
    sealed,
    set_note,
)

CHUNK, SPAN = ref.CHUNK_BYTES, ref.SPAN_BYTES
MAX_LISTED_CHUNKS = 17  # longer shards have their span nodes listed only
GIB = 1 << 30


# --- shards --------------------------------------------------------------------------------------


def shard_sizes() -> list[int]:
    sizes = {0, 1, 2, 31, 32, 33, 55, 56, 57, 63, 64, 65, 119, 120, 121, 127, 128, 129, 4096}
    for chunks in range(1, 18):
        sizes |= {chunks * CHUNK - 1, chunks * CHUNK, chunks * CHUNK + 1}
    for spans in (1, 2, 3, 4, 5, 7, 8, 9):
        sizes |= {spans * SPAN - 1, spans * SPAN, spans * SPAN + 1}
    sizes |= {3 * SPAN - CHUNK, 3 * SPAN - CHUNK - 1, 16 * SPAN, 16 * SPAN + 1, 17 * SPAN - 1}
    sizes |= {33 * SPAN - 5}
    return sorted(sizes)


def shard_vector(recipe: Json) -> Json:
    data = make_data(recipe)
    digests = ref.chunk_digests(data)
    vector = {
        "name": f"{recipe['recipe']}-{len(data)}",
        "data": recipe,
        "span_nodes": [node.hex() for node in ref.span_nodes(data)],
        "root": ref.shard_root(data).hex(),
        "file_digest": sha256(data).hexdigest(),
    }
    if len(digests) <= MAX_LISTED_CHUNKS:
        vector["chunk_digests"] = [digest.hex() for digest in digests]
    return vector


def shards() -> list[Json]:
    recipes = [counter(LONG_SEED, size) for size in shard_sizes()]
    recipes += [repeat(byte, size) for byte in (0, 255) for size in (1, CHUNK, SPAN + 1)]
    return [shard_vector(recipe) for recipe in recipes]


def zeros_root(size: int) -> bytes:
    """The shard root of zeros, without making them: all whole spans have the same node."""
    whole, rest = divmod(size, SPAN)
    nodes = [ref.fold(ref.span_nodes(bytes(SPAN)))] * whole + ref.span_nodes(bytes(rest))
    return ref.shard_root_of_nodes(nodes)


def sparse_shards() -> list[Json]:
    sizes = (4 * GIB - 1, 4 * GIB, 4 * GIB + 1, 4 * GIB + SPAN + CHUNK + 1)
    return [
        {"name": f"zeros-{size}", "data": repeat(0, size), "root": zeros_root(size).hex()}
        for size in sizes
    ]


# --- checkpoints ---------------------------------------------------------------------------------

# Each list is in no particular order on purpose; the root must not depend on it.
ODD_NAMES = [
    "z", "a b", " ", "-rf", "--", "...", "..a", "a..", ".hidden", "~", "#", "%2e%2e", "a%2fb",
    "new\nline", "tab\t", "cr\r", "bell\x07", "del\x7f", "a:b", "a:0:5", "C:\\x", "back\\slash",
    'quo"te', "apos'trophe", "star*", "question?", "[set]", "$HOME", "`id`", "con", "nul.txt",
    "\u00e9", "e\u0301", "\u00c5", "A\u030a", "\u212b", "\u65e5\u672c\u8a9e", "\U0001f600",
    "\u202egnp.exe", "\ufeffbom", "\u200b", "UPPER", "upper", "x" * 255, "d/" * 63 + "deep",
    "model.sig.bak", "sub/model.sig", "sub/.git/config", "nested/-/x",
]  # fmt: skip
CHECKPOINTS: list[tuple[str, str, Any]] = [
    ("one-file", "a single entry is a leaf and the root", {"w.bin": counter("one", 100)}),
    ("one-empty-file", "an empty shard is still a shard", {"w.bin": text("")}),
    ("two-empty-files", "two empty shards are two leaves", {"b": text(""), "a": text("")}),
    (
        "worked-example",
        "section 11 of docs/format-v1.md",
        {"notes/empty.txt": text(""), "weights.bin": text("a" * CHUNK + "b")},
    ),
    ("two-files", "see two-files-swapped", {"a": text("1"), "b": text("2")}),
    ("two-files-swapped", "contents under the other names", {"a": text("2"), "b": text("1")}),
    ("boundary-in-name", "path and content do not run together", {"ab": text("c")}),
    ("boundary-in-content", "path and content do not run together", {"a": text("bc")}),
    ("renamed", "two-files under other names", {"c": text("1"), "d": text("2")}),
    (
        "byte-order",
        "whole paths in byte order, not component by component: ' ' ! - . come before /",
        {p: text(p) for p in ("a/b", "a.b", "a0b", "a b", "a-b", "a!b", "aa", "A/b", "a/b.c")},
    ),
    (
        "code-point-order",
        "U+FFFD comes before U+1F600 in UTF-8, behind it in UTF-16",
        {p: text(p) for p in ("\U0001f600", "\ufffd", "\u00e9", "z", "\ue000")},
    ),
    (
        "nfc-and-nfd",
        "two different names that look the same",
        {"caf\u00e9": text("composed"), "cafe\u0301": text("decomposed")},
    ),
    ("odd-names", "no byte but / and NUL is special", {p: counter(p, 3) for p in ODD_NAMES}),
    (
        "mixed-sizes",
        "shards of none, one and several chunks and spans",
        {
            "config.json": text('{"model_type": "llama"}\n'),
            "empty": text(""),
            "model-00001-of-00002.safetensors": counter("mixed-1", 2 * SPAN + 1),
            "model-00002-of-00002.safetensors": counter("mixed-2", SPAN),
            "sub/one-chunk": counter("mixed-3", CHUNK),
            "sub/two-chunks": counter("mixed-4", CHUNK + 1),
        },
    ),
]  # fmt: skip
SMALL_FILE_COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 10_000)
MAX_LISTED_ENTRIES = 100


def checkpoint_vector(name: str, why: str, files: Any) -> Json:
    vector = {"name": name, "why": why, "files": files}
    contents = make_files(vector)
    order = sorted(contents, key=lambda path: path.encode("utf-8"))
    tree = ref.tree_file(contents)
    vector["root"] = ref.checkpoint_root(contents).hex()
    vector["tree_file_digest"] = sha256(tree).hexdigest()
    if len(order) <= MAX_LISTED_ENTRIES:
        vector["entries"] = [
            {
                "path": path,
                "size": len(contents[path]),
                "root": ref.shard_root(contents[path]).hex(),
                "file_digest": sha256(contents[path]).hexdigest(),
            }
            for path in order
        ]
    return vector


def listed(files: dict[str, Json]) -> list[Json]:
    return [{"path": path, "data": data} for path, data in files.items()]


def checkpoints() -> list[Json]:
    vectors = [checkpoint_vector(name, why, listed(files)) for name, why, files in CHECKPOINTS]
    names = {name: files for name, _, files in CHECKPOINTS}
    vectors += [
        checkpoint_vector(
            f"{name}-reversed", f"{name}, listed backwards", listed(names[name])[::-1]
        )
        for name in ("byte-order", "odd-names", "mixed-sizes")
    ]
    vectors += [
        checkpoint_vector(
            f"small-files-{count}", "many leaves", {"recipe": "small-files", "count": count}
        )
        for count in SMALL_FILE_COUNTS
    ]
    return vectors


# --- paths, tree files ---------------------------------------------------------------------------


def paths() -> list[Json]:
    longest = "/".join(["x" * 255] * 15 + ["x" * 256])  # 15 * 256 + 256 = 4096 bytes
    deepest = "/".join(["d"] * 64)
    many_bytes = "\u65e5" * 1365 + "x"  # 4096 bytes in 1366 characters
    return [{"path": path} for path in ("a", *ODD_NAMES, longest, deepest, many_bytes)]


def tree_vector(name: str, files: dict[str, Json]) -> Json:
    contents = make_files({"files": listed(files)})
    order = sorted(contents, key=lambda path: path.encode("utf-8"))
    return {
        "name": name,
        "files": listed(files),
        "sizes": [len(contents[path]) for path in order],
        "roots": [ref.shard_root(contents[path]).hex() for path in order],
        "span_nodes": [[node.hex() for node in ref.span_nodes(contents[path])] for path in order],
        "tree_hex": ref.tree_file(contents).hex(),
    }


def tree_files() -> list[Json]:
    return [
        tree_vector("one-empty-shard", {"a": text("")}),
        tree_vector("one-byte", {"a": text("x")}),
        tree_vector("one-span", {"a": repeat(1, SPAN)}),
        tree_vector("two-spans", {"a": repeat(2, SPAN + 1)}),
        tree_vector("worked-example", dict(CHECKPOINTS[3][2])),
        tree_vector("mixed-sizes", dict(CHECKPOINTS[-1][2])),
        tree_vector("byte-order", dict(CHECKPOINTS[9][2])),
    ]


# --- statements ----------------------------------------------------------------------------------

EXAMPLE = {"files": listed(CHECKPOINTS[3][2])}


def statement_texts() -> list[tuple[str, str, str]]:
    """(name, why, text) of every valid statement."""
    backwards = changed(oms_statement, lambda s: s["predicate"]["resources"].reverse())
    largest = changed(own_statement, lambda s: set_note(s, "size", ref.MAX_SHARD_BYTES))
    extra = changed(oms_statement, add_extra_fields)
    bare = changed(foreign_statement, lambda s: s["predicate"]["serialization"].pop("ignore_paths"))
    deep = oms_statement()
    deep["predicate"]["resources"][0]["annotations"]["deep"] = nested(59)  # below five others
    single = foreign_statement()
    single["predicate"]["resources"] = [dict(single["predicate"]["resources"][0], name=".")]
    leap = released(own_statement, created="2028-02-29T23:59:58Z", expires="2028-02-29T23:59:59Z")
    edge = released(
        foreign_statement,
        created="1970-01-01T00:00:00Z",
        expires="9999-12-31T23:59:59Z",
        counter=ref.MAX_JSON_INTEGER,
        name="\u65e5" * 85 + "x",
    )
    bare_release = released(oms_statement, expires=None, counter=None, name=None)
    odd = oms_statement({path: path.encode("utf-8") for path in ODD_NAMES})
    pretty = json.dumps(odd, indent=2)
    return [
        ("oms", "as we write it", compact(oms_statement())),
        ("own", "without whole-file digests", compact(own_statement())),
        ("worked-example", "section 11", compact(oms_statement(make_files(EXAMPLE)))),
        ("foreign", "made by another OMS tool", compact(foreign_statement())),
        ("foreign-no-ignore-paths", "OMS lets them be absent", compact(bare)),
        ("foreign-single-file", "another tool calls a single file '.'", compact(reseal(single))),
        ("links-followed", "by another tool", compact(changed(foreign_statement, follow))),
        ("any-order", "resources backwards; the OMS root is in listed order", compact(backwards)),
        ("extra-fields", "where OMS allows them", compact(extra)),
        ("odd-names", "raw in UTF-8", compact(odd)),
        ("odd-names-escaped", "indented, with \\u escapes", pretty),
        ("largest-shard", "exactly 2^44 bytes", compact(largest)),
        ("deepest", "exactly 64 levels", compact(deep)),
        ("release", "section 6.6", compact(released(oms_statement))),
        ("release-created-only", "the least that a release says", compact(bare_release)),
        ("release-counter-0", "a counter may be 0", compact(released(oms_statement, counter=0))),
        ("own-release-leap-day", "valid for one second", compact(leap)),
        ("sealed", "section 6.7", compact(sealed(oms_statement))),
        ("own-sealed", "the same without whole-file digests", compact(sealed(own_statement))),
        ("foreign-release-edges", "the first and the last of everything", compact(edge)),
    ]  # fmt: skip


def statement_vector(name: str, why: str, payload: str) -> Json:
    found = statements.load_statement(payload.encode("utf-8"))
    digests = found.file_digests or [None] * len(found.shards)
    return {
        "name": name,
        "why": why,
        "payload": payload,
        "expected": {
            "name": found.name,
            "predicate_type": found.predicate_type,
            "root": found.root.hex() if found.root else None,
            "ignore_paths": found.ignore_paths,
            "release": found.release,
            "shards": [
                {
                    "path": shard.path,
                    "size": shard.size,
                    "root": shard.root.hex() if shard.root else None,
                    "file_digest": digest.hex() if digest else None,
                }
                | ({"verity": verity.hex()} if verity else {})
                for shard, digest, verity in zip(
                    found.shards,
                    digests,
                    found.verity or [None] * len(found.shards),
                    strict=True,
                )
            ],
        },
    }


# --- writing -------------------------------------------------------------------------------------


def all_vectors() -> dict[str, bytes]:
    """Every vector file by its path below tests/vectors/v1."""
    import reference_refused
    import reference_refused_statements

    valid = {
        "shards": shards(),
        "sparse_shards": sparse_shards(),
        "checkpoints": checkpoints(),
        "paths": paths(),
        "tree_files": tree_files(),
        "statements": [statement_vector(*one) for one in statement_texts()],
    }
    found = {f"valid/{name}.json": vectors for name, vectors in valid.items()}
    refused = reference_refused.refused()
    refused["statements"] = reference_refused_statements.statements()
    found |= {f"invalid/{name}.json": vectors for name, vectors in refused.items()}
    return {
        name: (json.dumps({"format": "pyhash-v1", "vectors": vectors}, indent=1) + "\n").encode()
        for name, vectors in found.items()
    }


def write_vectors(directory: Path) -> None:
    for name, data in all_vectors().items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
