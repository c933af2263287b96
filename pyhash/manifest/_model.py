# SPDX-License-Identifier: Apache-2.0
"""The signed list of shards as frozen data, and what holds for every such list.

Knows no JSON: ``_writing`` and ``_reading`` turn it into statement bytes and back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.frozen import frozen
from pyhash.manifest._release import Release
from pyhash.merkle import checkpoint_root
from pyhash.paths import check_ignored_path, check_listing, check_path, check_text
from pyhash.strict_json import show

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
OMS_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
OLD_PREDICATE_TYPE = "https://model_signing/Digests/v0.1"  # of model-signing 0.2
PYHASH_PREDICATE_TYPE = "https://pyhash-checkpoint.org/statement/v1"
FORMAT_NAME = "pyhash-v1"  # key of our annotation and of our subject digest
VERITY_NAME = "pyhash-verity"  # key of the annotation that has an fs-verity digest
DIGEST_BYTES = 32


@frozen
class SignedRange:
    """A digest of a run of bytes, as other OMS tools sign them instead of a plain SHA-256.

    Attributes:
        start: First byte.
        end: One past the last byte; None: the end of the file, wherever that is.
        algorithm: ``sha256``, ``blake2b`` or ``blake3``.
        digest: The digest.
    """

    start: int
    end: int | None
    algorithm: str
    digest: bytes


@frozen
class ShardEntry:
    """One signed file.

    Attributes:
        path: Path inside the checkpoint, ``/``-separated (see ``check_path``); ``"."`` only where
            ``Manifest.single_file`` says so.
        size: Bytes; None in a bundle made by another OMS tool that signed whole files.
        root: Shard root, 32 bytes; None in every bundle made by another OMS tool.
        file_digest: SHA-256 of the whole file, 32 bytes; None when it was left out at signing.
        ranges: What another OMS tool signed instead: from byte 0 to the end, without a hole.
        verity: What the kernel measures of the file once it is sealed (see ``verity``), 32 bytes;
            None: that was not signed. All files of a checkpoint have it, or none.
    """

    path: str
    size: int | None
    root: bytes | None
    file_digest: bytes | None
    ranges: tuple[SignedRange, ...] = ()
    verity: bytes | None = None


@frozen
class Manifest:
    """What a signature says about a checkpoint. ``build_manifest`` and ``load_statement`` make it.

    Attributes:
        name: Basename of the checkpoint when it was signed; for people only.
        shards: The signed files in byte order of path; at least one.
        root: Checkpoint root, 32 bytes; None in a bundle made by another OMS tool.
        ignore_paths: Paths left out at signing, as signed; a directory stands for its subtree.
        predicate_type: ``OMS_PREDICATE_TYPE`` or ``PYHASH_PREDICATE_TYPE``.
        single_file: The only resource is named ``"."``: another tool signed one file, not a
            directory. (Ours names such a file by its basename, and this is False.)
        allow_symlinks: Links were followed at signing, and their targets signed under their names.
        omits_empty: Another tool signed ranges, and so said nothing about files without bytes.
        release: Which release it is, as far as the publisher says; None: nothing is said.
    """

    name: str
    shards: tuple[ShardEntry, ...]
    root: bytes | None
    ignore_paths: tuple[str, ...]
    predicate_type: str
    single_file: bool = False
    allow_symlinks: bool = False
    omits_empty: bool = False
    release: Release | None = None


def build_manifest(
    name: str,
    shards: Iterable[ShardEntry],
    *,
    ignore_paths: Iterable[str] = (),
    allow_symlinks: bool = False,
    release: Release | None = None,
) -> Manifest:
    """Make the manifest of a checkpoint that has just been hashed. Pure, thread-safe.

    Args:
        name: Basename of the checkpoint.
        shards: Every file, in any order, all with ``size`` and ``root``; all with or all without
            ``file_digest``, which chooses the predicate type.
        ignore_paths: What was left out; written as given.
        allow_symlinks: Links were followed.
        release: Which release it is; None: nothing is said about that.

    Returns:
        The manifest; ``dump_statement`` takes it.

    Raises:
        LimitError: More files than MAX_CHECKPOINT_FILES, or a path or size above its cap.
        FormatError: No file, a path twice, a bad path, or a file that is also to be ignored.
        ValueError: A shard without size or root, or only some with a file digest or an fs-verity
            digest.
    """
    ordered = tuple(sorted(shards, key=lambda shard: shard.path))
    if any(shard.size is None or shard.root is None for shard in ordered):
        raise ValueError("every shard needs its size and its root")
    check_count(len(ordered), None)
    with_digests = ordered[0].file_digest is not None
    manifest = Manifest(
        name=name,
        shards=ordered,
        root=bytes(DIGEST_BYTES),
        ignore_paths=tuple(ignore_paths),
        predicate_type=OMS_PREDICATE_TYPE if with_digests else PYHASH_PREDICATE_TYPE,
        allow_symlinks=allow_symlinks,
        release=release,
    )
    # Only what has been checked is hashed: the root of a path that is not UTF-8 does not exist.
    check_arguments(manifest)
    check_entries(manifest, None)
    return replace(manifest, root=_root_of(ordered))


def check_arguments(manifest: Manifest) -> None:
    """Refuse a manifest that no statement can express: a mistake of the caller, not of a file."""
    if manifest.predicate_type not in (OMS_PREDICATE_TYPE, PYHASH_PREDICATE_TYPE):
        raise ValueError(f"no such predicate type: {manifest.predicate_type!r}")
    if manifest.single_file:
        raise ValueError("a single file is signed under its basename")
    if manifest.omits_empty or any(shard.ranges for shard in manifest.shards):
        raise ValueError("ranges are read from other tools' bundles and never written")
    own = manifest.root is not None
    oms = manifest.predicate_type == OMS_PREDICATE_TYPE
    if not own and not oms:
        raise ValueError("a statement needs whole-file digests or a checkpoint root")
    if any(shard.path > following.path for shard, following in pairwise(manifest.shards)):
        raise ValueError("shards must be in order of path")
    for shard in manifest.shards:
        present = (shard.size is not None, shard.root is not None, shard.file_digest is not None)
        if present != (own, own, oms):
            raise ValueError(f"{shard.path!r}: size, root and digest do not fit the manifest")
        if (shard.verity is None) != (manifest.shards[0].verity is None):
            raise ValueError(f"{shard.path!r}: all files have an fs-verity digest, or none")
        if shard.verity is not None and not own:
            raise ValueError(f"{shard.path!r}: an fs-verity digest without a root")
        digests = (shard.root, shard.file_digest, shard.verity)
        if any(digest is not None and len(digest) != DIGEST_BYTES for digest in digests):
            raise ValueError(f"{shard.path!r}: a digest is not {DIGEST_BYTES} bytes")
    for path in manifest.ignore_paths:
        check_ignored_path(path)


def check_count(nshards: int, source: str | None) -> None:
    if nshards == 0:
        raise format_error("a checkpoint without any file", source)
    if nshards > limits.MAX_CHECKPOINT_FILES:
        raise LimitError(
            f"{source or 'checkpoint'}: {nshards} files, above the cap of "
            f"{limits.MAX_CHECKPOINT_FILES}",
            source,
        )


def check_entries(manifest: Manifest, source: str | None) -> None:
    """Check everything but the root: what a person or another tool could have got wrong."""
    check_count(len(manifest.shards), source)
    if not manifest.name:
        raise format_error("the checkpoint has no name", source)
    check_text(manifest.name, "the name of the checkpoint", source=source)
    for path in manifest.ignore_paths:
        check_path(path, source=source)
    for shard in manifest.shards:
        if not manifest.single_file:
            check_path(shard.path, source=source)
        if shard.size is not None and shard.size > limits.MAX_SHARD_BYTES:
            raise LimitError(
                f"{source or 'checkpoint'}: {show(shard.path)} has {shard.size} bytes, above the "
                f"cap of {limits.MAX_SHARD_BYTES}",
                source,
            )
    check_listing([shard.path for shard in manifest.shards], manifest.ignore_paths, source=source)


def check_root(manifest: Manifest, source: str | None) -> None:
    if manifest.root is not None and manifest.root != _root_of(manifest.shards):
        raise format_error("the checkpoint root is not the root of the listed files", source)


def _root_of(shards: Iterable[ShardEntry]) -> bytes:
    return checkpoint_root(
        (shard.path, shard.size, shard.root)
        for shard in shards
        if shard.size is not None and shard.root is not None
    )


def oms_root(listed: Iterable[bytes]) -> bytes:
    """Digest over all digests in the listed order; it binds no names (OMS v1.0, 6.5.1)."""
    return hashlib.sha256(b"".join(listed)).digest()


def format_error(message: str, source: str | None) -> FormatError:
    return FormatError(message if source is None else f"{source}: {message}", source)
