# SPDX-License-Identifier: Apache-2.0
"""Format v1 again, written from docs/format-v1.md alone: the standard library and nothing of ours.

Made to be read beside that text, not to be fast; what it computes is what every other
implementation must compute. Checks no signature. Also a script:

    python tests/reference.py hash PATH [--ignore PATH]...   print the checkpoint root
    python tests/reference.py vectors DIR                    write the test vectors
"""

from __future__ import annotations

import argparse
import mmap
import os
import re
import stat
import struct
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for the readers of this file, too

# Section 2. Constants.
CHUNK_BYTES = 65_536
SPAN_CHUNKS = 16
SPAN_BYTES = 1_048_576
NODE_BYTES = 32
ENTRY_PREFIX = b"pyhash-shard-v1\0"
TREE_MAGIC = b"pyhash-tree\0"
TREE_VERSION = 1
TREE_HEADER = struct.Struct(">12sIQQ")  # magic, version, shards, span nodes; 32 bytes
ROOT_PREFIX = "pyhash-v1:"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
OMS_TYPE = "https://model_signing/signature/v1.0"
OWN_TYPE = "https://pyhash-checkpoint.org/statement/v1"

# Section 4.1. What is left out of a directory whatever else is.
LEFT_OUT = [".git", ".gitattributes", ".github", ".gitignore", "model.sig", "model.tree"]

# Section 9. Limits.
MAX_PATH_BYTES = 4_096
MAX_PATH_COMPONENTS = 64
MAX_SHARDS = 1_000_000
MAX_SHARD_BYTES = 2**44
MAX_TREE_FILE_BYTES = 2**30
MAX_STATEMENT_BYTES = 2**30
MAX_JSON_DEPTH = 64
MAX_JSON_VALUES = 2**24
MAX_JSON_INTEGER = 2**53 - 1


