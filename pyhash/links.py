# SPDX-License-Identifier: Apache-2.0
"""Follows a link to a file, one step at a time, and refuses every step out of one directory.

For caches that hold a checkpoint as links into a store of blobs. Nothing is opened here: who
opens the target must compare what it got with what was listed.
"""

from __future__ import annotations

import os
import stat

from pyhash.errors import UnexpectedFileError

# A Hugging Face cache has two: from the snapshot to the repository's blobs, from there to the blobs
# that all repositories share.
MAX_LEVELS = 2


def resolve_link(start: str, root: str) -> str:
    """Return the regular file that a link leads to.

    Args:
        start: Absolute path of the link, its directory without links.
        root: Absolute path of the directory that no step may leave, without links.

    Returns:
        The absolute path of the file, without links.

    Raises:
        UnexpectedFileError: A step leaves the root, there are more than MAX_LEVELS links, or the
            last one leads to something that is no regular file; the message is only the reason.
        OSError: The system refused to look.
    """
    here = start
    for _ in range(MAX_LEVELS):
        step = os.path.join(os.path.dirname(here), os.readlink(here))
        # The directories on the way may be links themselves; where they end is what counts.
        directory = os.path.realpath(os.path.dirname(step))
        here = os.path.join(directory, os.path.basename(step))
        if os.path.basename(step) in ("", ".", "..") or not _is_inside(here, root):
            raise UnexpectedFileError(f"a link that leads out of {root}")
        mode = _mode(here)
        if mode is None:
            raise UnexpectedFileError("a link to nothing")
        if stat.S_ISREG(mode):
            return here
        if not stat.S_ISLNK(mode):
            raise UnexpectedFileError("a link to something that is no regular file")
    raise UnexpectedFileError(f"a link over more than {MAX_LEVELS} levels")


def _is_inside(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


def _mode(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
