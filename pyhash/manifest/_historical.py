# SPDX-License-Identifier: Apache-2.0
"""The statement of model-signing 0.2, from before there was a specification; read on request only.

One subject for each file, at most with a remark on how its digest was made: no sizes, no root, no
record of how the files were found or what was left out.
"""

from __future__ import annotations

from pyhash.errors import FormatError
from pyhash.manifest._model import (
    OMS_PREDICATE_TYPE,
    Manifest,
    ShardEntry,
    check_count,
    check_entries,
)
from pyhash.manifest._serialization import load_digest
from pyhash.strict_json import JsonValue, expect_array, expect_fields, expect_string, show

NAME = "a checkpoint signed by model-signing 0.2"  # which recorded none
_SINGLE_FILE = "."
# The remark. Another one would say that what is called sha256 is something else.
_WHOLE_FILE = {"actual_hash_algorithm": "file-sha256"}


def load_old_statement(statement: dict[str, JsonValue], path: str) -> Manifest:
    """Read the statement; its type has been found to be OLD_PREDICATE_TYPE.

    Args:
        statement: The JSON object.
        path: Where it came from, for messages.

    Returns:
        A manifest of whole files, with nothing left out.

    Raises:
        LimitError: Too many files.
        FormatError: No file, a path twice or a bad one, or something else than one SHA-256 of the
            whole file each.
    """
    subjects = expect_array(statement["subject"], "subject", path)
    check_count(len(subjects), path)
    shards = []
    for value in subjects:
        subject = expect_fields(
            value, "a subject", path, required=("name", "digest"), optional=("annotations",)
        )
        name = expect_string(subject["name"], "the name of a subject", path)
        where = f"the digest of {show(name)}"
        digests = expect_fields(subject["digest"], where, path, required=("sha256",))
        if subject.get("annotations", _WHOLE_FILE) != _WHOLE_FILE:
            raise FormatError(f"{path}: {where} is not that of a whole file by SHA-256", path)
        shards.append(ShardEntry(name, None, None, load_digest(digests["sha256"], where, path)))
    manifest = Manifest(
        name=NAME,
        shards=tuple(sorted(shards, key=lambda shard: shard.path)),
        root=None,
        ignore_paths=(),
        predicate_type=OMS_PREDICATE_TYPE,
        single_file=[shard.path for shard in shards] == [_SINGLE_FILE],
    )
    check_entries(manifest, path)
    return manifest
