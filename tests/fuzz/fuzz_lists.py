# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: lists of other tools, every kind. What is accepted names only files inside."""

from __future__ import annotations

import json
import posixpath

from _harness import main

from pyhash.errors import FormatError
from pyhash.interchange import (
    ExpectedDigests,
    flat_manifest,
    gguf_hash,
    oci,
    sglang,
    sha256sum,
)
from pyhash.interchange.huggingface import load_note, load_tree
from pyhash.provenance.flat_manifest import FIELDS

MUTATIONS = 4_000

_HEX, _SHA1 = "0123456789abcdef" * 4, "0123456789abcdef0123456789abcdef01234567"

DICTIONARY = (
    b"../", b"/", b"./", b"\0", b"\\n", b"\\\\", b"SHA256 (a) = ", b"BLAKE2b", b"sha256    ",
    b"uuid      ", b":t", b"  ", b" *", _HEX.encode(), _SHA1.encode(), b'"files":', b'"checksums":',
    b'"schemaVersion":2', b'"layers":[]', b'"size":-1', b'"size":1e9', b"sha256:", b"pyhash-v1:",
    b".tar", b"\\ud800", b'"lfs_sha256":', b"\xff", b"\r\n",
)  # fmt: skip


def seeds() -> list[bytes]:
    """One of each kind, and some that are refused."""
    layer = {
        "mediaType": "application/vnd.cncf.model.weight.v1.raw",
        "digest": f"sha256:{_HEX}",
        "size": 3,
        "annotations": {"org.cncf.model.filepath": "a/b"},
    }
    flat = dict.fromkeys(FIELDS, "x") | {"hash": f"pyhash-v1:{_HEX}"}
    tree = {"a": {"size": 1, "blob_id": _SHA1, "lfs_sha256": _HEX, "lfs_size": 1}}
    values = [
        {"files": {"a/b": {"sha256": _HEX, "size": 3}}},
        {"checksums": {"a": _HEX}},
        {"schemaVersion": 2, "layers": [layer], "config": {"digest": f"sha256:{_HEX}", "size": 1}},
        {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{_HEX}", "size": 9}]},
        {"model_manifest": flat},
        {"format_version": 1, "files": tree},
    ]
    texts = [
        f"{_HEX}  a\n\\{_HEX} *b\\nc\n",
        f"SHA256 (a) = {_HEX}\nSHA1 (b) = {_SHA1}\n",
        f"sha256    {_HEX}  m.gguf:t\nsha256    {_HEX}  m.gguf\n",
        f"{_SHA1}\n{_HEX}\n1712656091.123\n",
        f'model_manifest:\n  name: "x"\n  hash: "sha256:{_HEX}"\n',
    ]
    return [*(json.dumps(one).encode() for one in values), *(one.encode() for one in texts), b"{"]


def _read_all(data: bytes) -> list[ExpectedDigests]:
    """What each reader makes of the bytes; at least one must take a seed that is well formed."""
    readers = (
        lambda: sha256sum.load_lines(data, "list"),
        lambda: sglang.load_text(data, "list"),
        lambda: gguf_hash.load_lines(data, "list"),
        lambda: flat_manifest.load_text(data, "list", "model"),
        lambda: oci.load_manifest(data, "list"),
        lambda: oci.load_layout(data, "blobs/sha256/" + "0" * 64, "list"),
        lambda: oci.load_index(data, "list"),
        lambda: load_note(data, "note"),
        lambda: load_tree(data, "tree"),
    )
    found = []
    for read in readers:
        try:
            found.append(read())
        except FormatError:
            continue
    return [one for one in found if isinstance(one, ExpectedDigests)]


def one_input(data: bytes) -> None:
    """Read by every kind; look at what was accepted."""
    for expected in _read_all(data):
        for entry in expected.entries:
            parts = entry.path.split("/")
            if posixpath.isabs(entry.path) or {"", ".", ".."} & set(parts) or "\0" in entry.path:
                raise AssertionError(f"leads out: {entry.path!r}")
        if expected.root is None and not expected.entries:
            raise AssertionError("a list that checks nothing")


if __name__ == "__main__":
    main(one_input, seeds())
