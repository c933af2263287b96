# SPDX-License-Identifier: Apache-2.0
"""The sidecar ``model.tree``: the span nodes of every shard, to say where damage is.

    magic "pyhash-tree\\0" | u32 version = 1 | u64 shards | u64 span nodes | 32 bytes for each node

Integers are big-endian; nodes follow shard by shard, in byte order of path. The file is not
signed. This module only cuts it up: callers fold each shard's nodes to the signed root before use.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.merkle import span_count

MAGIC = b"pyhash-tree\0"
VERSION = 1
NODE_BYTES = 32

_HEADER = struct.Struct(">12sIQQ")
_VERSION_OFFSET, _SHARDS_OFFSET, _NODES_OFFSET = 12, 16, 24


def tree_bytes(sizes: Iterable[int]) -> int:
    """Return how long the tree file for shards of these sizes is. Pure, thread-safe.

    Args:
        sizes: Size in bytes of each shard.

    Returns:
        Bytes. Raises nothing.
    """
    return _HEADER.size + NODE_BYTES * sum(map(span_count, sizes))


def dump_tree(span_nodes: Sequence[bytes]) -> bytes:
    """Write a tree file. Pure, thread-safe.

    Args:
        span_nodes: For each shard, in byte order of path, its span nodes one behind the other,
            32 bytes each; an empty shard has none.

    Returns:
        The whole file.

    Raises:
        ValueError: A shard's nodes are not a multiple of 32 bytes.
        LimitError: The file would be larger than what ``load_tree`` reads.
    """
    for nodes in span_nodes:
        if len(nodes) % NODE_BYTES:
            raise ValueError(f"span nodes must be a multiple of {NODE_BYTES} bytes")
    node_bytes = sum(len(nodes) for nodes in span_nodes)
    size = _HEADER.size + node_bytes
    if size > limits.MAX_TREE_FILE_BYTES:
        raise LimitError(
            f"the tree file would have {size} bytes, above the cap of {limits.MAX_TREE_FILE_BYTES}"
        )
    header = _HEADER.pack(MAGIC, VERSION, len(span_nodes), node_bytes // NODE_BYTES)
    return b"".join((header, *span_nodes))


def load_tree(data: bytes, sizes: Sequence[int], path: str) -> tuple[memoryview, ...]:
    """Cut a tree file into the span nodes of each shard. Pure, thread-safe.

    Args:
        data: The whole file.
        sizes: Size in bytes of each shard of the signed manifest, in byte order of path.
        path: Where the file came from, for messages.

    Returns:
        For each shard its span nodes, 32 bytes each: views into ``data``, not yet compared with
        anything signed.

    Raises:
        LimitError: The file is above its cap.
        FormatError: Not a tree file of version 1, or not one for shards of these sizes.
    """
    if len(data) > limits.MAX_TREE_FILE_BYTES:
        raise LimitError(
            f"{path}: {len(data)} bytes, above the cap of {limits.MAX_TREE_FILE_BYTES}", path
        )
    counts = [span_count(size) for size in sizes]
    _check_header(data, len(sizes), sum(counts), path)
    view = memoryview(data)
    shards = []
    start = _HEADER.size
    for count in counts:
        end = start + count * NODE_BYTES
        shards.append(view[start:end])
        start = end
    return tuple(shards)


def _check_header(data: bytes, nshards: int, nnodes: int, path: str) -> None:
    if not data.startswith(MAGIC):
        raise FormatError(f"{path}: not a tree file (the magic bytes are not there)", path, 0)
    if len(data) < _HEADER.size:
        raise FormatError(f"{path}: the tree file ends within its header", path, len(data))
    _, version, found_shards, found_nodes = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FormatError(
            f"{path}: tree file of version {version}; this version reads version {VERSION}",
            path,
            _VERSION_OFFSET,
        )
    if found_shards != nshards:
        raise FormatError(
            f"{path}: tree file for {found_shards} shards; the manifest has {nshards}",
            path,
            _SHARDS_OFFSET,
        )
    if found_nodes != nnodes:
        raise FormatError(
            f"{path}: tree file of {found_nodes} span nodes; the manifest needs {nnodes}",
            path,
            _NODES_OFFSET,
        )
    expected = _HEADER.size + nnodes * NODE_BYTES
    if len(data) != expected:
        raise FormatError(
            f"{path}: tree file of {len(data)} bytes; its header calls for {expected}",
            path,
            min(len(data), expected),
        )
