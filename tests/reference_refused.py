# SPDX-License-Identifier: Apache-2.0
"""What must be refused, one fault in each vector: paths, lists of shards, roots, tree files.

Each vector names the rule of section 8.1 of docs/format-v1.md and the kind of answer: ``format``,
``limit`` (a size or count, a kind of format), ``usage`` (a person mistyped a root), ``unused``
(span nodes that prove nothing). That the rule is the right one is for the tests to check.
Statements are in reference_refused_statements.py.
"""

from __future__ import annotations

from typing import Any

import reference as ref
from reference_recipes import Json

# Section 8.1, in a few words each.
RULES = {
    "P1": "a path that is not UTF-8",
    "P2": "a path that is empty or has an empty component",
    "P3": "a path with a component '.' or '..'",
    "P4": "a path with a zero byte",
    "P5": "a path of more than 4,096 bytes",
    "P6": "a path of more than 64 components",
    "L1": "no shard",
    "L2": "more than 1,000,000 shards",
    "L3": "two equal paths",
    "L4": "a path that is a directory of another path",
    "L5": "a shard of more than 2^44 bytes",
    "J1": "not UTF-8, or a byte order mark",
    "J2": "not one JSON value",
    "J3": "an object with the same key twice",
    "J4": "half of a surrogate pair",
    "J5": "an integer beyond 2^53 - 1, or a number that is not finite",
    "J6": "too large, too deep or too many values",
    "S1": "not exactly the four fields of a statement",
    "S2": "another _type",
    "S3": "another predicateType",
    "S4": "not exactly one subject with a name",
    "S5": "a digest of the subject is missing, malformed or not asked for",
    "S6": "not exactly the two fields of the predicate",
    "S7": "serialization is not as it must be",
    "S8": "ignore_paths is not an array of strings",
    "S9": "a resource is not as it must be",
    "S10": "annotations are not as they must be",
    "S11": "pyhash-v1 in the subject or in a resource, but not everywhere",
    "S12": "sha256 of the subject is not the OMS root",
    "S13": "pyhash-v1 of the subject is not the checkpoint root",
    "S14": "a shard that is left out, too",
    "S15": "annotations of the subject are not as they must be",
    "S16": "fs-verity digests are not as they must be, or of some resources only",
    "T1": "the magic bytes are not there",
    "T2": "shorter than its header",
    "T3": "another version",
    "T4": "another number of shards than in the statement",
    "T5": "another number of span nodes than the sizes call for",
    "T6": "another length than the header calls for",
    "T7": "more than 2^30 bytes",
    "T8": "span nodes that do not fold to the signed root",
    "R1": "not the one spelling of a checkpoint root",
}
LIMIT_RULES = {"P5", "P6", "L2", "L5", "J6", "T7"}
OTHER_KINDS = {"T8": "unused", "R1": "usage"}


def vector(name: str, rule: str, why: str, **fields: Any) -> Json:
    kind = "limit" if rule in LIMIT_RULES else OTHER_KINDS.get(rule, "format")
    return {"name": name, "rule": rule, "expect": kind, "why": why, **fields}


# --- paths and lists -----------------------------------------------------------------------------

PATHS = [
    ("empty", "P2", b""),
    ("absolute", "P2", b"/a"),
    ("only-slash", "P2", b"/"),
    ("trailing-slash", "P2", b"a/"),
    ("double-slash", "P2", b"a//b"),
    ("dot", "P3", b"."),
    ("dot-dot", "P3", b".."),
    ("dot-first", "P3", b"./a"),
    ("dot-inside", "P3", b"a/./b"),
    ("dot-last", "P3", b"a/."),
    ("dot-dot-first", "P3", b"../a"),
    ("dot-dot-inside", "P3", b"a/../b"),
    ("dot-dot-last", "P3", b"a/.."),
    ("nul", "P4", b"a\0b"),
    ("only-nul", "P4", b"\0"),
    ("nul-last", "P4", b"weights.bin\0"),
    ("not-utf-8", "P1", b"a\xff"),
    ("latin-1", "P1", b"caf\xe9"),
    ("surrogate", "P1", b"a\xed\xa0\x80"),
    ("overlong-slash", "P1", b"a\xc0\xafb"),
    ("cut-short", "P1", b"a\xe2\x82"),
    ("above-unicode", "P1", b"a\xf4\x90\x80\x80"),
    ("too-many-bytes", "P5", b"/".join([b"x" * 255] * 15 + [b"x" * 257])),
    ("too-many-bytes-fewer-characters", "P5", "\u65e5".encode() * 1365 + b"xx"),
    ("too-deep", "P6", b"/".join([b"d"] * 65)),
]


def paths() -> list[Json]:
    return [vector(name, rule, RULES[rule], path_hex=path.hex()) for name, rule, path in PATHS]


def lists() -> list[Json]:
    same = {"size": 1, "root": "00" * 32}
    found = [
        ("no-shard", "L1", "nothing to sign", []),
        ("same-path-twice", "L3", "also when all else is equal", ["a", "b", "a"]),
        ("file-is-directory", "L4", "no directory can hold both", ["a", "a/b"]),
        ("file-is-directory-not-adjacent", "L4", "a.b lies between them", ["a", "a.b", "a/b"]),
        ("file-is-directory-deep", "L4", "two levels below", ["x/a", "x/a/b/c"]),
    ]
    vectors = [
        vector(name, rule, why, entries=[{"path": path, **same} for path in listed])
        for name, rule, why, listed in found
    ]
    large = {"path": "a", "size": ref.MAX_SHARD_BYTES + 1, "root": "00" * 32}
    return [*vectors, vector("too-large", "L5", "one byte too many", entries=[large])]


