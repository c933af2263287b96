# SPDX-License-Identifier: Apache-2.0
"""Where the bundle and the tree file of a checkpoint lie unless the caller says otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pyhash.errors import UsageError
from pyhash.paths import decode_name

BUNDLE_NAME, TREE_NAME = "model.sig", "model.tree"  # in a checkpoint's directory
BUNDLE_SUFFIX, TREE_SUFFIX = ".sig", ".tree"  # beside a checkpoint that is one file
# Signed statements about its life, and proofs that they are in a log: one JSON text a line.
PROVENANCE_NAME, PROOFS_NAME = "model.provenance.jsonl", "model.proofs.jsonl"
PROVENANCE_SUFFIX, PROOFS_SUFFIX = ".provenance.jsonl", ".proofs.jsonl"

# Where Hugging Face's downloader keeps its notes in a directory that it downloaded into.
DOWNLOAD_METADATA = ".cache/huggingface"

# Never part of the checkpoint that they stand in.
OWN_NAMES = (BUNDLE_NAME, TREE_NAME, PROVENANCE_NAME, PROOFS_NAME)


def default_bundle(path: str | os.PathLike[str]) -> str:
    """Return where the bundle of a checkpoint lies unless told otherwise. Raises nothing."""
    if os.path.isdir(path):
        return os.path.join(path, BUNDLE_NAME)
    return os.fspath(path) + BUNDLE_SUFFIX


def default_tree(path: str | os.PathLike[str]) -> str:
    """Return where the tree file of a checkpoint lies unless told otherwise. Raises nothing."""
    if os.path.isdir(path):
        return os.path.join(path, TREE_NAME)
    return os.fspath(path) + TREE_SUFFIX


def default_provenance(path: str | os.PathLike[str]) -> str:
    """Return where the statements about a checkpoint lie. Raises nothing."""
    if os.path.isdir(path):
        return os.path.join(path, PROVENANCE_NAME)
    return os.fspath(path) + PROVENANCE_SUFFIX


def default_proofs(path: str | os.PathLike[str]) -> str:
    """Return where the proofs lie that statements about a checkpoint are logged. Raises nothing."""
    if os.path.isdir(path):
        return os.path.join(path, PROOFS_NAME)
    return os.fspath(path) + PROOFS_SUFFIX


def places(
    path: str | os.PathLike[str],
    signature: str | os.PathLike[str] | None,
    tree: str | os.PathLike[str] | None,
) -> tuple[str, str]:
    """Return where bundle and tree file lie: as the caller says, or by default. Raises nothing."""
    return (
        default_bundle(path) if signature is None else os.fspath(signature),
        default_tree(path) if tree is None else os.fspath(tree),
    )


def inside(path: str | os.PathLike[str], name: str) -> str | None:
    """Return a file's path inside a checkpoint's directory; None when it lies elsewhere.

    Links on the way to the file are resolved, a link in its own place is not. Raises nothing.
    """
    root = os.path.realpath(path)
    directory = os.path.realpath(os.path.dirname(name) or ".")
    relative = os.path.relpath(os.path.join(directory, os.path.basename(name)), root)
    outside = relative == "." or relative == ".." or relative.startswith("../")
    return None if outside else decode_name(relative)


def check_keys_outside(
    path: str | os.PathLike[str], keys: Iterable[str | os.PathLike[str]]
) -> None:
    """Refuse keys that lie in the checkpoint's directory.

    A public key there vouches for itself: who can change the checkpoint can change the key, and
    where a link there leads. A private key there would be signed and published.

    Args:
        path: The checkpoint.
        keys: Key files, policy files.

    Raises:
        UsageError: One of them lies inside.
    """
    for key in keys:
        name = os.fspath(key)
        if os.path.isdir(path) and any(inside(path, one) is not None for one in _on_the_way(name)):
            raise UsageError(
                f"{name}: lies inside the checkpoint {os.fspath(path)}; keep keys apart, and"
                " policies"
            )


def _on_the_way(name: str) -> Iterator[str]:
    """What a path leads to, and where there are links on it, everything that it names before."""
    place, target = os.path.abspath(name), os.path.realpath(name)
    yield target
    while place not in (target, os.path.dirname(place)):
        yield place
        place, target = os.path.dirname(place), os.path.realpath(os.path.dirname(place))
