# SPDX-License-Identifier: Apache-2.0
"""The tree file of a signed checkpoint: read, and believed only where it folds to a signed root."""

from __future__ import annotations

from pyhash import errors, files, limits, tree_file
from pyhash.manifest import Manifest
from pyhash.merkle import shard_root


def load_signed_nodes(manifest: Manifest, tree_path: str) -> tuple[memoryview, ...]:
    """Return the span nodes that the tree file has for each shard, not yet folded to its root.

    Args:
        manifest: What was signed.
        tree_path: The tree file.

    Returns:
        One view for each shard; none at all when the file is missing or damaged, or the bundle is
        another tool's. Raises nothing: for callers whose answer does not depend on it.
    """
    try:
        return _load(manifest, tree_path)
    except errors.CheckError:
        return ()


def require_signed_nodes(manifest: Manifest, tree_path: str) -> tuple[memoryview, ...]:
    """Return the span nodes of each shard, folded to the signed root of each.

    Args:
        manifest: What was signed.
        tree_path: The tree file.

    Raises:
        FormatError: The bundle was made by another tool and has no trees, or the tree file is not
            that of this checkpoint.
        LimitError, ReadError: It cannot be read.
    """
    return _fold(manifest, _load(manifest, tree_path), tree_path)


def fold_tree(manifest: Manifest, data: bytes, source: str) -> tuple[memoryview, ...]:
    """Return the span nodes of each shard out of a tree file that is in memory.

    Args:
        manifest: What was signed.
        data: The whole tree file.
        source: Where it came from, for messages.

    Raises:
        FormatError, LimitError: As ``require_signed_nodes``.
    """
    sizes = _sizes(manifest, source)
    return _fold(manifest, tree_file.load_tree(data, sizes, source), source)


def tree_limit(manifest: Manifest) -> int:
    """Return the most bytes that the tree file of a signed checkpoint can have. Raises nothing."""
    sizes = [shard.size or 0 for shard in manifest.shards]
    return min(tree_file.tree_bytes(sizes), limits.MAX_TREE_FILE_BYTES)


def _fold(
    manifest: Manifest, nodes: tuple[memoryview, ...], tree_path: str
) -> tuple[memoryview, ...]:
    for shard, own in zip(manifest.shards, nodes, strict=True):
        if shard_root(own) != shard.root:
            raise errors.FormatError(
                f"{tree_path}: its span nodes for {shard.path} do not fold to the signed root:"
                " damaged, or of another release; verify the whole checkpoint without it, or get"
                " it again from the publisher",
                tree_path,
            )
    return nodes


def _load(manifest: Manifest, tree_path: str) -> tuple[memoryview, ...]:
    sizes = _sizes(manifest, tree_path)
    data = files.read_small(tree_path, tree_limit(manifest))
    return tree_file.load_tree(data, sizes, tree_path)


def _sizes(manifest: Manifest, tree_path: str) -> list[int]:
    if manifest.root is None:
        raise errors.FormatError(
            f"{tree_path}: the bundle was made by another tool, which signs no trees", tree_path
        )
    return [shard.size or 0 for shard in manifest.shards]
