# SPDX-License-Identifier: Apache-2.0
"""From statement bytes to a manifest, strictly.

Hand ``load_statement`` only the payload of a ``VerifiedPayload``: nothing here checks a signature.
"""

from __future__ import annotations

from pyhash import limits
from pyhash.manifest._model import (
    FORMAT_NAME,
    OLD_PREDICATE_TYPE,
    OMS_PREDICATE_TYPE,
    PYHASH_PREDICATE_TYPE,
    STATEMENT_TYPE,
    VERITY_NAME,
    Manifest,
    ShardEntry,
    check_count,
    check_entries,
    check_root,
    format_error,
    oms_root,
)
from pyhash.manifest._release import Release, load_release
from pyhash.manifest._serialization import (
    DIGEST_BYTES,
    Serialization,
    load_digest,
    load_range,
    load_serialization,
    merge_ranges,
)
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)

_SINGLE_FILE = "."  # how the reference tool names the only resource of a single-file model


def load_statement(payload: bytes, *, path: str, accept_historical: bool = False) -> Manifest:
    """Read a statement strictly. Pure, thread-safe.

    Args:
        payload: The exact bytes that were signed; their signature has been checked.
        path: Where they came from, for messages.
        accept_historical: Also read the statement of model-signing 0.2.

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
    if accept_historical and statement["predicateType"] == OLD_PREDICATE_TYPE:
        from pyhash.manifest._historical import load_old_statement

        return load_old_statement(statement, path)
    predicate_type = _load_predicate_type(statement["predicateType"], path)
    oms = predicate_type == OMS_PREDICATE_TYPE
    predicate = expect_fields(
        statement["predicate"], "the predicate", path, required=("resources", "serialization")
    )
    how = load_serialization(predicate["serialization"], oms, path)
    resources = expect_array(predicate["resources"], "resources", path)
    check_count(len(resources), path)
    listed = [_load_resource(resource, oms, how, path) for resource in resources]
    name, signed_oms_root, root, release = _load_subject(statement["subject"], oms, path)
    if signed_oms_root is not None and signed_oms_root != oms_root(map(_digest_of, listed)):
        raise format_error("the root digest is not the root of the listed resources", path)
    if {shard.root is not None for shard in listed} != {root is not None}:
        raise format_error(
            f"{FORMAT_NAME} must be in the subject and all resources, or nowhere", path
        )
    if root is not None and not how.is_ours:
        raise format_error(f"{FORMAT_NAME} stands only beside the SHA-256 of whole files", path)
    if len({shard.verity is not None for shard in listed}) > 1:
        raise format_error(f"{VERITY_NAME} must be in all resources, or in none", path)
    shards = merge_ranges(listed, how, path)
    manifest = Manifest(
        name=name,
        shards=tuple(sorted(shards, key=lambda shard: shard.path)),
        root=root,
        ignore_paths=how.ignore_paths,
        predicate_type=predicate_type,
        single_file=root is None and [shard.path for shard in shards] == [_SINGLE_FILE],
        allow_symlinks=how.allow_symlinks,
        omits_empty=how.range_bytes is not None,
        release=release,
    )
    check_entries(manifest, path)
    check_root(manifest, path)
    return manifest


def _load_predicate_type(value: JsonValue, path: str) -> str:
    predicate_type = expect_string(value, "predicateType", path)
    if predicate_type == OLD_PREDICATE_TYPE:
        raise format_error(
            f"an old form of the statement ({OLD_PREDICATE_TYPE}, written by model-signing 0.2), "
            "which is read only with --accept-historical; have it signed again",
            path,
        )
    if predicate_type not in (OMS_PREDICATE_TYPE, PYHASH_PREDICATE_TYPE):
        raise format_error(
            f"a statement of another kind: predicateType {show(predicate_type)}", path
        )
    return predicate_type


def _load_subject(
    value: JsonValue, oms: bool, path: str
) -> tuple[str, bytes | None, bytes | None, Release | None]:
    """Read name, OMS root, checkpoint root and release."""
    subjects = expect_array(value, "subject", path)
    if len(subjects) != 1:
        raise format_error(f"{len(subjects)} subjects instead of one", path)
    subject = expect_object(subjects[0], "the subject", path)
    where = "the subject's digest"
    if not oms:
        expect_fields(
            subject, "the subject", path, required=("name", "digest"), optional=("annotations",)
        )
        expect_fields(subject["digest"], where, path, required=(FORMAT_NAME,))
    digests = expect_object(subject.get("digest"), where, path)
    name = expect_string(subject.get("name"), "the subject's name", path)
    signed = load_digest(digests.get("sha256"), f"{where} (sha256)", path) if oms else None
    own = FORMAT_NAME in digests
    root = load_digest(digests[FORMAT_NAME], f"{where} ({FORMAT_NAME})", path) if own else None
    return name, signed, root, load_release(subject, not oms, path)


def _digest_of(entry: ShardEntry) -> bytes:
    return entry.ranges[0].digest if entry.ranges else entry.file_digest or b""


def _load_resource(value: JsonValue, oms: bool, how: Serialization, path: str) -> ShardEntry:
    """Read one resource; OMS allows fields beyond those that it names, our own type does not."""
    resource = expect_object(value, "a resource", path)
    if not oms:
        expect_fields(resource, "a resource", path, required=("name", "annotations"))
    name = expect_string(resource.get("name"), "the name of a resource", path)
    where = f"the resource {show(name)}"
    digest = None
    if oms:
        _expect_algorithm(resource.get("algorithm"), how, f"{where}: algorithm", path)
        digest = load_digest(
            *(resource.get("digest"), f"{where}: digest", path),
            nbytes=DIGEST_BYTES[how.hash_type],
        )
    notes = expect_object(resource.get("annotations", {}), f"{where}: annotations", path)
    if not oms:
        expect_fields(
            notes,
            f"{where}: annotations",
            path,
            required=(FORMAT_NAME,),
            optional=(VERITY_NAME,),
        )
    verity = _load_verity(notes, where, path)
    if FORMAT_NAME not in notes:
        if verity is not None:
            raise format_error(f"{where}: {VERITY_NAME} without {FORMAT_NAME}", path)
        if digest is not None and not how.is_ours:
            return load_range(name, digest, how, path)
        return ShardEntry(name, None, None, digest)
    ours = expect_fields(
        notes[FORMAT_NAME], f"{where}: {FORMAT_NAME}", path, required=("size", "root")
    )
    size = expect_integer(ours["size"], f"{where}: size", path)
    root = load_digest(ours["root"], f"{where}: root", path)
    return ShardEntry(name, size, root, digest, verity=verity)


def _load_verity(notes: dict[str, JsonValue], where: str, path: str) -> bytes | None:
    """Read the fs-verity digest of a resource's annotations; None where it has none."""
    if VERITY_NAME not in notes:
        return None
    where = f"{where}: {VERITY_NAME}"
    fields = expect_fields(notes[VERITY_NAME], where, path, required=("digest",))
    return load_digest(fields["digest"], f"{where}: digest", path)


def _expect_algorithm(value: JsonValue, how: Serialization, where: str, path: str) -> None:
    word = expect_string(value, where, path)
    if word not in how.algorithms():
        expected = " or ".join(map(repr, how.algorithms()))
        raise format_error(
            f"{where} is {show(word)}, and not {expected} as serialization says", path
        )


def _expect_word(value: JsonValue, only: str, where: str, path: str) -> None:
    word = expect_string(value, where, path)
    if word != only:
        raise format_error(f"{where} is {show(word)}; this version checks only {only!r}", path)
