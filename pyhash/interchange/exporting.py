# SPDX-License-Identifier: Apache-2.0
"""Writes the list of another tool: from signed digests where they are there, else by hashing now.

From signed digests nothing is hashed: names and sizes are compared, and the list says what the
publisher signed. Without a signature the files are hashed, and the list says what they are now.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import files, hashing, locations
from pyhash.errors import FormatError, UsageError
from pyhash.findings import raise_findings
from pyhash.interchange._base import Exported, FileRecord
from pyhash.interchange._kinds import KINDS
from pyhash.opening import Opened, check_ignored, given_policy, open_checkpoint
from pyhash.policy import Policy
from pyhash.range_digests import Message, hash_messages
from pyhash.verify_checkpoint import verify


@dataclass(frozen=True, slots=True)
class Export:
    """A list that was made.

    Attributes:
        data: The whole list.
        kind: Name of its kind.
        files: How many files it is about.
        is_signed: Its digests are those that a trusted key signed.
        hashed: Bytes that were hashed for it.
    """

    data: bytes
    kind: str
    files: int
    is_signed: bool
    hashed: int


def export_list(
    path: str | os.PathLike[str],
    kind: str,
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | None = None,
    unverified: bool = False,
    signature: str | os.PathLike[str] | None = None,
    ignore: Sequence[str] = (),
    links_within: str | os.PathLike[str] | None = None,
    options: hashing.Options | None = None,
) -> Export:
    """Make a list of a checkpoint's digests for another tool; safe to call from several threads.

    Args:
        path: A directory, or one file.
        kind: A name of ``KINDS`` whose kind can be written.
        keys: Public keys to trust: the list is of what one of them signed.
        policy: Instead of ``keys`` and ``ignore``.
        unverified: Instead of both: no signature is looked at, and every file is hashed.
        signature: The bundle; None: where it lies by default.
        ignore: Paths inside the checkpoint to leave out.
        links_within: A directory that links to files may lead into; None: links are refused.
        options: How to hash.

    Returns:
        The list; nothing was written.

    Raises:
        VerificationError: The signature does not hold, or the files are not the signed ones.
        CheckError: It could not be found out; or the kind cannot say it.
        UsageError: No such kind; or neither keys nor a policy nor ``unverified``, or two of them.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    chosen = KINDS.get(kind)
    if chosen is None or chosen.dump is None:
        known = ", ".join(one.name for one in KINDS.values() if one.dump is not None)
        raise UsageError(f"no list of the kind {kind!r} can be written; there are {known}")
    what = _Request(path, chosen.reads_files, ignore, links_within, options or hashing.Options())
    if unverified:
        if keys or policy is not None or signature is not None:
            raise UsageError("unverified means that no signature is looked at: give no key with it")
        listing, records, hashed = _from_files(what)
    else:
        policy = given_policy(path, policy, keys, ignore, None)
        listing, records, hashed = _from_signature(what, policy, signature)
    data = chosen.dump(Exported(listing.name, records, listing, what.options))
    return Export(data, kind, len(listing.files), not unverified, hashed)


@dataclass(frozen=True, slots=True)
class _Request:
    """What both ways need to know."""

    path: str | os.PathLike[str]
    reads_files: bool
    ignore: Sequence[str]
    links_within: str | os.PathLike[str] | None
    options: hashing.Options


_Records = tuple[files.Listing, tuple[FileRecord, ...], int]


def _from_files(what: _Request) -> _Records:
    check_ignored(what.ignore)
    listing = files.list_checkpoint(
        what.path,
        hashing.ignorer((*hashing.IGNORED, *what.ignore)),
        links_within=what.links_within,
    )
    raise_findings(listing.strange)
    if not listing.files:
        text = os.fspath(what.path)
        raise FormatError(f"{text}: no file to list", text)
    records = () if what.reads_files else _hash(listing, what.options)
    return listing, records, sum(file.identity.size for file in listing.files)


def _from_signature(
    what: _Request, policy: Policy, signature: str | os.PathLike[str] | None
) -> _Records:
    links = what.links_within
    opened = open_checkpoint(
        what.path, policy, guarantee=None, signature=signature, links_within=links
    )
    records = _signed(opened)
    if records and not what.reads_files:
        raise_findings(opened.doubts)
        return opened.listing, records, 0
    # Digests that nobody signed are only made of bytes that have been verified; that they are still
    # those is what the comparison of identities says.
    verified = verify(
        what.path, policy=policy, signature=signature, links_within=links, options=what.options
    )
    records = () if what.reads_files else _hash(verified.listing, what.options)
    return verified.listing, records, 2 * verified.size


def check_target(path: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Refuse to write a list over a file of the checkpoint, or over its bundle or tree file.

    Args:
        path: The checkpoint.
        target: Where the list would go.

    Raises:
        UsageError: One of them is there already.
    """
    name = os.fspath(target)
    if not os.path.lexists(name):
        return
    is_inside = os.path.isdir(path) and locations.inside(path, name) is not None
    own = (locations.default_bundle(path), locations.default_tree(path), os.fspath(path))
    if is_inside or os.path.realpath(name) in map(os.path.realpath, own):
        raise UsageError(f"{name}: is there already, in the checkpoint; it is not written over")


def _signed(opened: Opened) -> tuple[FileRecord, ...]:
    """The signed SHA-256 of each file; nothing where the bundle has other digests."""
    pairs = list(zip(opened.listing.files, opened.manifest.shards, strict=True))
    if any(shard.file_digest is None for _, shard in pairs):
        return ()
    return tuple(
        FileRecord(file.path, file.identity.size, shard.file_digest or b"") for file, shard in pairs
    )


def _hash(listing: files.Listing, options: hashing.Options) -> tuple[FileRecord, ...]:
    messages = [Message(index, ("sha256",)) for index in range(len(listing.files))]
    digests = hash_messages(listing, messages, options=options)
    return tuple(
        FileRecord(file.path, file.identity.size, one["sha256"])
        for file, one in zip(listing.files, digests, strict=True)
    )
