# SPDX-License-Identifier: Apache-2.0
"""Statuses of the engine as exceptions: one table, which is complete; a test walks the enum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pyhash import errors
from pyhash._native._engine import ffi, lib

if TYPE_CHECKING:
    from pyhash._native import Range

STATUS_ERRORS: dict[int, type[errors.PyhashError]] = {
    lib.PYHASH_ERR_ARGUMENT: errors.UsageError,
    lib.PYHASH_ERR_MEMORY: errors.EngineError,
    lib.PYHASH_ERR_KERNEL: errors.EngineError,
    lib.PYHASH_ERR_NOT_REGULAR: errors.ReadError,
    lib.PYHASH_ERR_READ: errors.ReadError,
    lib.PYHASH_ERR_SHRANK: errors.TruncatedError,
    lib.PYHASH_ERR_CANCELLED: errors.CancelledError,
}


def check(status: int) -> None:
    """Raise what a status stands for, unless it is "ok"."""
    if status != lib.PYHASH_OK:
        raise_status(status, None, ())


def raise_status(status: int, error: Any, ranges: Sequence[Range]) -> NoReturn:
    """Raise what a status stands for; of a file that was read, with its path and the place.

    Args:
        status: Anything but "ok".
        error: The engine's ``struct pyhash_error``; None: there is none.
        ranges: What the engine was given.
    """
    text = ffi.string(lib.pyhash_status_text(status)).decode("ascii")
    kind = STATUS_ERRORS.get(status, errors.EngineError)
    if error is None or not ranges or not issubclass(kind, errors.ReadError):
        raise kind(text)
    path = ranges[error.range_index].path
    code = int(error.os_errno) or None
    reason = f"{text} (errno {code})" if code else text
    raise kind(f"{path}: {reason} at byte {error.offset}", path, code, int(error.offset))