class RefusedError(Exception):
    """Something that section 8 says must be refused; ``rule`` is its number there."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


def refuse_if(wrong: bool, rule: str, message: str) -> None:
    if wrong:
        raise RefusedError(rule, message)


# --- section 3: the tree of one shard ------------------------------------------------------------


def rfc6962_root(items: list[bytes]) -> bytes:
    """The Merkle Tree Hash of RFC 6962, section 2.1, over data items."""
    if not items:
        return sha256(b"").digest()
    return fold([sha256(b"\x00" + item).digest() for item in items])


def fold(nodes: list[bytes]) -> bytes:
    """The root over nodes that are there already: one or more leaves, or span nodes."""
    if len(nodes) == 1:
        return nodes[0]
    split = 1  # becomes the largest power of two that is smaller than the number of nodes
    while split * 2 < len(nodes):
        split *= 2
    return sha256(b"\x01" + fold(nodes[:split]) + fold(nodes[split:])).digest()


def chunk_digests(data: bytes | mmap.mmap) -> list[bytes]:
    return [
        sha256(data[start : start + CHUNK_BYTES]).digest()
        for start in range(0, len(data), CHUNK_BYTES)
    ]


def span_nodes(data: bytes | mmap.mmap) -> list[bytes]:
    digests = chunk_digests(data)
    return [
        rfc6962_root(digests[start : start + SPAN_CHUNKS])
        for start in range(0, len(digests), SPAN_CHUNKS)
    ]


def span_count(size: int) -> int:
    return (size + SPAN_BYTES - 1) // SPAN_BYTES


def shard_root(data: bytes | mmap.mmap) -> bytes:
    return rfc6962_root(chunk_digests(data))


def shard_root_of_nodes(nodes: list[bytes]) -> bytes:
    """The shard root again, from span nodes; equal because 16 is a power of two."""
    return fold(nodes) if nodes else sha256(b"").digest()


# --- section 6.7: what fs-verity measures --------------------------------------------------------


def verity_digest(data: bytes) -> bytes:
    level, root = data, bytes(32)
    while level:
        blocks = [level[start : start + 4096] for start in range(0, len(level), 4096)]
        level = b"".join(sha256(block.ljust(4096, b"\0")).digest() for block in blocks)
        if len(blocks) == 1:
            root, level = level, b""
    head = bytes([1, 1, 12, 0]) + bytes(4) + len(data).to_bytes(8, "little")
    return sha256(head + root.ljust(64, b"\0") + bytes(32 + 144)).digest()


# --- section 4: the checkpoint -------------------------------------------------------------------


@dataclass(frozen=True)
class Shard:
    """What the checkpoint root binds of one file. Without annotations only ``path`` is known."""

    path: str
    size: int | None
    root: bytes | None


def check_path(path: str) -> None:
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        raise RefusedError("P1", "a path that is not UTF-8") from None
    components = path.split("/")
    refuse_if(len(encoded) > MAX_PATH_BYTES, "P5", "a path of too many bytes")
    refuse_if(len(components) > MAX_PATH_COMPONENTS, "P6", "a path of too many components")
    refuse_if("" in components, "P2", "a path with an empty component")
    refuse_if("." in components or ".." in components, "P3", "a path with '.' or '..'")
    refuse_if("\0" in path, "P4", "a path with NUL")


def check_shards(shards: list[Shard]) -> None:
    refuse_if(not shards, "L1", "a checkpoint without any shard")
    refuse_if(len(shards) > MAX_SHARDS, "L2", "too many shards")
    paths = set()
    for shard in shards:
        check_path(shard.path)
        refuse_if(shard.path in paths, "L3", "two shards with the same path")
        refuse_if((shard.size or 0) > MAX_SHARD_BYTES, "L5", "a shard of too many bytes")
        paths.add(shard.path)
    for path in paths:
        refuse_if(any(parent in paths for parent in parents(path)), "L4", "a path below a shard")


def parents(path: str) -> list[str]:
    """The directories that a path lies in: a/b/c lies in a and in a/b."""
    return [path[:at] for at, character in enumerate(path) if character == "/"]


def shard_entry(path: str, size: int, root: bytes) -> bytes:
    name = path.encode("utf-8")
    return ENTRY_PREFIX + struct.pack(">I", len(name)) + name + struct.pack(">Q", size) + root


def in_order(shards: list[Shard]) -> list[Shard]:
    return sorted(shards, key=lambda shard: shard.path.encode("utf-8"))


def root_of_shards(shards: list[Shard]) -> bytes:
    check_shards(shards)
    return rfc6962_root([shard_entry(s.path, s.size, s.root) for s in in_order(shards)])


def checkpoint_root(files: dict[str, bytes]) -> bytes:
    """The checkpoint root over the content of files by path, in any order."""
    return root_of_shards(
        [Shard(path, len(data), shard_root(data)) for path, data in files.items()]
    )


def format_root(root: bytes) -> str:
    return ROOT_PREFIX + root.hex()


def parse_root(text: str) -> bytes:
    found = re.fullmatch(r"pyhash-v1:([0-9a-f]{64})", text)
    refuse_if(found is None, "R1", "not a checkpoint root in its one spelling")
    return bytes.fromhex(found.group(1))


# --- section 5: the tree file --------------------------------------------------------------------


def tree_file(files: dict[str, bytes]) -> bytes:
    ordered = sorted(files, key=lambda path: path.encode("utf-8"))
    nodes = [node for path in ordered for node in span_nodes(files[path])]
    return TREE_HEADER.pack(TREE_MAGIC, TREE_VERSION, len(files), len(nodes)) + b"".join(nodes)


def parse_tree_file(data: bytes, sizes: list[int]) -> list[list[bytes]]:
    """Cut a tree file into the span nodes of each shard; sizes are in byte order of path."""
    refuse_if(len(data) > MAX_TREE_FILE_BYTES, "T7", "a tree file of too many bytes")
    refuse_if(data[: len(TREE_MAGIC)] != TREE_MAGIC, "T1", "no magic")
    refuse_if(len(data) < TREE_HEADER.size, "T2", "a header that is cut short")
    _, version, shards, nodes = TREE_HEADER.unpack(data[: TREE_HEADER.size])
    counts = [span_count(size) for size in sizes]
    refuse_if(version != TREE_VERSION, "T3", "another version")
    refuse_if(shards != len(sizes), "T4", "another number of shards than in the manifest")
    refuse_if(nodes != sum(counts), "T5", "another number of span nodes than the sizes call for")
    refuse_if(len(data) != TREE_HEADER.size + NODE_BYTES * nodes, "T6", "too short or too long")
    found, offset = [], TREE_HEADER.size
    for count in counts:
        end = offset + NODE_BYTES * count
        found.append([data[at : at + NODE_BYTES] for at in range(offset, end, NODE_BYTES)])
        offset = end
    return found


def check_nodes(nodes: list[bytes], signed_root: bytes) -> None:
    """Before span nodes are used for anything."""
    refuse_if(shard_root_of_nodes(nodes) != signed_root, "T8", "nodes that miss the signed root")


# --- hashing what lies on a disk -----------------------------------------------------------------


def hash_path(path: Path, ignored: list[str]) -> bytes:
    """The checkpoint root of a directory or of one file; anything but regular files is refused."""
    if path.is_file():
        return root_of_shards([hash_one(path, path.absolute().name)])
    shards: list[Shard] = []
    walk(path, "", ignored, shards)
    return root_of_shards(shards)


def walk(directory: Path, prefix: str, ignored: list[str], shards: list[Shard]) -> None:
    for name in os.listdir(directory):
        path, below = prefix + name, directory / name
        if path in ignored:
            continue
        mode = below.lstat().st_mode
        if stat.S_ISDIR(mode):
            walk(below, path + "/", ignored, shards)
        elif stat.S_ISREG(mode):
            shards.append(hash_one(below, path))
        else:
            raise SystemExit(f"{below}: neither a regular file nor a directory")


def hash_one(file: Path, path: str) -> Shard:
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size == 0:
            return Shard(path, 0, shard_root(b""))
        with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as data:
            return Shard(path, size, shard_root(data))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Format v1, by its readable twin.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("hash", help="print the checkpoint root")
    command.add_argument("path", type=Path)
    command.add_argument("--ignore", action="append", default=[], metavar="PATH")
    command = commands.add_parser("vectors", help="write the test vectors")
    command.add_argument("directory", type=Path)
    chosen: Any = parser.parse_args(arguments)
    if chosen.command == "hash":
        print(format_root(hash_path(chosen.path, LEFT_OUT + chosen.ignore)))
        return
    import reference_vectors

    reference_vectors.write_vectors(chosen.directory)


if __name__ == "__main__":
    main()
