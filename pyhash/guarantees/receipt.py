# SPDX-License-Identifier: Apache-2.0
"""Guarantee ``receipt``: the content was verified earlier on this host, and the identity of each
file (device, inode, size, times in nanoseconds) is the same. What that proves, and what not, is in
docs/receipts.md. Also what writes such a receipt, behind a pass over every byte.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from pyhash import hashing
from pyhash.errors import ReceiptError, UsageError
from pyhash.files import CheckpointFile
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees.content import compare_shards, doubts_about
from pyhash.opening import Opened
from pyhash.receipts import (
    Binding,
    Receipt,
    Store,
    bind,
    flush_files,
    read_receipt,
    record,
    settle,
)

# Only these compared every byte, now or behind an identity; a receipt of less would be a lie.
WORTH_A_RECEIPT = ("content", "receipt")
SHOWN_FILES = 3  # of those that changed, in a message


def by_receipt(store: Store, *, rehash: bool = False) -> Guarantee:
    """Return the guarantee that files are those of an earlier verification. Raises nothing.

    Args:
        store: Where the receipts of this host are.
        rehash: Hash the files that the receipt does not cover, all of them where there is no
            receipt for this checkpoint; otherwise nothing is hashed, and one such file is an
            error.

    Returns:
        For ``verify(..., guarantee=...)``. Where every byte was hashed, the proof says
        ``content``. Comparing raises ReceiptError where a file is not covered and not to be hashed,
        the receipt is not authentic, or the system does not say which boot this is; FormatError or
        LimitError where the receipt cannot be understood; and as ``content.compare``.
    """

    def compare(opened: Opened, options: hashing.Options) -> Compared:
        binding = bind(opened.location, opened.manifest, opened.key_hint)
        receipt = read_receipt(store, binding.location)
        reason = "there is none" if receipt is None else receipt.binding.difference(binding)
        if reason:
            receipt = None
        changed = [
            index
            for index, file in enumerate(opened.listing.files)
            if receipt is None or not receipt.is_covered(file)
        ]
        if changed and not rehash:
            raise _not_covered(opened, binding, reason, changed)
        return _compare_changed(opened, options, receipt, reason, changed)

    return Guarantee("receipt", compare, closed_by_receipt(store))


def closed_by_receipt(store: Store) -> Callable[[Opened], tuple[CheckpointFile, ...]]:
    """Return what tells the files that a receipt knows to lead to no other file. Raises nothing.

    The content of such a file is that of the earlier pass, the names beside it are those of the
    same manifest, and the rules are the same: so the answer is, too.

    Args:
        store: Where the receipts of this host are.

    Returns:
        For ``Guarantee.closed``. It raises as ``by_receipt`` does for a receipt that is not
        authentic or cannot be understood, and for a boot that is not known.
    """

    def closed(opened: Opened) -> tuple[CheckpointFile, ...]:
        binding = bind(opened.location, opened.manifest, opened.key_hint)
        receipt = read_receipt(store, binding.location)
        if receipt is None or receipt.binding.difference(binding) or not receipt.has_closure():
            return ()
        return tuple(file for file in opened.listing.files if receipt.is_covered(file))

    return closed


def recorded(guarantee: Guarantee, store: Store) -> Guarantee:
    """Return the same guarantee; where all is as signed, it leaves a receipt behind.

    Files are written back, and given the time to settle, before the first byte is looked at: see
    ``receipts``.

    Args:
        guarantee: One that compares every byte, or rests on a receipt itself.
        store: Where the receipt goes.

    Returns:
        For ``verify(..., guarantee=...)``.

    Raises:
        UsageError: It does not compare every byte.
    """
    if guarantee.name not in WORTH_A_RECEIPT:
        raise UsageError(
            f"the guarantee {guarantee.name!r} leaves bytes out, so there can be no receipt of it"
        )

    def compare(opened: Opened, options: hashing.Options) -> Compared:
        binding = bind(opened.location, opened.manifest, opened.key_hint)
        flush_files(opened.listing)
        began_ns = settle(opened.listing)
        compared = guarantee.compare(opened, options)
        if compared.findings:
            return compared
        path, left_out = record(store, binding, opened.listing.files, began_ns)
        details = (("receipt", path), ("not_in_receipt", list(left_out)))
        return replace(compared, details=(*compared.details, *details))

    def closed(opened: Opened) -> Collection[CheckpointFile]:
        # A receipt speaks of step 4 too, so that no store may go unseen between it and the hashing.
        flush_files(opened.listing)
        settle(opened.listing)
        return guarantee.closed(opened)

    return Guarantee(guarantee.name, compare, closed)


def _compare_changed(
    opened: Opened,
    options: hashing.Options,
    receipt: Receipt | None,
    reason: str,
    changed: list[int],
) -> Compared:
    listed = opened.listing.files
    wrong, size = compare_shards(opened, changed, options) if changed else ([], 0)
    findings = (*wrong, *doubts_about(opened, wrong))
    details = (
        ("by_receipt", len(listed) - len(changed)),
        ("hashed_now", [listed[index].path for index in changed]),
        ("receipt_written", receipt.written if receipt else None),
        ("no_receipt_because", reason or None),
    )
    if len(changed) == len(listed):
        why = f"no receipt was used: {reason}" if reason else "every file had changed"
        return Compared(findings, size, why, details, "content")
    since = f"{len(listed) - len(changed)} of {len(listed)} files unchanged since "
    since += receipt.written if receipt else ""
    now = f"; {len(changed)} hashed now" if changed else "; none hashed now"
    return Compared(findings, size, since + now, details)


def _not_covered(opened: Opened, binding: Binding, reason: str, changed: list[int]) -> ReceiptError:
    if reason:
        return ReceiptError(
            f"{opened.location}: no receipt for it: {reason}; verify --write-receipt makes one",
            binding.location,
        )
    names = [opened.listing.files[index].path for index in changed]
    shown = ", ".join(names[:SHOWN_FILES])
    more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    return ReceiptError(
        f"{opened.location}: {len(names)} of {len(opened.listing.files)} files are not those of the"
        f" receipt: {shown}{more}; verify --changed hashes them",
        names[0],
    )
