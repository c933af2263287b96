# SPDX-License-Identifier: Apache-2.0
"""Where a release lies in a store, and the pointer that says which one is the latest.

    HOME/latest.json                     the pointer
    HOME/tuf/                            the same pointer under TUF, where the publisher wants it
    HOME/releases/<64 hex of the root>/  one release: its files, model.tree, and model.sig last

A release is there exactly when its bundle is, which is written after everything else. The pointer
is not signed: it says where to look, never what to accept. Against an old one stand the policy's
release counter, and TUF.
"""

from __future__ import annotations

import json
import re

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.merkle import format_root, parse_root
from pyhash.strict_json import expect_fields, expect_string, load_json

POINTER_NAME = "latest.json"
TUF_METADATA, TUF_TARGETS = "tuf/", "tuf/targets/"  # below a home
POINTER_KIND = "pyhash-pointer-v1"
_ROOT = re.compile(r"pyhash-v1:[0-9a-f]{64}")


def release_prefix(root: bytes) -> str:
    """Return the path of a release below its home, with a ``/`` at the end. Raises nothing."""
    return f"releases/{root.hex()}/"


def dump_pointer(root: bytes) -> bytes:
    """Write a pointer. Pure, thread-safe. Raises nothing."""
    return json.dumps({"kind": POINTER_KIND, "root": format_root(root)}).encode("ascii")


def load_pointer(data: bytes, path: str) -> bytes:
    """Read a pointer strictly. Pure, thread-safe.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Returns:
        The root that it points to, 32 bytes; nothing of it is verified.

    Raises:
        FormatError, LimitError: It is none.
    """
    fields = expect_fields(
        load_json(data, path=path, max_bytes=limits.MAX_POINTER_BYTES),
        "the pointer",
        path,
        required=("kind", "root"),
    )
    root = expect_string(fields["root"], "root", path)
    if expect_string(fields["kind"], "kind", path) != POINTER_KIND or not _ROOT.fullmatch(root):
        raise FormatError(f"{path}: not a pointer of the kind {POINTER_KIND}", path)
    return parse_root(root)
