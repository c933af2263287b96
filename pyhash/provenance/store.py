# SPDX-License-Identifier: Apache-2.0
"""The file of statements beside a checkpoint: one signed bundle a line, never changed, only added.

Knows lines, not what they say; a statement that is added leaves the checkpoint's signature valid.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pyhash import atomic, files, limits
from pyhash.errors import LimitError, ReadError, UsageError
from pyhash.log.lock import locked_directory


def load_lines(location: str | os.PathLike[str]) -> tuple[bytes, ...]:
    """Return the bundles, exact bytes, in the order of the file; none when there is no file.

    Raises:
        LimitError: Too many, or too large.
        ReadError: The file is there and cannot be read.
    """
    name = os.fspath(location)
    try:
        data = files.read_small(name, limits.MAX_PROVENANCE_FILE_BYTES)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return ()
        raise
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    if len(lines) > limits.MAX_STATEMENTS:
        raise LimitError(f"{name}: more than {limits.MAX_STATEMENTS} statements", name)
    return tuple(lines)


def add_lines(location: str | os.PathLike[str], bundles: Sequence[bytes]) -> None:
    """Add bundles that are not there yet; several processes may do so at once.

    Args:
        location: The file; made when it is not there.
        bundles: Exact bytes, one line each.

    Raises:
        UsageError: A bundle is no single line.
        LimitError: There would be too many.
        ReadError, WriteError: The system refused; what was there before still is.
    """
    name = os.fspath(location)
    if any(not one or b"\n" in one for one in bundles):
        raise UsageError("a bundle in a file of statements is one line")
    with locked_directory(os.path.dirname(name) or "."):
        lines = dict.fromkeys((*load_lines(name), *bundles))
        data = b"".join(line + b"\n" for line in lines)
        if len(lines) > limits.MAX_STATEMENTS or len(data) > limits.MAX_PROVENANCE_FILE_BYTES:
            raise LimitError(f"{name}: there would be too many statements", name)
        atomic.write_file(name, data)
