# SPDX-License-Identifier: Apache-2.0
"""The signed list of shards, as frozen data and as the statement bytes that are signed.

Two statements are written and read: the OMS v1.0 statement with our part in its annotations, and
the same without whole-file digests under a predicate type of our own. Statements of other OMS
tools (method ``files``, SHA-256) are read too. Nothing here opens a file or checks a signature:
hand ``load_statement`` only the payload of a ``VerifiedPayload``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.merkle import checkpoint_root
from pyhash.paths import (
    DEFAULT_IGNORED,
    check_ignored_path,
    check_listing,
    check_path,
    check_text,
)
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_boolean,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)

__all__ = [
    "DEFAULT_IGNORED",
    "FORMAT_NAME",
    "OMS_PREDICATE_TYPE",
    "PYHASH_PREDICATE_TYPE",
    "STATEMENT_TYPE",
    "Manifest",
    "ShardEntry",
    "build_manifest",
    "check_path",
    "dump_statement",
    "load_statement",
]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
OMS_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
PYHASH_PREDICATE_TYPE = "https://pyhash-checkpoint.org/statement/v1"
FORMAT_NAME = "pyhash-v1"  # key of our annotation and of our subject digest

_OLD_PREDICATE_TYPE = "https://model_signing/Digests/v0.1"
_DIGEST_BYTES = 32
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_SINGLE_FILE = "."  # how the reference tool names the only resource of a single-file model


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One signed file.

    Attributes:
        path: Path inside the checkpoint, ``/``-separated (see ``check_path``); ``"."`` only where
            ``Manifest.single_file`` says so.
        size: Bytes; None in a bundle made by another OMS tool.
        root: Shard root, 32 bytes; None exactly where ``size`` is.
        file_digest: SHA-256 of the whole file, 32 bytes; None when it was left out at signing.
    """

    path: str
    size: int | None
    root: bytes | None
    file_digest: bytes | None


