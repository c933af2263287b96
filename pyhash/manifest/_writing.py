# SPDX-License-Identifier: Apache-2.0
"""From a manifest to the exact bytes that are signed. Pure; opens no file."""

from __future__ import annotations

import json

from pyhash.manifest._model import (
    FORMAT_NAME,
    OMS_PREDICATE_TYPE,
    STATEMENT_TYPE,
    VERITY_NAME,
    Manifest,
    ShardEntry,
    check_arguments,
    check_entries,
    check_root,
    oms_root,
)
from pyhash.manifest._release import RELEASE_KEY, dump_release
from pyhash.strict_json import JsonValue


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
    check_arguments(manifest)
    check_entries(manifest, None)
    check_root(manifest, None)
    digests: dict[str, JsonValue] = {}
    serialization: dict[str, JsonValue] = {"method": FORMAT_NAME}
    if manifest.predicate_type == OMS_PREDICATE_TYPE:
        digests["sha256"] = oms_root(shard.file_digest or b"" for shard in manifest.shards).hex()
        serialization = {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": manifest.allow_symlinks,
        }
    if manifest.root is not None:
        digests[FORMAT_NAME] = manifest.root.hex()
    subject: dict[str, JsonValue] = {"name": manifest.name, "digest": digests}
    if manifest.release is not None:
        subject["annotations"] = {RELEASE_KEY: dump_release(manifest.release)}
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [subject],
        "predicateType": manifest.predicate_type,
        "predicate": {
            "resources": [_dump_resource(shard) for shard in manifest.shards],
            "serialization": serialization | {"ignore_paths": list(manifest.ignore_paths)},
        },
    }
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _dump_resource(shard: ShardEntry) -> dict[str, JsonValue]:
    resource: dict[str, JsonValue] = {"name": shard.path}
    if shard.file_digest is not None:
        resource |= {"algorithm": "sha256", "digest": shard.file_digest.hex()}
    if shard.root is not None:
        notes: dict[str, JsonValue] = {FORMAT_NAME: {"size": shard.size, "root": shard.root.hex()}}
        if shard.verity is not None:
            notes[VERITY_NAME] = {"digest": shard.verity.hex()}
        resource["annotations"] = notes
    return resource
