# SPDX-License-Identifier: Apache-2.0
"""Take digests over from an earlier bundle, for files that are said or proven to be unchanged.

The earlier bundle must be signed by a trusted key, and its tree file must fold to the roots that
were signed there, before anything is taken from either. No byte of a carried file is read.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import files, hashing
from pyhash.errors import Finding, FormatError, UsageError
from pyhash.findings import raise_findings
from pyhash.manifest import Manifest, ShardEntry
from pyhash.policy import Policy
from pyhash.receipts import Receipt, Store, bind, read_receipt
from pyhash.signed_bundle import inspect_signed
from pyhash.signed_tree import require_signed_nodes
from pyhash.signing import Signer, Verifier

SAID, PROVEN = "named unchanged", "unchanged by the receipt"


@dataclass(frozen=True, slots=True)
class Update:
    """On what grounds digests may be carried over. Immutable.

    Attributes:
        unchanged: Paths or shell patterns of files that the caller vouches for: their content is
            signed unread.
        receipts: Where this host's receipts are; files that the receipt of the earlier bundle
            covers count as unchanged. None: use none.
        keys: Who may have signed the earlier bundle; none: the key that signs now.

    Raises:
        UsageError: Neither grounds, or one string instead of patterns.
    """

    unchanged: tuple[str, ...] = ()
    receipts: Store | None = None
    keys: tuple[Verifier, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.unchanged, str):
            raise UsageError("give the unchanged files as a list, not as one string")
        if not self.unchanged and self.receipts is None:
            raise UsageError("an update needs to know what is unchanged: patterns, or receipts")


@dataclass(frozen=True, slots=True)
class Carried:
    """One file whose digests were taken over.

    Attributes:
        path: Inside the checkpoint.
        reason: ``SAID`` or ``PROVEN``.
    """

    path: str
    reason: str

    @property
    def is_proven(self) -> bool:
        """Whether this host knows it, not only the caller. Raises nothing."""
        return self.reason == PROVEN


def carry_over(
    listing: files.Listing,
    update: Update,
    signer: Signer,
    places: tuple[str, str],
    file_digests: bool,
) -> dict[int, tuple[Carried, hashing.ShardDigest]]:
    """Return the digests that need not be computed again.

    Args:
        listing: The files now.
        update: On what grounds.
        signer: What will sign; its own public key is trusted where ``update`` names no other.
        places: The earlier bundle and its tree file.
        file_digests: Whether whole-file digests are wanted too: a file without one is not carried.

    Returns:
        Number of the file in the listing -> why, and its digests.

    Raises:
        UnsignedError, SignatureError: There is no earlier bundle by a trusted key.
        SizeMismatchError: A file that is said to be unchanged has another size.
        ReceiptError: The receipt is not authentic.
        UsageError: A pattern fits no file, or the signer's public key is not known.
        CheckError: The bundle or the tree file cannot be read, or does not fit.
    """
    bundle_path, tree_path = places
    # Whether the earlier release has expired is no matter: what it says about bytes holds.
    policy = Policy(update.keys or _own_key(signer))
    signed = inspect_signed(bundle_path, policy, location=listing.location)
    manifest, hint = signed.manifest, signed.key_hint
    if manifest.root is None:
        raise FormatError(
            f"{bundle_path}: made by another tool, which signs no trees: nothing can be carried"
            " over; sign without --update",
            bundle_path,
        )
    nodes = require_signed_nodes(manifest, tree_path)
    said = _said(listing, update.unchanged)
    receipt = _receipt(listing, update, manifest, hint)
    earlier = {shard.path: number for number, shard in enumerate(manifest.shards)}
    found: dict[int, tuple[Carried, hashing.ShardDigest]] = {}
    wrong = []
    for index, file in enumerate(listing.files):
        number = earlier.get(file.path)
        proven = receipt is not None and receipt.is_covered(file)
        if number is None or not (proven or index in said):
            continue
        shard = manifest.shards[number]
        if shard.size != file.identity.size:
            wrong.append(_other_size(file, shard))
        elif shard.file_digest is not None or not file_digests:
            digest = hashing.ShardDigest(
                shard.size,
                shard.root or b"",
                bytes(nodes[number]),
                shard.file_digest if file_digests else None,
            )
            found[index] = Carried(file.path, PROVEN if proven else SAID), digest
    raise_findings(wrong)
    return found


def _own_key(signer: Signer) -> tuple[Verifier, ...]:
    own: Verifier | None = getattr(signer, "public_key", None)
    if own is None:
        raise UsageError(
            "this signer does not give its public key; name the key of the earlier bundle"
        )
    return (own,)


def _said(listing: files.Listing, patterns: Sequence[str]) -> set[int]:
    """Which files the patterns name; each must name one, or it is a mistake."""
    found: set[int] = set()
    for pattern in patterns:
        fitting = {
            index
            for index, file in enumerate(listing.files)
            if pattern == file.path or fnmatch.fnmatchcase(file.path, pattern)
        }
        if not fitting:
            raise UsageError(f"no file of {listing.location} is called {pattern!r}")
        found |= fitting
    return found


def _receipt(
    listing: files.Listing, update: Update, manifest: Manifest, hint: str
) -> Receipt | None:
    """The receipt of the earlier bundle; None where there is none that speaks about it."""
    if update.receipts is None:
        return None
    binding = bind(listing.location, manifest, hint)
    receipt = read_receipt(update.receipts, binding.location)
    return receipt if receipt is not None and not receipt.binding.difference(binding) else None


def _other_size(file: files.CheckpointFile, shard: ShardEntry) -> Finding:
    message = (
        f"said to be unchanged, but has {file.identity.size} bytes instead of the {shard.size} that"
        " were signed"
    )
    return Finding("size", file.path, message, str(shard.size), str(file.identity.size))
