# SPDX-License-Identifier: Apache-2.0
"""Geometry and roots of format v1 above the span: shard root, shard entry, checkpoint root.

Pure functions of bytes; docs/format-v1.md is the full text. Reads no file.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence

from pyhash import errors
from pyhash._native import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    SPAN_BYTES,
    SPAN_CHUNKS,
    fold_nodes,
    hash_messages,
)

__all__ = [
    "CHUNK_BYTES",
    "DIGEST_BYTES",
    "EMPTY_ROOT",
    "SPAN_BYTES",
    "SPAN_CHUNKS",
    "checkpoint_root",
    "fold_nodes",
    "format_root",
    "leaf_hashes",
    "node_hash",
    "parse_root",
    "shard_entry",
    "shard_root",
    "span_count",
]

EMPTY_ROOT = hashlib.sha256(b"").digest()
ENTRY_MAGIC = b"pyhash-shard-v1\0"
ROOT_PREFIX = "pyhash-v1:"


def span_count(size: int) -> int:
    """Return the number of spans of a shard of ``size`` bytes; 0 for an empty one.

    Raises nothing.
    """
    return -(-size // SPAN_BYTES)


def shard_root(span_nodes: bytes | memoryview) -> bytes:
    """Return the root of a shard from its span nodes.

    Args:
        span_nodes: 32 bytes for each span, in order; empty for an empty shard.

    Raises:
        UsageError: The length is no multiple of 32.
    """
    if len(span_nodes) == 0:
        return EMPTY_ROOT
    if len(span_nodes) == DIGEST_BYTES:  # most shards of a checkpoint of small files
        return bytes(span_nodes)
    return fold_nodes(span_nodes)


def leaf_hashes(messages: Sequence[bytes]) -> list[bytes]:
    """Return SHA-256(0x00 ‖ message) of each message, in order: the leaves of an RFC 6962 tree.

    Messages of one length go to the engine together, one in each lane. Raises nothing.
    """
    by_length: dict[int, list[int]] = {}
    for index, message in enumerate(messages):
        by_length.setdefault(len(message), []).append(index)
    leaves = [b""] * len(messages)
    for length, indexes in by_length.items():
        joined = b"".join(b"\x00" + messages[index] for index in indexes)
        digests = hash_messages(joined, length + 1)
        for place, index in enumerate(indexes):
            leaves[index] = digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
    return leaves


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right): one node, for which a call of the engine costs more
    than the hashing. Many at once are folded by ``fold_nodes``. Raises nothing.
    """
    return hashlib.sha256(b"\x01" + left + right).digest()


def shard_entry(path: str, size: int, root: bytes) -> bytes:
    """Return the bytes that the checkpoint's tree has as data of one shard.

    Args:
        path: Path inside the checkpoint, ``/``-separated.
        size: Bytes of the shard.
        root: Its shard root, 32 bytes.

    Raises:
        UnicodeEncodeError: The path holds a lone surrogate (``paths.check_path`` refuses those).
        OverflowError: The size is negative, or has more than 8 bytes.
    """
    name = path.encode("utf-8")
    return ENTRY_MAGIC + len(name).to_bytes(4, "big") + name + size.to_bytes(8, "big") + root


def checkpoint_root(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return the checkpoint root over (path, size, shard root) of every shard, in any order.

    Raises:
        UsageError: There is no shard, or two have the same path.
    """
    ordered = sorted(entries, key=lambda entry: entry[0].encode("utf-8"))
    if not ordered:
        raise errors.UsageError("a checkpoint without files has no root")
    for one, other in itertools.pairwise(ordered):
        if one[0] == other[0]:
            raise errors.UsageError(f"two shards are both called {one[0]!r}")
    leaves = b"".join(hashlib.sha256(b"\x00" + shard_entry(*entry)).digest() for entry in ordered)
    return fold_nodes(leaves)


def format_root(root: bytes) -> str:
    """Return a checkpoint root as a person sees it: ``pyhash-v1:<64 hex digits>``.

    Raises nothing.
    """
    return ROOT_PREFIX + root.hex()


def parse_root(text: str) -> bytes:
    """Return the 32 bytes of a checkpoint root as a person writes it.

    Raises:
        UsageError: Not ``pyhash-v1:`` and 64 lowercase hex digits.
    """
    digits = text.removeprefix(ROOT_PREFIX)
    if text == digits or len(digits) != 2 * DIGEST_BYTES or set(digits) - set("0123456789abcdef"):
        raise errors.UsageError(f"not a checkpoint root: {text!r}; expected {ROOT_PREFIX}<64 hex>")
    return bytes.fromhex(digits)
