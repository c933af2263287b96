# SPDX-License-Identifier: Apache-2.0
"""The table of kinds of lists, and how a source is told to be of one of them."""

from __future__ import annotations

import os

from pyhash import limits
from pyhash.errors import CheckError, UsageError
from pyhash.files import check_there, read_small
from pyhash.interchange import flat_manifest, gguf_hash, huggingface, oci, sglang, sha256sum
from pyhash.interchange._base import ListKind, Sniff
from pyhash.strict_json import load_json

KINDS: dict[str, ListKind] = {
    one.name: one
    for one in (
        sha256sum.KIND,
        sglang.KIND,
        gguf_hash.KIND,
        oci.KIND,
        huggingface.KIND,
        flat_manifest.KIND,
    )
}


def find_kind(text: str, model: str) -> tuple[ListKind, str]:
    """Return what a user means by a source.

    Args:
        text: ``KIND:PATH``, ``KIND`` for what lies in the checkpoint itself, or a path alone, whose
            kind is told by its looks.
        model: The checkpoint.

    Returns:
        The kind, and the path.

    Raises:
        UsageError: It looks like none of the kinds, or like more than one.
        ReadError, LimitError: It cannot be read.
    """
    word, colon, rest = text.partition(":")
    if word in KINDS:
        return KINDS[word], rest if colon and rest else model
    check_there(text)
    sniff = _sniff(text)
    found = [kind for kind in KINDS.values() if kind.detect(sniff)]
    if len(found) != 1:
        raise UsageError(
            f"{text}: looks like {'more than one kind' if found else 'none of the kinds'} of list;"
            f" put the kind before it, as in sha256sum:{text}: {', '.join(KINDS)}"
        )
    return found[0], text


def _sniff(path: str) -> Sniff:
    if os.path.isdir(path):
        return Sniff(path, True)
    data = read_small(path, limits.MAX_DIGEST_LIST_BYTES)
    keys: frozenset[str] = frozenset()
    if data.lstrip(b" \t\r\n").startswith(b"{"):
        try:
            value = load_json(data, path=path, max_bytes=limits.MAX_DIGEST_LIST_BYTES)
        except CheckError:
            value = None  # the reader of a named kind will say what is wrong with it
        keys = frozenset(value) if isinstance(value, dict) else keys
    return Sniff(path, False, data[: limits.MAX_PATH_BYTES], keys)
