# SPDX-License-Identifier: Apache-2.0
"""Steps 1 to 4 of docs/format-v1.md, "Verifying": everything that is found out before any weight is
read, and what the policy says at the end. Verifying and verified loading both begin and end here,
so that neither can leave a step out.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyhash import errors, files, hashing, paths, signing
from pyhash.errors import Finding
from pyhash.findings import raise_findings
from pyhash.frozen import frozen
from pyhash.locations import DOWNLOAD_METADATA, OWN_NAMES, check_keys_outside, inside, places
from pyhash.manifest import Manifest, ShardEntry
from pyhash.policy import Policy, check_requirements
from pyhash.signed_bundle import inspect_signed
from pyhash.signing import Identity

if TYPE_CHECKING:
    from pyhash.policy import PolicyFile

EMPTY_DIGEST = hashlib.sha256().digest()


@frozen
class Opened:
    """A checkpoint whose signature holds and whose files have the signed names and sizes.

    No byte of a shard has been compared yet: this proves nothing about what the files hold.

    Attributes:
        location: The checkpoint as the caller named it.
        policy: What it was held against.
        manifest: What was signed.
        key_hint: The trusted key that signed: SHA-256 of its public PEM, hex.
        signers: Everybody trusted who signed, each once.
        listing: The files, one for each of ``manifest.shards`` and in their order.
        ignored: Paths that were left out.
        own: Paths where the bundle and the tree file may lie; left out as regular files.
        tree_path: Where the tree file should be; untrusted, need not be there.
        doubts: What the small files seem to lead a loader to. They count unless the file that says
            so turns out to be damaged.
    """

    location: str
    policy: Policy
    manifest: Manifest
    key_hint: str
    signers: tuple[Identity, ...]
    listing: files.Listing
    ignored: tuple[str, ...]
    own: tuple[str, ...]
    tree_path: str
    doubts: tuple[Finding, ...]

    @property
    def size(self) -> int:
        """Bytes of all shards. Raises nothing."""
        return sum(file.identity.size for file in self.listing.files)


def nothing_known(_: Opened) -> tuple[files.CheckpointFile, ...]:
    """Return no file: each must be looked into. Raises nothing."""
    return ()


def open_checkpoint(
    path: str | os.PathLike[str],
    policy: Policy,
    *,
    guarantee: str | None,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    links_within: str | os.PathLike[str] | None = None,
    accept_historical: bool = False,
    closed: Callable[[Opened], Collection[files.CheckpointFile]] = nothing_known,
) -> Opened:
    """Check the signature, list the directory, compare names and sizes, look where loaders are led.

    May be called from several threads.

    Args:
        path: A directory, or one file.
        policy: Whom to trust, and what may be there unsigned.
        guarantee: Name of what will be promised of the bytes, by ``accept``; None: nothing is.
        signature: The bundle; None: ``model.sig`` in the directory, or beside a file, ``.sig``.
        tree: The tree file; None: likewise.
        cosignatures: Further bundles over the same statement; every one of them must hold.
        links_within: A directory that links to files may lead into; None: links are refused.
        accept_historical: Also read bundles that model-signing wrote before version 1.1.
        closed: Tells after step 3 which files are known to lead to no other file.

    Returns:
        What was found out.

    Raises:
        VerificationError: No; the subclass says why.
        CheckError: The answer could not be found out.
        UsageError: The policy, or what it was read from, lies inside the checkpoint.
    """
    if guarantee is not None:
        policy.check_guarantee(guarantee)
    files.check_there(path)
    policy.check_logged()
    check_keys_outside(path, policy.files)
    bundle_path, tree_path = places(path, signature, tree)
    signed = inspect_signed(  # 1, 2
        bundle_path,
        policy,
        location=path,
        cosignatures=cosignatures,
        accept_historical=accept_historical,
    )
    check_requirements(signed.requirements, bundle_path)
    if policy.log is not None or policy.provenance is not None:
        from pyhash.history import check_history

        check_history(policy, signed.manifest, signed.payload, path, bundle_path)
    ignored = ignored_paths(signed.manifest, policy)
    ours = (bundle_path, tree_path, *(os.fspath(one) for one in cosignatures))
    own = own_paths(signed.manifest, [inside(path, name) for name in ours])
    listing = files.list_checkpoint(  # 3
        path, hashing.ignorer(ignored), own=own, links_within=links_within
    )
    manifest = _with_empty_files(signed.manifest, listing)
    raise_findings(compare_listing(manifest, listing))
    opened = Opened(
        location=os.fspath(path),
        policy=policy,
        manifest=manifest,
        key_hint=signed.key_hint,
        signers=signed.signers,
        listing=listing,
        ignored=ignored,
        own=own,
        tree_path=tree_path,
        doubts=(),
    )
    return replace(opened, doubts=_doubts(listing, frozenset(closed(opened))))  # 4


def _doubts(listing: files.Listing, known: frozenset[files.CheckpointFile]) -> tuple[Finding, ...]:
    """What leads from the signed files to others, but for files of which it is known."""
    if known.issuperset(listing.files):
        return ()
    from pyhash import closure  # here, as it knows every format

    return tuple(closure.check_closure(listing, known))


def accept(opened: Opened, guarantee: str) -> None:
    """Say that all that was asked for has passed: the policy may refuse still, and remembers.

    Args:
        opened: The checkpoint.
        guarantee: Name of what is promised of the bytes now, whatever was to be promised before.

    Raises:
        PolicyError: The guarantee is too weak, or a higher release was accepted meanwhile.
        CheckError: The policy's memory cannot be read or written; then nothing was accepted.
    """
    opened.policy.check_guarantee(guarantee)
    if opened.policy.state is not None:
        from pyhash.policy import remember_release  # here, as most policies have no memory

        remember_release(opened.policy, opened.location, opened.manifest, int(time.time()))


def given_policy(
    path: str | os.PathLike[str],
    policy: Policy | PolicyFile | None,
    keys: Sequence[str | os.PathLike[str]],
    ignore: Sequence[str],
    root: str | None,
) -> Policy:
    """Return the policy that a caller gave: whole, as a file of rules, or as keys, ignored paths
    and a root.

    Raises:
        PolicyError: No rule of the file is for this checkpoint.
        UsageError: Neither keys nor a policy, or both, or a key out of the checkpoint itself.
        KeyFileError: A key cannot be read, or is of a kind we do not take.
    """
    if policy is None:
        check_keys_outside(path, [file for key in keys for file in signing.key_files(key)])
        return Policy.from_key_files(keys, ignore=ignore, root=root)
    if keys or ignore or root is not None:
        raise errors.UsageError("give a policy, or keys, ignored paths and a root, not both")
    return policy if isinstance(policy, Policy) else policy.for_checkpoint(path)


def check_ignored(ignore: Sequence[str]) -> None:
    """Refuse ignored paths that reach outside, or hold a pattern, or one string for a list of them.

    Raises:
        UsageError: One of them does.
    """
    if isinstance(ignore, str):
        raise errors.UsageError("give ignored paths as a list, not as one string")
    for one in ignore:
        try:
            paths.check_ignored_path(one)
        except errors.FormatError as error:
            raise errors.UsageError(f"cannot ignore this path: {error}") from error


def ignored_paths(manifest: Manifest, policy: Policy) -> tuple[str, ...]:
    """Return what may be there unsigned, with everything below it: what the policy names, and
    version control files where the publisher left them out too. Other paths that the bundle
    itself says to ignore count for nothing: whom to trust blindly is not the publisher's to
    decide. A file that is signed is never left out. Raises nothing.
    """
    version_control = [one for one in paths.DEFAULT_IGNORED if one in manifest.ignore_paths]
    return _unsigned(manifest, (*policy.ignore, *version_control))


def own_paths(manifest: Manifest, places: Sequence[str | None]) -> tuple[str, ...]:
    """Return where the bundle and the tree file may lie: the usual places, and those given. Only
    regular files are left out there; a directory could hide anything. Raises nothing.
    """
    return _unsigned(manifest, (*OWN_NAMES, *filter(None, places)))


def _unsigned(manifest: Manifest, candidates: Sequence[str]) -> tuple[str, ...]:
    unsigned = dict.fromkeys(candidates)
    for shard in manifest.shards:
        unsigned.pop(shard.path, None)
    return tuple(unsigned)


def _with_empty_files(manifest: Manifest, listing: files.Listing) -> Manifest:
    """Take in files without bytes where the method of the bundle cannot sign them (OMS v1.0, method
    ``shards``). They are there as listed, and the report says how many they are.
    """
    if not manifest.omits_empty or listing.is_single_file:
        return manifest
    signed = {shard.path for shard in manifest.shards}
    empty = (
        ShardEntry(file.path, 0, None, EMPTY_DIGEST)
        for file in listing.files
        if file.identity.size == 0 and file.path not in signed
    )
    shards = sorted((*manifest.shards, *empty), key=lambda shard: shard.path)
    return replace(manifest, shards=tuple(shards))


def compare_listing(manifest: Manifest, listing: files.Listing) -> list[Finding]:
    """Step 3: names and sizes, before any byte is hashed. Raises nothing."""
    found = list(listing.strange)
    signed = dict(zip(_names(manifest, listing), manifest.shards, strict=True))
    there = {file.path: file for file in listing.files}
    in_its_place = {finding.path: finding.message for finding in listing.strange}
    for name, shard in signed.items():
        file = there.get(name)
        if file is None:
            other = in_its_place.get(name)
            message = f"signed, but in its place is {other}" if other else "signed, but not there"
            found.append(Finding("missing", name, message))
        elif shard.size is not None and file.identity.size != shard.size:
            message = f"{file.identity.size} bytes instead of the signed {shard.size}"
            found.append(Finding("size", name, message, str(shard.size), str(file.identity.size)))
    for name in there.keys() - signed.keys():
        found.append(Finding("unexpected", name, _advice_on_unsigned(name)))
    return found


def _advice_on_unsigned(name: str) -> str:
    if name.startswith(DOWNLOAD_METADATA + "/"):
        return (
            "not signed by anybody: a note that Hugging Face's downloader keeps beside the files;"
            f" --ignore {DOWNLOAD_METADATA} leaves it out"
        )
    return "not signed by anybody; remove it or sign again"


def _names(manifest: Manifest, listing: files.Listing) -> list[str]:
    """Paths of the signed shards. OMS tools call a single file ".", whatever its name is."""
    if manifest.single_file and listing.is_single_file:
        return [listing.name]
    return [shard.path for shard in manifest.shards]