@dataclass(frozen=True, slots=True)
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
    """

    name: str
    shards: tuple[ShardEntry, ...]
    root: bytes | None
    ignore_paths: tuple[str, ...]
    predicate_type: str
    single_file: bool = False


def build_manifest(
    name: str, shards: Iterable[ShardEntry], *, ignore_paths: Iterable[str] = ()
) -> Manifest:
    """Make the manifest of a checkpoint that has just been hashed. Pure, thread-safe.

    Args:
        name: Basename of the checkpoint.
        shards: Every file, in any order, all with ``size`` and ``root``; all with or all without
            ``file_digest``, which chooses the predicate type.
        ignore_paths: What was left out; written as given.

    Returns:
        The manifest; ``dump_statement`` takes it.

    Raises:
        LimitError: More files than MAX_CHECKPOINT_FILES, or a path or size above its cap.
        FormatError: No file, a path twice, a bad path, or a file that is also to be ignored.
        ValueError: A shard without size or root, or only some with a file digest.
    """
    ordered = tuple(sorted(shards, key=lambda shard: shard.path))
    if any(shard.size is None or shard.root is None for shard in ordered):
        raise ValueError("every shard needs its size and its root")
    _check_count(len(ordered), None)
    with_digests = ordered[0].file_digest is not None
    manifest = Manifest(
        name=name,
        shards=ordered,
        root=bytes(_DIGEST_BYTES),
        ignore_paths=tuple(ignore_paths),
        predicate_type=OMS_PREDICATE_TYPE if with_digests else PYHASH_PREDICATE_TYPE,
    )
    # Only what has been checked is hashed: the root of a path that is not UTF-8 does not exist.
    _check_arguments(manifest)
    _check_entries(manifest, None)
    return replace(manifest, root=_root_of(ordered))


def dump_statement(manifest: Manifest) -> bytes:
    """Write the statement: one line of UTF-8 JSON, always the same for the same manifest.

    Pure, thread-safe.

    Args:
        manifest: What to write.

    Returns:
        The exact bytes to sign.

    Raises:
        LimitError: See ``build_manifest``.
        FormatError: ``load_statement`` would not accept what was written.
        ValueError: Shards out of order, a digest that is not 32 bytes or is missing where the
            predicate type wants it, or ``single_file``, which this version does not write.
    """
    _check_arguments(manifest)
    _check_entries(manifest, None)
    _check_root(manifest, None)
    digests: dict[str, JsonValue] = {}
    serialization: dict[str, JsonValue] = {"method": FORMAT_NAME}
    if manifest.predicate_type == OMS_PREDICATE_TYPE:
        digests["sha256"] = _oms_root(manifest.shards).hex()
        serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    if manifest.root is not None:
        digests[FORMAT_NAME] = manifest.root.hex()
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": manifest.name, "digest": digests}],
        "predicateType": manifest.predicate_type,
        "predicate": {
            "resources": [_dump_resource(shard) for shard in manifest.shards],
            "serialization": serialization | {"ignore_paths": list(manifest.ignore_paths)},
        },
    }
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def load_statement(payload: bytes, *, path: str) -> Manifest:
    """Read a statement strictly. Pure, thread-safe.

    Args:
        payload: The exact bytes that were signed; their signature has been checked.
        path: Where they came from, for messages.

    Returns:
        The manifest, with shards in byte order of path whatever order they were listed in.

    Raises:
        LimitError: A size or count is above its cap.
        FormatError: Not a statement, one of another type or method, or one that contradicts
            itself (a path twice, a root that is not the root of what is listed).
    """
    statement = expect_fields(
        load_json(payload, path=path, max_bytes=limits.MAX_BUNDLE_BYTES),
        "the statement",
        path,
        required=("_type", "subject", "predicateType", "predicate"),
    )
    _expect_word(statement["_type"], STATEMENT_TYPE, "_type", path)
    predicate_type = _load_predicate_type(statement["predicateType"], path)
    oms = predicate_type == OMS_PREDICATE_TYPE
    predicate = expect_fields(
        statement["predicate"], "the predicate", path, required=("resources", "serialization")
    )
    ignore_paths = _load_serialization(predicate["serialization"], oms, path)
    resources = expect_array(predicate["resources"], "resources", path)
    _check_count(len(resources), path)
    listed = [_load_resource(resource, oms, path) for resource in resources]
    name, oms_root, root = _load_subject(statement["subject"], oms, path)
    if oms_root is not None and oms_root != _oms_root(listed):
        raise _error("the root digest is not the root of the listed resources", path)
    if {shard.root is not None for shard in listed} != {root is not None}:
        raise _error(f"{FORMAT_NAME} must be in the subject and all resources, or nowhere", path)
    manifest = Manifest(
        name=name,
        shards=tuple(sorted(listed, key=lambda shard: shard.path)),
        root=root,
        ignore_paths=ignore_paths,
        predicate_type=predicate_type,
        single_file=root is None and [shard.path for shard in listed] == [_SINGLE_FILE],
    )
    _check_entries(manifest, path)
    _check_root(manifest, path)
    return manifest


def _check_arguments(manifest: Manifest) -> None:
    """Refuse a manifest that no statement can express: a mistake of the caller, not of a file."""
    if manifest.predicate_type not in (OMS_PREDICATE_TYPE, PYHASH_PREDICATE_TYPE):
        raise ValueError(f"no such predicate type: {manifest.predicate_type!r}")
    if manifest.single_file:
        raise ValueError("a single file is signed under its basename")
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
        digests = (shard.root, shard.file_digest)
        if any(digest is not None and len(digest) != _DIGEST_BYTES for digest in digests):
            raise ValueError(f"{shard.path!r}: a digest is not {_DIGEST_BYTES} bytes")
    for path in manifest.ignore_paths:
        check_ignored_path(path)


def _check_count(nshards: int, source: str | None) -> None:
    if nshards == 0:
        raise _error("a checkpoint without any file", source)
    if nshards > limits.MAX_CHECKPOINT_FILES:
        raise LimitError(
            f"{source or 'checkpoint'}: {nshards} files, above the cap of "
            f"{limits.MAX_CHECKPOINT_FILES}",
            source,
        )


def _check_entries(manifest: Manifest, source: str | None) -> None:
    """Check everything but the root: what a person or another tool could have got wrong."""
    _check_count(len(manifest.shards), source)
    if not manifest.name:
        raise _error("the checkpoint has no name", source)
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


def _check_root(manifest: Manifest, source: str | None) -> None:
    if manifest.root is not None and manifest.root != _root_of(manifest.shards):
        raise _error("the checkpoint root is not the root of the listed files", source)


def _root_of(shards: Iterable[ShardEntry]) -> bytes:
    return checkpoint_root(
        (shard.path, shard.size, shard.root)
        for shard in shards
        if shard.size is not None and shard.root is not None
    )


def _oms_root(listed: Iterable[ShardEntry]) -> bytes:
    """Digest over the file digests in the listed order; it binds no names (OMS v1.0, 6.5.1)."""
    return hashlib.sha256(b"".join(shard.file_digest or b"" for shard in listed)).digest()


def _dump_resource(shard: ShardEntry) -> dict[str, JsonValue]:
    resource: dict[str, JsonValue] = {"name": shard.path}
    if shard.file_digest is not None:
        resource |= {"algorithm": "sha256", "digest": shard.file_digest.hex()}
    if shard.root is not None:
        resource["annotations"] = {FORMAT_NAME: {"size": shard.size, "root": shard.root.hex()}}
    return resource


def _load_predicate_type(value: JsonValue, path: str) -> str:
    predicate_type = expect_string(value, "predicateType", path)
    if predicate_type == _OLD_PREDICATE_TYPE:
        raise _error(
            f"an old form of the statement ({_OLD_PREDICATE_TYPE}, written by model-signing 0.2), "
            "which this version does not read; have it signed again",
            path,
        )
    if predicate_type not in (OMS_PREDICATE_TYPE, PYHASH_PREDICATE_TYPE):
        raise _error(f"a statement of another kind: predicateType {show(predicate_type)}", path)
    return predicate_type


def _load_subject(value: JsonValue, oms: bool, path: str) -> tuple[str, bytes | None, bytes | None]:
    """Read name, OMS root and checkpoint root."""
    subjects = expect_array(value, "subject", path)
    if len(subjects) != 1:
        raise _error(f"{len(subjects)} subjects instead of one", path)
    subject = expect_object(subjects[0], "the subject", path)
    where = "the subject's digest"
    if not oms:
        expect_fields(subject, "the subject", path, required=("name", "digest"))
        expect_fields(subject["digest"], where, path, required=(FORMAT_NAME,))
    digests = expect_object(subject.get("digest"), where, path)
    name = expect_string(subject.get("name"), "the subject's name", path)
    oms_root = _load_digest(digests.get("sha256"), f"{where} (sha256)", path) if oms else None
    own = FORMAT_NAME in digests
    root = _load_digest(digests[FORMAT_NAME], f"{where} ({FORMAT_NAME})", path) if own else None
    return name, oms_root, root


def _load_serialization(value: JsonValue, oms: bool, path: str) -> tuple[str, ...]:
    """Check how the statement was made; return the ignored paths."""
    where = "serialization"
    fields = expect_object(value, where, path)
    # Method and digest first: what is not supported deserves a better answer than "unknown field".
    words = {"method": "files", "hash_type": "sha256"} if oms else {"method": FORMAT_NAME}
    for name, only in words.items():
        _expect_word(fields.get(name), only, f"{where}.{name}", path)
    required = (*words, "allow_symlinks") if oms else (*words, "ignore_paths")
    expect_fields(fields, where, path, required=required, optional=("ignore_paths",))
    if oms:
        # Links that were followed are signed as plain files, and that is how they are compared.
        expect_boolean(fields["allow_symlinks"], f"{where}.allow_symlinks", path)
    where = f"{where}.ignore_paths"
    ignored = expect_array(fields.get("ignore_paths", []), where, path)
    return tuple(expect_string(item, where, path) for item in ignored)


def _load_resource(value: JsonValue, oms: bool, path: str) -> ShardEntry:
    """Read one resource; OMS allows fields beyond those that it names, our own type does not."""
    resource = expect_object(value, "a resource", path)
    if not oms:
        expect_fields(resource, "a resource", path, required=("name", "annotations"))
    name = expect_string(resource.get("name"), "the name of a resource", path)
    where = f"the resource {show(name)}"
    digest = None
    if oms:
        _expect_word(resource.get("algorithm"), "sha256", f"{where}: algorithm", path)
        digest = _load_digest(resource.get("digest"), f"{where}: digest", path)
    notes = expect_object(resource.get("annotations", {}), f"{where}: annotations", path)
    if not oms:
        expect_fields(notes, f"{where}: annotations", path, required=(FORMAT_NAME,))
    if FORMAT_NAME not in notes:
        return ShardEntry(name, None, None, digest)
    ours = expect_fields(
        notes[FORMAT_NAME], f"{where}: {FORMAT_NAME}", path, required=("size", "root")
    )
    size = expect_integer(ours["size"], f"{where}: size", path)
    return ShardEntry(name, size, _load_digest(ours["root"], f"{where}: root", path), digest)


def _load_digest(value: JsonValue, where: str, path: str) -> bytes:
    text = expect_string(value, where, path)
    if _HEX_DIGEST.fullmatch(text) is None:
        raise _error(f"{where} is {show(text)}, not 64 lowercase hex digits", path)
    return bytes.fromhex(text)


def _expect_word(value: JsonValue, only: str, where: str, path: str) -> None:
    word = expect_string(value, where, path)
    if word != only:
        raise _error(f"{where} is {show(word)}; this version checks only {only!r}", path)


def _error(message: str, source: str | None) -> FormatError:
    return FormatError(message if source is None else f"{source}: {message}", source)
