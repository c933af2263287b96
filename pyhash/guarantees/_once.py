# SPDX-License-Identifier: Apache-2.0
"""Several processes of one host verify once: the first under a lock does, the others wait for it.

The system lets go of the lock of a process that dies; the next one then verifies itself. So does
everybody who is in any doubt about what an earlier process left.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pyhash import files, hashing
from pyhash.errors import FormatError, ReceiptError
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees.content import CONTENT, doubts_about
from pyhash.guarantees.receipt import recorded
from pyhash.opening import Opened
from pyhash.receipts import Receipt, Store, bind, read_receipt

LOCK_SUFFIX = "lock"


def once(store: Store) -> Guarantee:
    """Return the guarantee that this process, or one before it on this host, hashed every byte.

    Args:
        store: A directory that the processes of one user share.

    Returns:
        For ``verify(..., guarantee=...)``. Where this process hashed, the proof says ``content``;
        where it relied on another one, ``receipt``.
    """

    kept = recorded(CONTENT, store)

    def compare(opened: Opened, options: hashing.Options) -> Compared:
        location = bind(opened.location, opened.manifest, opened.key_hint).location
        with _locked(store.place(location, LOCK_SUFFIX)):
            found, doubt = _earlier(store, opened)
            if found is not None:
                _check_still_there(opened)
                detail = f"verified by another process of this host at {found.written}"
                details = (("verified_by", "another process"), ("receipt_written", found.written))
                return Compared(tuple(doubts_about(opened, ())), 0, detail, details)
            compared = kept.compare(opened, options)
        details = (("verified_by", "this process"), ("no_receipt_because", doubt))
        return replace(compared, details=(*compared.details, *details), guarantee="content")

    # What this process may write a receipt of is on the drive before it is looked into.
    return Guarantee("receipt", compare, kept.closed)


def _earlier(store: Store, opened: Opened) -> tuple[Receipt | None, str]:
    """The record of an earlier process that holds for every file now, or why there is none."""
    binding = bind(opened.location, opened.manifest, opened.key_hint)
    try:
        receipt = read_receipt(store, binding.location)
    except (ReceiptError, FormatError) as error:
        return None, str(error)
    if receipt is None:
        return None, "there is none"
    doubt = receipt.binding.difference(binding)
    if not doubt and not all(receipt.is_covered(file) for file in opened.listing.files):
        doubt = "files changed since"
    return (None, doubt) if doubt else (receipt, "")


def _check_still_there(opened: Opened) -> None:
    """Look at every file once more: waiting for the lock may have taken minutes."""
    for file in opened.listing.files:
        with files.open_files(opened.listing, (file,)):
            pass


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Be the only process that verifies this checkpoint."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise ReceiptError(f"{path}: cannot be locked: {error.strerror}", path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise ReceiptError(f"{path}: cannot be locked: {error.strerror}", path) from error
        yield
    finally:
        os.close(descriptor)
