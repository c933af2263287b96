# SPDX-License-Identifier: Apache-2.0
"""Digests of what a step used and made: checkpoints, data sets, single files. Reads every byte."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from pyhash import files, hashing
from pyhash.errors import UnexpectedFileError
from pyhash.manifest import FORMAT_NAME
from pyhash.merkle import checkpoint_root
from pyhash.provenance.statement import Material


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint as statements name it.

    Attributes:
        name: Of its directory or file.
        root: 64 hex digits.
        oms_digest: SHA-256 over the file digests in order of their paths, 64 hex digits.
        size: Bytes.
    """

    name: str
    root: str
    oms_digest: str
    size: int


def describe_checkpoint(
    path: str | os.PathLike[str], *, options: hashing.Options | None = None
) -> Subject:
    """Hash a checkpoint, or any directory or file, as ``sign`` would.

    Args:
        path: A directory, or one file.
        options: How to hash.

    Raises:
        UnexpectedFileError: A link, pipe or device, or a name that is not UTF-8.
        ReadError, ChangedWhileReadError, LimitError, EngineError: It cannot be hashed.
        UsageError: There is no file at all.
    """
    listing = files.list_checkpoint(path, hashing.ignorer(hashing.IGNORED))
    if listing.strange:
        first = listing.strange[0]
        raise UnexpectedFileError(f"{first.path}: {first.message}", listing.strange)
    digests = hashing.hash_listing(listing, options=options or hashing.Options(), file_digests=True)
    named = sorted(zip((file.path for file in listing.files), digests, strict=True))
    root = checkpoint_root((name, digest.size, digest.root) for name, digest in named)
    whole = b"".join(digest.file_digest or b"" for _, digest in named)
    return Subject(
        listing.name,
        root.hex(),
        hashlib.sha256(whole).hexdigest(),
        sum(digest.size for _, digest in named),
    )


def hash_material(
    role: str,
    path: str | os.PathLike[str],
    *,
    uri: str | None = None,
    options: hashing.Options | None = None,
) -> Material:
    """Hash something that a step used.

    Args:
        role: One of ``statement.ROLES``.
        path: A directory, or one file.
        uri: Where it came from.
        options: How to hash.

    Raises:
        UsageError, UnexpectedFileError, ReadError, ChangedWhileReadError, LimitError, EngineError:
            As ``describe_checkpoint``.
    """
    found = describe_checkpoint(path, options=options)
    digests = ((FORMAT_NAME, found.root), ("sha256", found.oms_digest))
    return Material(role, found.name, digests, uri)
