# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: statements. What is accepted must survive being written and read again."""

from __future__ import annotations

from dataclasses import replace

from _harness import VECTORS, files_below, main

from pyhash.manifest import (
    OMS_PREDICATE_TYPE,
    PYHASH_PREDICATE_TYPE,
    ShardEntry,
    build_manifest,
    dump_statement,
    load_statement,
)

DICTIONARY = (
    b'"pyhash-verity"', b'"digest":', b'"pyhash-verity":{}',
    b'"pyhash-v1"', b'"annotations"', b'"size":', b'"root":', b'"name":"."', b'"name":"../a"',
    b'"name":"/a"', b'"name":"a\\u0000"', b'"ignore_paths":["a"]', b'"method":"shards"',
    b'"method":"pyhash-v1"', b'"hash_type":"blake3"', b'"shard_size":1000.0', b"null", b"{}",
    b"[]", b"-1", b"17592186044417", b'"\\ud800"', OMS_PREDICATE_TYPE.encode(),
    PYHASH_PREDICATE_TYPE.encode(), b"https://model_signing/Digests/v0.1",
)  # fmt: skip


def seeds() -> list[bytes]:
    """The OMS vector, and both of our own forms."""
    shards = [ShardEntry("a/b", 3, bytes(32), bytes(32)), ShardEntry("c", 0, b"r" * 32, b"d" * 32)]
    bare = [ShardEntry(shard.path, shard.size, shard.root, None) for shard in shards]
    sealed = [replace(shard, verity=b"v" * 32) for shard in shards]
    return [
        *(data for data in files_below(VECTORS / "oms") if data.startswith(b'{"_type"')),
        dump_statement(build_manifest("model", shards, ignore_paths=["model.sig"])),
        dump_statement(build_manifest("model", bare, ignore_paths=["model.sig"])),
        dump_statement(build_manifest("model", sealed, ignore_paths=["model.sig"])),
    ]


def one_input(data: bytes) -> None:
    """Parse; write; parse again."""
    manifest = load_statement(data, path="fuzz.sig")
    if manifest.single_file or set("*?[") & set("".join(manifest.ignore_paths)):
        return  # other tools may write these, we do not
    again = load_statement(dump_statement(manifest), path="fuzz.sig")
    if again != manifest:
        raise AssertionError(f"{again!r} after writing and reading {manifest!r}")


if __name__ == "__main__":
    main(one_input, seeds())