ROOTS = [
    ("no-prefix", "00" * 32),
    ("upper-case-prefix", "PYHASH-V1:" + "00" * 32),
    ("other-version", "pyhash-v2:" + "00" * 32),
    ("other-name", "sha256:" + "00" * 32),
    ("prefix-twice", "pyhash-v1:pyhash-v1:" + "00" * 32),
    ("upper-case", "pyhash-v1:" + "AB" * 32),
    ("one-digit-less", "pyhash-v1:" + "0" * 63),
    ("one-digit-more", "pyhash-v1:" + "0" * 65),
    ("empty", ""),
    ("only-prefix", "pyhash-v1:"),
    ("space-before", " pyhash-v1:" + "00" * 32),
    ("space-inside", "pyhash-v1: " + "00" * 32),
    ("newline-behind", "pyhash-v1:" + "00" * 32 + "\n"),
    ("not-hex", "pyhash-v1:" + "0g" * 32),
    ("hex-prefix", "pyhash-v1:0x" + "0" * 62),
    ("full-width-digits", "pyhash-v1:" + "\uff10" * 64),
]


def roots() -> list[Json]:
    return [vector(name, "R1", RULES["R1"], text=text) for name, text in ROOTS]


# --- tree files ----------------------------------------------------------------------------------

TREE_FILES = {"empty": b"", "one": b"1", "three": bytes(2 * ref.SPAN_BYTES + 1)}


def tree_files() -> list[Json]:
    order = sorted(TREE_FILES)
    sizes = [len(TREE_FILES[path]) for path in order]  # empty, one, three: 0 + 1 + 3 nodes
    roots = [ref.shard_root(TREE_FILES[path]).hex() for path in order]
    good = ref.tree_file(TREE_FILES)
    nodes = [good[at : at + 32] for at in range(32, len(good), 32)]

    def build(
        magic: bytes = ref.TREE_MAGIC,
        version: int = 1,
        shards: int = 3,
        count: int = 4,
        body: bytes = b"".join(nodes),
    ) -> bytes:
        return ref.TREE_HEADER.pack(magic, version, shards, count) + body

    flipped = bytes([nodes[3][0] ^ 1]) + nodes[3][1:]
    found = [
        ("nothing", "T1", "no bytes at all", b""),
        ("magic-cut-short", "T1", "11 bytes", good[:11]),
        ("magic-wrong", "T1", "one bit", b"Pyhash-tree\0" + good[12:]),
        ("magic-without-nul", "T1", "a space for the zero byte", build(magic=b"pyhash-tree ")),
        ("magic-not-at-start", "T1", "a newline before it", b"\n" + good),
        ("only-magic", "T2", "12 bytes", good[:12]),
        ("header-cut-short", "T2", "31 bytes", good[:31]),
        ("version-0", "T3", "there is no such version", build(version=0)),
        ("version-2", "T3", "later versions are not guessed at", build(version=2)),
        ("version-little-endian", "T3", "1, backwards", build(version=1 << 24)),
        ("one-shard-less", "T4", "2 shards, the statement has 3", build(shards=2)),
        ("one-shard-more", "T4", "4 shards, the statement has 3", build(shards=4)),
        ("no-shards", "T4", "none", build(shards=0)),
        ("very-many-shards", "T4", "2^64 - 1", build(shards=2**64 - 1)),
        ("one-node-less", "T5", "3 nodes, and as many there", build(count=3, body=good[32:-32])),
        ("one-node-more", "T5", "5 nodes, and as many there", build(count=5) + nodes[0]),
        ("no-nodes", "T5", "none, and none there", build(count=0, body=b"")),
        ("very-many-nodes", "T5", "2^64 - 1", build(count=2**64 - 1)),
        ("count-wraps-around", "T5", "2^59 + 4: times 32 it is 128", build(count=2**59 + 4)),
        ("only-header", "T6", "no span node there", good[:32]),
        ("one-byte-short", "T6", "cut", good[:-1]),
        ("last-node-missing", "T6", "cut", good[:-32]),
        ("one-byte-long", "T6", "something behind the end", good + b"\0"),
        ("node-behind-the-end", "T6", "something behind the end", good + nodes[0]),
    ]
    swapped = build(body=b"".join([nodes[1], nodes[0], *nodes[2:]]))
    unused = [
        ("bit-flipped", "the last bit of damage", build(body=b"".join([*nodes[:3], flipped]))),
        ("nodes-swapped", "the nodes of two shards changed places", swapped),
        ("all-zero", "blank", build(body=bytes(128))),
    ]
    about = {"sizes": sizes, "roots": roots}
    return [vector(n, r, why, tree_hex=data.hex(), **about) for n, r, why, data in found] + [
        vector(n, "T8", why, tree_hex=data.hex(), **about) for n, why, data in unused
    ]


def refused() -> dict[str, list[Json]]:
    """Every list of vectors but that of statements, by the name of its file."""
    return {"paths": paths(), "lists": lists(), "roots": roots(), "tree_files": tree_files()}
