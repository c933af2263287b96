# SPDX-License-Identifier: Apache-2.0
"""The flat manifest: six strings below ``model_manifest``, as lines or as JSON.

``hash`` is the checkpoint root, or the SHA-256 of a checkpoint that is one file. The signature is
not checked: the object does not say over which bytes it was made, or by which algorithm.
"""

from __future__ import annotations

import os
import re

from pyhash import limits
from pyhash.errors import FormatError, LimitError, UsageError
from pyhash.files import read_small
from pyhash.interchange._base import (
    Expected,
    ExpectedDigests,
    ListKind,
    Sniff,
    load_hex,
)
from pyhash.merkle import parse_root
from pyhash.paths import decode_name
from pyhash.strict_json import JsonValue, expect_fields, expect_string, load_json, show

OUTER = "model_manifest"
FIELDS = ("name", "hash", "signed_by", "signature", "training_date", "training_data_hash")
TITLE = b"model_manifest:\n"
_LINE = re.compile(rb"  ([a-z_]+): (\"[^\n]*\")")
SHA256_PREFIX = "sha256:"


def load(source: str, model: str) -> ExpectedDigests:
    """Read the manifest in a file.

    Raises:
        ReadError, LimitError, FormatError: It cannot be read, is too long, or is none.
    """
    data = read_small(source, limits.MAX_FLAT_MANIFEST_BYTES)
    return load_text(data, source, decode_name(os.path.basename(os.path.abspath(model))))


def load_text(data: bytes, source: str, name: str) -> ExpectedDigests:
    """Read the JSON strictly. Pure, thread-safe.

    Args:
        data: The whole text.
        source: Where it came from, for messages.
        name: Base name of the checkpoint: the path of a checkpoint that is one file.

    Raises:
        LimitError: Too long.
        FormatError: No such object, or a ``hash`` of another kind.
    """
    value = _load_lines(data, source) if data.startswith(TITLE) else _load(data, source)
    outer = expect_fields(value, "the manifest", source, required=(OUTER,))
    fields = expect_fields(outer[OUTER], OUTER, source, required=FIELDS[:2], optional=FIELDS[2:])
    texts = {one: expect_string(fields[one], f"{OUTER}.{one}", source) for one in fields}
    signer = texts.get("signed_by", "nobody")
    note = f"it names {show(signer)} as its signer; that was not checked"
    text = texts["hash"]
    if text.startswith(SHA256_PREFIX):
        digest = load_hex(text.removeprefix(SHA256_PREFIX), "sha256", f"{OUTER}.hash", source)
        entries = (Expected(name, (("sha256", digest),)),)
        return ExpectedDigests(KIND.name, source, entries, notes=(note,))
    try:
        root = parse_root(text)
    except UsageError as error:
        raise FormatError(
            f"{source}: {OUTER}.hash is {show(text)}, neither a root nor sha256:...", source
        ) from error
    return ExpectedDigests(KIND.name, source, (), root=root, notes=(note,))


def _load(data: bytes, source: str) -> JsonValue:
    return load_json(data, path=source, max_bytes=limits.MAX_FLAT_MANIFEST_BYTES)


def _load_lines(data: bytes, source: str) -> JsonValue:
    """Read ``field: "value"`` lines: YAML of which only double-quoted strings are taken."""
    if len(data) > limits.MAX_FLAT_MANIFEST_BYTES:
        raise LimitError(f"{source}: more than {limits.MAX_FLAT_MANIFEST_BYTES} bytes", source)
    fields: dict[str, JsonValue] = {}
    lines = data.removeprefix(TITLE).removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines, 2):
        match = _LINE.fullmatch(line)
        if match is None or match[1].decode("ascii") in fields:
            raise FormatError(f'{source}: line {number} is no new field: "value"', source)
        fields[match[1].decode("ascii")] = _load(match[2], source)
    return {OUTER: fields}


def _detect(sniff: Sniff) -> bool:
    return OUTER in sniff.keys or sniff.head.startswith(TITLE)


KIND = ListKind(
    name="flat-manifest",
    title="the flat manifest of six fields",
    covers="every byte, name and size of the checkpoint",
    leaves_out="who made it: the signature and signer that it names are not checked",
    detect=_detect,
    load=load,
)
