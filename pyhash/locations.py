# SPDX-License-Identifier: Apache-2.0
"""Where the bundle and the tree file of a checkpoint lie unless the caller says otherwise."""

from __future__ import annotations

import os

from pyhash.paths import decode_name

BUNDLE_NAME, TREE_NAME = "model.sig", "model.tree"  # in a checkpoint's directory
BUNDLE_SUFFIX, TREE_SUFFIX = ".sig", ".tree"  # beside a checkpoint that is one file


OWN_NAMES = (BUNDLE_NAME, TREE_NAME)  # never part of the checkpoint that they stand in


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


def inside(path: str | os.PathLike[str], name: str) -> str | None:
    """Return a file's path inside a checkpoint's directory; None when it lies elsewhere.

    Links on the way to the file are resolved, a link in its own place is not.
    """
    root = os.path.realpath(path)
    directory = os.path.realpath(os.path.dirname(name) or ".")
    relative = os.path.relpath(os.path.join(directory, os.path.basename(name)), root)
    outside = relative == "." or relative == ".." or relative.startswith("../")
    return None if outside else decode_name(relative)
