# SPDX-License-Identifier: Apache-2.0
"""What the tests of statements share: roots from the text of the format, and changes to JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyhash.manifest import (
    Manifest,
    ShardEntry,
    build_manifest,
    load_statement,
)

_OMS = Path(__file__).resolve().parents[1] / "vectors" / "oms"
VECTOR = (_OMS / "tiny-model.statement.json").read_bytes()

Json = dict[str, Any]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _tree(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    return sha256(b"\x01", _tree(leaves[:half]), _tree(leaves[half:]))


def checkpoint_root(entries: list[tuple[str, int, bytes]]) -> bytes:
    leaves = []
    for name, size, root in sorted((path.encode(), size, root) for path, size, root in entries):
        entry = (b"pyhash-shard-v1\0", len(name).to_bytes(4, "big"), name)
        leaves.append(sha256(b"\x00", *entry, size.to_bytes(8, "big"), root))
    return _tree(leaves)


def load_value(value: object) -> Manifest:
    return load_statement(json.dumps(value).encode("utf-8"), path="model.sig")


def make_entry(path: str, size: int = 3, *, digest: bool = True) -> ShardEntry:
    name = path.encode()
    return ShardEntry(path, size, sha256(b"root", name), sha256(name) if digest else None)


# Byte order of path is not the order of components: "." and "-" come before "/".
ENTRIES = [
    make_entry("w/a.bin", 0),
    make_entry("w-1", 5),
    make_entry("w.index", 1 << 40),
    make_entry("caf\u00e9"),
]
ORDER = ["caf\u00e9", "w-1", "w.index", "w/a.bin"]
OURS = build_manifest("model", ENTRIES, ignore_paths=["model.sig"])
OWN = build_manifest(
    "model", [replace(entry, file_digest=None) for entry in ENTRIES], ignore_paths=["model.sig"]
)


def vector() -> Json:
    return dict(json.loads(VECTOR))


def set_oms_root(fields: Json) -> None:
    """Put the OMS root of whatever is listed now, so that another fault is what is found."""
    digests = [bytes.fromhex(item["digest"]) for item in fields["predicate"]["resources"]]
    fields["subject"][0]["digest"]["sha256"] = sha256(*digests).hex()


def put(value: object, *place: str | int) -> Callable[[Json], None]:
    def change(fields: Any) -> None:
        for name in place[:-1]:
            fields = fields[name]
        fields[place[-1]] = value

    return change


def pop(*place: str | int) -> Callable[[Json], None]:
    def change(fields: Any) -> None:
        for name in place[:-1]:
            fields = fields[name]
        del fields[place[-1]]

    return change


SERIALIZATION = ("predicate", "serialization")
RESOURCES = ("predicate", "resources")
FIRST = (*RESOURCES, 0)
DIGEST = ("subject", 0, "digest")
