# SPDX-License-Identifier: Apache-2.0
"""What this host has verified before: receipts of whole passes, progress of interrupted ones.

A record is believed only if this host's key authenticates it, and it speaks only about the files
that it names by device, inode, size and times, for one manifest, one signer and one boot. What it
is used for is decided by the guarantees; docs/receipts.md says what it can and cannot prove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyhash.on_use import on_use
from pyhash.receipts._binding import Binding, bind, boot_id
from pyhash.receipts._receipt import Receipt, read_receipt, record
from pyhash.receipts._settling import flush_files, is_settled, settle
from pyhash.receipts._store import Store, open_store

if TYPE_CHECKING:
    from pyhash.receipts._progress import Progress, Stretch, open_progress

__all__ = [
    "Binding",
    "Progress",
    "Receipt",
    "Store",
    "Stretch",
    "bind",
    "boot_id",
    "flush_files",
    "is_settled",
    "open_progress",
    "open_store",
    "read_receipt",
    "record",
    "settle",
]

# name -> module here that has it
_LATER = dict.fromkeys(("Progress", "Stretch", "open_progress"), "_progress")

__getattr__ = on_use(__name__, globals(), _LATER)
