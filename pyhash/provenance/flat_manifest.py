# SPDX-License-Identifier: Apache-2.0
"""The flat manifest: six lines about a model that a person can read and a tool can compare.

A summary, not a signature: what it says must be held against a signed statement. Written as YAML
that is also read without a YAML library::

    model_manifest:
      name: "my-model"
      hash: "pyhash-v1:..."
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.provenance.lineage import Statement
from pyhash.strict_json import expect_fields, expect_string, load_json, show

FIELDS = ("name", "hash", "signed_by", "signature", "training_date", "training_data_hash")
UNKNOWN = "unknown"
TITLE = "model_manifest"
_LINE = re.compile(r"[ \t]+([a-z_]+):[ \t]*(.*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class FlatManifest:
    """The six fields; ``unknown`` where nobody knows.

    Attributes:
        name: Of the model.
        hash: Its root or another digest, with the name of the algorithm before a colon.
        signed_by: Hint of the key that signed the checkpoint.
        signature: The signature, base64, or where it lies.
        training_date: When training ended.
        training_data_hash: Digests of the training data, separated by spaces.
    """

    name: str
    hash: str
    signed_by: str = UNKNOWN
    signature: str = UNKNOWN
    training_date: str = UNKNOWN
    training_data_hash: str = UNKNOWN


def flatten(
    statements: Sequence[Statement], root: str, name: str, *, signed_by: str, signature: str
) -> FlatManifest:
    """Return the flat manifest of a checkpoint. Pure, raises nothing.

    Args:
        statements: From the checkpoint back, as ``verify_lineage`` has them.
        root: The checkpoint, ``pyhash-v1:<64 hex>``.
        name: Of the model.
        signed_by: Hint of the key that signed the checkpoint.
        signature: The signature.
    """
    trained = [one.step for one in statements if one.step.step == "train"]
    trained += [one.step for one in statements if one.step.step == "fine-tune"]
    data = [one for step in trained for one in step.of_role("dataset")]
    digests = [":".join(one.digests[0]) for one in data if one.digests]
    is_whole = trained and len(digests) == len(data)
    is_whole = is_whole and not any("datasets" in step.unknown for step in trained)
    return FlatManifest(
        name,
        root,
        signed_by,
        signature,
        (trained[0].finished or UNKNOWN) if trained else UNKNOWN,
        " ".join(digests) if is_whole and digests else UNKNOWN,
    )


def dump_flat_manifest(manifest: FlatManifest) -> bytes:
    """Write a flat manifest. Pure, thread-safe, raises nothing."""
    lines = (f"  {name}: {json.dumps(getattr(manifest, name))}\n" for name in FIELDS)
    return f"{TITLE}:\n{''.join(lines)}".encode("ascii")


def load_flat_manifest(data: bytes, path: str) -> FlatManifest:
    """Read a flat manifest, ours or one that a person wrote: as YAML lines or as JSON.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Raises:
        LimitError: Too long.
        FormatError: Not such a manifest, or a field twice.
    """
    if len(data) > limits.MAX_FLAT_MANIFEST_BYTES:
        raise LimitError(f"{path}: more than {limits.MAX_FLAT_MANIFEST_BYTES} bytes", path)
    if data.lstrip().startswith(b"{"):
        outer = load_json(data, path=path, max_bytes=limits.MAX_FLAT_MANIFEST_BYTES)
        inner = expect_fields(outer, "the manifest", path, required=(TITLE,))[TITLE]
        fields = expect_fields(inner, TITLE, path, required=("name", "hash"), optional=FIELDS[2:])
        return FlatManifest(
            **{name: expect_string(one, name, path) for name, one in fields.items()}
        )
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not UTF-8", path, error.start) from None
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines or lines[0].rstrip() != f"{TITLE}:":
        raise FormatError(f"{path}: does not begin with '{TITLE}:'", path)
    found: dict[str, str] = {}
    for line in lines[1:]:
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in FIELDS or match[1] in found:
            raise FormatError(f"{path}: no field of a flat manifest: {show(line)}", path)
        found[match[1]] = _scalar(match[2], path)
    if not {"name", "hash"} <= found.keys():
        raise FormatError(f"{path}: a flat manifest needs name and hash", path)
    return FlatManifest(**found)


def _scalar(text: str, path: str) -> str:
    if not text.startswith(('"', "'")):
        return text.partition(" #")[0].rstrip()
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'") or "'" in text[1:-1]:
            raise FormatError(f"{path}: not a quoted value: {show(text)}", path)
        return text[1:-1]
    value = load_json(text.encode("utf-8"), path=path, max_bytes=limits.MAX_FLAT_MANIFEST_BYTES)
    return expect_string(value, "a value", path)
