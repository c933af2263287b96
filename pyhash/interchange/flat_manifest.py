# SPDX-License-Identifier: Apache-2.0
"""The flat manifest: six strings below ``model_manifest``, as lines or as JSON.

``hash`` is the checkpoint root, or the SHA-256 of a checkpoint that is one file. The signature is
not checked: the object does not say over which bytes it was made, or by which algorithm.
"""

from __future__ import annotations

import os
import re

from pyhash import limits
from pyhash.errors import FormatError, UsageError
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
from pyhash.provenance.flat_manifest import TITLE, UNKNOWN, load_flat_manifest
from pyhash.strict_json import show

# Comments and empty lines may stand before the title.
_BEGINNING = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\n)*" + TITLE.encode("ascii") + rb":[ \t]*\r?\n")
SHA256_PREFIX = "sha256:"


def load(source: str, model: str) -> ExpectedDigests:
    """Read the manifest in a file.

    Raises:
        ReadError, LimitError, FormatError: It cannot be read, is too long, or is none.
    """
    data = read_small(source, limits.MAX_FLAT_MANIFEST_BYTES)
    return load_text(data, source, decode_name(os.path.basename(os.path.abspath(model))))


def load_text(data: bytes, source: str, name: str) -> ExpectedDigests:
    """Read the manifest. Pure, thread-safe.

    Args:
        data: The whole text.
        source: Where it came from, for messages.
        name: Base name of the checkpoint: the path of a checkpoint that is one file.

    Raises:
        LimitError: Too long.
        FormatError: No such manifest, or a ``hash`` of another kind.
    """
    flat = load_flat_manifest(data, source)
    signer = "nobody" if flat.signed_by == UNKNOWN else flat.signed_by
    note = f"it names {show(signer)} as its signer; that was not checked"
    text = flat.hash
    if text.startswith(SHA256_PREFIX):
        digest = load_hex(text.removeprefix(SHA256_PREFIX), "sha256", f"{TITLE}.hash", source)
        entries = (Expected(name, (("sha256", digest),)),)
        return ExpectedDigests(KIND.name, source, entries, notes=(note,))
    try:
        root = parse_root(text)
    except UsageError as error:
        raise FormatError(
            f"{source}: {TITLE}.hash is {show(text)}, neither a root nor sha256:...", source
        ) from error
    return ExpectedDigests(KIND.name, source, (), root=root, notes=(note,))


def _detect(sniff: Sniff) -> bool:
    return TITLE in sniff.keys or _BEGINNING.match(sniff.head) is not None


KIND = ListKind(
    name="flat-manifest",
    title="the flat manifest of six fields",
    covers="every byte, name and size of the checkpoint",
    leaves_out="who made it: the signature and signer that it names are not checked",
    detect=_detect,
    load=load,
)
