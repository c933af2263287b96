# SPDX-License-Identifier: Apache-2.0
"""Files of no known format: no header, no tensors. Everything that nothing else claims."""

from __future__ import annotations

from pyhash.formats._base import Layout, ReadAt

NAME = "raw"


def detect(path: str, head: bytes) -> bool:
    """Claim every file; so this format stands last in the list.

    Args:
        path: Not looked at.
        head: Not looked at.

    Returns:
        True. Raises nothing.
    """
    del path, head
    return True


def parse(read_at: ReadAt, size: int, path: str) -> Layout:
    """Return the layout without tensors, reading nothing.

    Args:
        read_at: Not called.
        size: Not looked at.
        path: Not looked at.

    Returns:
        A layout with no tensors and no header. Raises nothing.
    """
    del read_at, size, path
    return Layout(NAME, (), 0, ())
