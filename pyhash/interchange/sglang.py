# SPDX-License-Identifier: Apache-2.0
"""The JSON that SGLang's ``--model-checksum`` takes: SHA-256 and size of each file.

Its older form, without sizes, is read too. Which files are listed is the tool's choice: it leaves
out what begins with a dot, licences, readmes, and everything in directories.
"""

from __future__ import annotations

import json

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.files import read_small
from pyhash.interchange._base import (
    Expected,
    ExpectedDigests,
    Exported,
    ListKind,
    Sniff,
    load_hex,
)
from pyhash.strict_json import (
    JsonValue,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)

UNKNOWN_SIZE = -1  # what the tool writes where it was not told


def load(source: str, model: str) -> ExpectedDigests:
    """Read the list in a file.

    Raises:
        ReadError, LimitError, FormatError: It cannot be read, is too long, or is no such list.
    """
    del model
    return load_text(read_small(source, limits.MAX_DIGEST_LIST_BYTES), source)


def load_text(data: bytes, source: str) -> ExpectedDigests:
    """Read the JSON strictly. Pure, thread-safe.

    Args:
        data: The whole text.
        source: Where it came from, for messages.

    Raises:
        LimitError: Too long, or too many files.
        FormatError: No such object, or what ``ExpectedDigests`` refuses.
    """
    value = load_json(data, path=source, max_bytes=limits.MAX_DIGEST_LIST_BYTES)
    fields = expect_object(value, "the list", source)
    if len(fields) != 1 or not fields.keys() <= {"files", "checksums"}:
        raise FormatError(f"{source}: not one object with only 'files' or 'checksums'", source)
    ((form, listed),) = fields.items()
    read = _load_file if form == "files" else _load_checksum
    return ExpectedDigests(
        KIND.name,
        source,
        tuple(read(name, one, source) for name, one in expect_object(listed, form, source).items()),
    )


def _load_file(name: str, value: JsonValue, source: str) -> Expected:
    where = f"the entry of {show(name)}"
    fields = expect_fields(value, where, source, required=("sha256", "size"))
    size = expect_integer(fields["size"], f"{where}: size", source, minimum=UNKNOWN_SIZE)
    digest = load_hex(expect_string(fields["sha256"], where, source), "sha256", where, source)
    return Expected(name, (("sha256", digest),), None if size == UNKNOWN_SIZE else size)


def _load_checksum(name: str, value: JsonValue, source: str) -> Expected:
    where = f"the entry of {show(name)}"
    digest = load_hex(expect_string(value, where, source), "sha256", where, source)
    return Expected(name, (("sha256", digest),))


def dump(what: Exported) -> bytes:
    """Write the present form. Pure, thread-safe. Raises nothing."""
    listed = {one.path: {"sha256": one.sha256.hex(), "size": one.size} for one in what.files}
    return json.dumps({"files": listed}, indent=2).encode("ascii") + b"\n"


def _detect(sniff: Sniff) -> bool:
    return not sniff.keys.isdisjoint({"files", "checksums"}) and "schemaVersion" not in sniff.keys


KIND = ListKind(
    name="sglang",
    title="the JSON of SGLang's --model-checksum",
    covers="every byte of every listed file, by its path",
    leaves_out="who made the list; what SGLang does not list (directories, licences, readmes)",
    detect=_detect,
    load=load,
    dump=dump,
)
