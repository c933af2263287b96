# SPDX-License-Identifier: Apache-2.0
"""Whom to trust, and what may stand beside the signed files without being signed.

A policy is data: it opens no checkpoint and checks no signature. This version knows trusted keys
and ignored paths; every key may sign every checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from pyhash.errors import FormatError, UsageError
from pyhash.merkle import parse_root
from pyhash.paths import check_ignored_path
from pyhash.signing import Verifier, load_verifier


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verification is held against. Immutable, thread-safe.

    Attributes:
        keys: Trusted keys; a valid signature by any one of them is accepted. Never empty.
        ignore: Paths that may be there unsigned, relative to the checkpoint, ``/``-separated; a
            directory stands for everything below it. No patterns.
        root: The only checkpoint root to accept, 32 bytes: an older release by the same key is
            validly signed too. None: any.

    Raises:
        UsageError: No key, or a path that could reach outside or holds a pattern.
    """

    keys: tuple[Verifier, ...]
    ignore: tuple[str, ...] = ()
    root: bytes | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("a policy needs at least one trusted key")
        for path in self.ignore:
            try:
                check_ignored_path(path)
            except FormatError as error:
                raise UsageError(f"cannot ignore this path: {error}") from error

    @classmethod
    def from_key_files(
        cls,
        key_files: Iterable[str | os.PathLike[str]],
        *,
        ignore: Iterable[str] = (),
        root: str | None = None,
    ) -> Policy:
        """Load trusted keys from files.

        Args:
            key_files: Key references; usually paths of PEM files with one public key each.
            ignore: See the attribute.
            root: See the attribute; spelled ``pyhash-v1:<64 hex digits>``.

        Returns:
            The policy.

        Raises:
            UsageError: No key, one path instead of a list of them, or a bad ``ignore`` or ``root``.
            KeyFileError: A key cannot be read, or is of a kind we do not take.
        """
        if isinstance(key_files, (str, os.PathLike)) or isinstance(ignore, str):
            raise UsageError("give key files and ignored paths as lists, not as one string")
        pinned = None if root is None else parse_root(root)
        keys = tuple(load_verifier(reference) for reference in key_files)
        return cls(keys, tuple(ignore), pinned)
