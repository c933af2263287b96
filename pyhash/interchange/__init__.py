# SPDX-License-Identifier: Apache-2.0
"""Lists of digests that other tools write: held against a checkpoint, and written from one.

A list is not signed: that files match one says that they are the files of the list, and nothing
about who made either. A kind of list is one file here that makes a ``ListKind``, and one line in
KINDS.
"""

from __future__ import annotations

from pyhash.interchange._base import Expected, ExpectedDigests, ListKind
from pyhash.interchange._kinds import KINDS, find_kind
from pyhash.interchange.comparing import MEANINGS, Matched, verify_list
from pyhash.interchange.exporting import Export, export_list

__all__ = [
    "KINDS",
    "MEANINGS",
    "Expected",
    "ExpectedDigests",
    "Export",
    "ListKind",
    "Matched",
    "export_list",
    "find_kind",
    "verify_list",
]
