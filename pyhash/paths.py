# SPDX-License-Identifier: Apache-2.0
"""The names that files may have in a manifest, and the names that are left out of checkpoints.

Text only: nothing here asks the file system whether a path exists or what it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate, pairwise

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.strict_json import show

# What OMS leaves out of every checkpoint unless told otherwise; top level only.
DEFAULT_IGNORED = (".git", ".gitattributes", ".github", ".gitignore")

# How the names begin of what pyhash writes before it has its own name; left there when it is ended.
UNFINISHED_PREFIX = ".pyhash-"

_PATTERN_CHARACTERS = frozenset("*?[")


def decode_name(name: str) -> str:
    """Return a path as UTF-8 reads it, whatever the locale: what is signed must not depend on it.

    Args:
        name: As Python's functions return it, decoded by the encoding of the locale.

    Returns:
        The path; bytes that are not UTF-8 have become lone surrogates. Raises nothing.
    """
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def encode_path(path: str) -> bytes:
    """Return the bytes that the system knows a path by: the inverse of ``decode_name``.

    Args:
        path: What ``decode_name`` returned.

    Raises:
        UnicodeEncodeError: It has surrogates that ``decode_name`` does not make.
    """
    return path.encode("utf-8", "surrogateescape")


def check_path(path: str, *, source: str | None = None) -> None:
    """Refuse a path that is not the one canonical name of a file below a checkpoint.

    Relative, ``/`` between components, no empty component, no ``.`` or ``..``, no NUL, valid
    UTF-8. Every other character is allowed, because file systems allow it. Pure, thread-safe.

    Args:
        path: The path.
        source: The file that holds the path, for messages.

    Raises:
        LimitError: More than MAX_PATH_BYTES bytes or MAX_PATH_DEPTH components.
        FormatError: Any other fault.
    """
    check_text(path, "a path", source=source)
    components = path.split("/")
    prefix = "" if source is None else f"{source}: "
    if len(path.encode("utf-8")) > limits.MAX_PATH_BYTES:
        raise LimitError(
            f"{prefix}the path {show(path)} is longer than {limits.MAX_PATH_BYTES} bytes", source
        )
    if len(components) > limits.MAX_PATH_DEPTH:
        raise LimitError(
            f"{prefix}the path {show(path)} has more than {limits.MAX_PATH_DEPTH} components",
            source,
        )
    if "\0" in path:
        raise FormatError(f"{prefix}the path {show(path)} has a NUL", source)
    if not {"", ".", ".."}.isdisjoint(components):
        raise FormatError(
            f"{prefix}the path {show(path)} is not relative and normal (no leading, trailing or "
            "double '/', no '.' or '..')",
            source,
        )


def check_ignored_path(path: str) -> None:
    """Refuse a path that cannot be written into ``ignore_paths``. Pure, thread-safe.

    Args:
        path: The path; OMS takes no patterns there, so ``*``, ``?`` and ``[`` are refused.

    Raises:
        LimitError: The path is above a cap of ``check_path``.
        FormatError: A pattern, or any fault that ``check_path`` refuses.
    """
    check_path(path)
    if not _PATTERN_CHARACTERS.isdisjoint(path):
        raise FormatError(f"the ignored path {show(path)} has one of '*?[': patterns do not work")


def check_listing(
    paths: Sequence[str], ignored: Sequence[str], *, source: str | None = None
) -> None:
    """Refuse a list of paths that no directory can hold, or that contradicts what is left out.

    Pure, thread-safe.

    Args:
        paths: Paths of files, sorted.
        ignored: Paths left out; each stands for everything below it too.
        source: The file that holds the list, for messages.

    Raises:
        FormatError: A path twice, a path below one that is a file, or a path that is left out.
    """
    prefix = "" if source is None else f"{source}: "
    for path, following in pairwise(paths):
        if path == following:
            raise FormatError(f"{prefix}{show(path)} is listed twice", source)
    files = set(paths)
    left_out = set(ignored)
    for path in paths:
        parents = list(accumulate(path.split("/"), lambda parent, name: f"{parent}/{name}"))
        if not left_out.isdisjoint(parents):
            raise FormatError(f"{prefix}{show(path)} is both signed and ignored", source)
        if not files.isdisjoint(parents[:-1]):
            raise FormatError(f"{prefix}{show(path)} lies below a file of the list", source)


def check_text(text: str, where: str, *, source: str | None = None) -> None:
    """Refuse a string that has no UTF-8 form, such as a file name of undecodable bytes.

    Args:
        text: The string, perhaps with surrogate escapes.
        where: What it is, for the message.
        source: The file that holds it, for messages.

    Raises:
        FormatError: It holds a lone surrogate.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        prefix = "" if source is None else f"{source}: "
        raise FormatError(f"{prefix}{where} is not valid UTF-8: {show(text)}", source) from None
