# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: tree files, for a manifest whose sizes are the first bytes of the input."""

from __future__ import annotations

from _harness import main

from pyhash.tree_file import dump_tree, load_tree

_MIB = 1 << 20

DICTIONARY = (b"pyhash-tree\0", b"\0\0\0\1", b"\0\0\0\2", b"\0" * 7 + b"\1", b"\xff" * 8)


def seeds() -> list[bytes]:
    """Sizes in spans (one byte for each shard, behind their count), then a tree file."""
    nodes = bytes(range(32))
    return [
        b"\0" + dump_tree([]),
        b"\1\0" + dump_tree([b""]),
        b"\3\1\0\2" + dump_tree([nodes, b"", nodes * 2]),
        b"\2\3\4" + dump_tree([nodes * 3, nodes * 4]),
    ]


def one_input(data: bytes) -> None:
    """Parse; what is accepted must be exactly what would be written."""
    count = data[0] % 8 if data else 0
    sizes = [spans * _MIB for spans in data[1 : 1 + count]]
    tree = data[1 + count :]
    shards = load_tree(tree, sizes, "fuzz.tree")
    if [len(nodes) for nodes in shards] != [32 * (size // _MIB) for size in sizes]:
        raise AssertionError(f"nodes do not fit the sizes {sizes}")
    if dump_tree([bytes(nodes) for nodes in shards]) != tree:
        raise AssertionError("accepted another file than would be written")


if __name__ == "__main__":
    main(one_input, seeds())
