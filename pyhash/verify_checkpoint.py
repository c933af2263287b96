# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH. Verify a checkpoint in the eight steps of docs/format-v1.md, "Verifying".

The numbers in the code are those of the steps. Only this module makes a ``Verified``; the gate
and the loaders accept nothing else. There is no argument that leaves a step out.

What is promised of a ``Verified``: no constructor, copy, ``replace``, pickle or ``__new__`` gives
one that ``expect_verified`` accepts, so none comes about by accident or from a file. Code that
runs in this process and wants to lie can: Python hides no names from it.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import NoReturn

from pyhash import closure, damage, errors, files, hashing, limits, paths, signing, tree_file
from pyhash.errors import Finding
from pyhash.findings import raise_findings
from pyhash.locations import OWN_NAMES, check_keys_outside, inside, places
from pyhash.manifest import Manifest, ShardEntry, load_statement
from pyhash.merkle import format_root
from pyhash.policy import Policy

_SEAL = object()


# Equal to itself only: what it proves was found out once, about one set of files.
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Verified:
    """Proof that a checkpoint is what a trusted key signed. Only ``verify`` makes one.

    It cannot be constructed, changed, copied or pickled.

    Attributes:
        location: The checkpoint as the caller named it.
        manifest: What was signed.
        root: Checkpoint root, 32 bytes; None for a bundle made by another OMS tool.
        guarantee: ``content``: every byte was hashed; the files could change afterwards.
        key_hint: The trusted key that signed: SHA-256 of its public PEM, hex.
        listing: The files as they were while hashed, for a later comparison.
        ignored: Paths that were left out.
        own: Paths where the bundle and the tree file may lie; left out as regular files.
        size: Bytes hashed.
        seconds: Wall time of the whole verification.
    """

    location: str
    manifest: Manifest
    root: bytes | None
    guarantee: str
    key_hint: str
    listing: files.Listing
    ignored: tuple[str, ...]
    own: tuple[str, ...]
    size: int
    seconds: float
    _seal: InitVar[object]

    def __post_init__(self, _seal: object) -> None:
        if _seal is not _SEAL:
            raise errors.UsageError("only pyhash.verify makes a Verified")
        _MADE.add(self)

    def __reduce__(self) -> NoReturn:
        raise errors.UsageError("a Verified cannot be copied or stored; verify again")


_MADE: weakref.WeakSet[Verified] = weakref.WeakSet()


def expect_verified(proof: object) -> Verified:
    """Return the proof if ``verify`` made it in this process. Thread-safe.

    Args:
        proof: What a caller offers as a proof.

    Raises:
        UsageError: It is something else, or a copy.
    """
    if type(proof) is not Verified:
        raise errors.UsageError(f"this takes a Verified, not a {type(proof).__name__}")
    if proof not in _MADE:
        raise errors.UsageError("this Verified was not made by pyhash.verify")
    return proof


def verify(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | None = None,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    ignore: Sequence[str] = (),
    root: str | None = None,
    options: hashing.Options | None = None,
) -> Verified:
    """Verify a checkpoint, every byte of it, or raise; may be called from several threads.

    Args:
        path: A directory, or one file.
        keys: Public keys to trust, PEM files; any one may have signed.
        policy: Instead of ``keys``, ``ignore`` and ``root``.
        signature: The bundle; None: ``model.sig`` in the directory, or beside a file, ``.sig``.
        tree: The tree file; None: likewise. Only needed to say where damage is.
        ignore: Paths inside the checkpoint that may be there unsigned.
        root: The only checkpoint root to accept; None: any.
        options: How to hash.

    Returns:
        The proof.

    Raises:
        VerificationError: No; the subclass says why, ``findings`` what and where.
        CheckError: The answer could not be found out. Refuse, too.
        UsageError: Neither keys nor a policy, or both, or a key out of the checkpoint itself.
        KeyboardInterrupt: Ctrl-C; no answer.
    """
    began = time.monotonic()
    if policy is None:
        policy = _policy(path, keys, ignore, root)
    elif keys or ignore or root is not None:
        raise errors.UsageError("give a policy, or keys, ignored paths and a root, not both")
    files.check_there(path)
    bundle_path, tree_path = places(path, signature, tree)
    manifest, key_hint = load_signed(bundle_path, policy)  # 1, 2
    ignored = ignored_paths(manifest, policy)
    own = own_paths(manifest, [inside(path, bundle_path), inside(path, tree_path)])
    listing = files.list_checkpoint(path, hashing.ignorer(ignored), own=own)  # 3
    raise_findings(compare_listing(manifest, listing))
    doubts = closure.check_closure(listing)  # 4
    digests = _hash(manifest, listing, options or hashing.Options())  # 5, 6
    wrong = _mismatches(manifest, listing, digests, tree_path)  # 7
    raise_findings([*wrong, *_of_whole_files(doubts, wrong)])
    return Verified(  # 8
        os.fspath(path),
        manifest,
        manifest.root,
        "content",
        key_hint,
        listing,
        ignored,
        own,
        sum(digest.size for digest in digests),
        time.monotonic() - began,
        _SEAL,
    )


def _policy(
    path: str | os.PathLike[str],
    keys: Sequence[str | os.PathLike[str]],
    ignore: Sequence[str],
    root: str | None,
) -> Policy:
    check_keys_outside(path, keys)
    return Policy.from_key_files(keys, ignore=ignore, root=root)


def load_signed(bundle_path: str, policy: Policy) -> tuple[Manifest, str]:
    """Steps 1 and 2: read the bundle strictly, check who signed it, and only then look inside.

    Args:
        bundle_path: The bundle.
        policy: Whom to trust.

    Returns:
        The manifest, and the hint of the key that signed it.

    Raises:
        UnsignedError: There is no bundle.
        SignatureError: No trusted key signed it.
        PolicyError: It is signed, but of another checkpoint than the one that is accepted.
        FormatError, LimitError, ReadError: It cannot be read, or is not what it should be.
    """
    try:
        data = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
    except errors.ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise errors.UnsignedError(
                f"{bundle_path}: no such file: this checkpoint is not signed, or its bundle lies"
                " elsewhere (--signature)"
            ) from error
        raise
    bundle = signing.load_bundle(data, bundle_path)
    verified = signing.verify_envelope(bundle, policy.keys, path=bundle_path)
    manifest = load_statement(verified.payload, path=bundle_path)
    if policy.root not in (None, manifest.root):
        found = "none" if manifest.root is None else format_root(manifest.root)
        raise errors.PolicyError(
            f"{bundle_path}: validly signed, but its root is {found}, and only"
            f" {format_root(policy.root or b'')} is accepted"
        )
    return manifest, verified.key.hint


def ignored_paths(manifest: Manifest, policy: Policy) -> tuple[str, ...]:
    """Return what may be there unsigned, with everything below it: what the policy names, and
    version control files where the publisher left them out too. Other paths that the bundle
    itself says to ignore count for nothing: whom to trust blindly is not the publisher's to
    decide. A file that is signed is never left out.
    """
    version_control = [one for one in paths.DEFAULT_IGNORED if one in manifest.ignore_paths]
    return _unsigned(manifest, (*policy.ignore, *version_control))


def own_paths(manifest: Manifest, places: Sequence[str | None]) -> tuple[str, ...]:
    """Return where the bundle and the tree file may lie: the usual places, and those given. Only
    regular files are left out there; a directory could hide anything.
    """
    return _unsigned(manifest, (*OWN_NAMES, *filter(None, places)))


def _unsigned(manifest: Manifest, candidates: Sequence[str]) -> tuple[str, ...]:
    unsigned = dict.fromkeys(candidates)
    for shard in manifest.shards:
        unsigned.pop(shard.path, None)
    return tuple(unsigned)


def compare_listing(manifest: Manifest, listing: files.Listing) -> list[Finding]:
    """Step 3: names and sizes, before any byte is hashed."""
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
        found.append(Finding("unexpected", name, "not signed by anybody; remove it or sign again"))
    return found


def _names(manifest: Manifest, listing: files.Listing) -> list[str]:
    """Paths of the signed shards. OMS tools call a single file ".", whatever its name is."""
    if manifest.single_file and listing.is_single_file:
        return [listing.name]
    return [shard.path for shard in manifest.shards]


def _hash(
    manifest: Manifest, listing: files.Listing, options: hashing.Options
) -> list[hashing.ShardDigest]:
    """Steps 5 and 6: all shards over all cores; a file that changes meanwhile is refused."""
    own = manifest.root is not None
    try:
        return hashing.hash_listing(listing, options=options, span_nodes=own, file_digests=not own)
    except errors.TruncatedError as error:
        finding = Finding("changed", error.path or "", "became shorter while it was being read")
        raise errors.ChangedWhileReadError(
            f"{finding.path}: {finding.message}", (finding,)
        ) from error


def _mismatches(
    manifest: Manifest,
    listing: files.Listing,
    digests: list[hashing.ShardDigest],
    tree_path: str,
) -> list[Finding]:
    """Steps 5 and 7: which shards differ, and where."""
    wrong = [
        (index, shard)
        for index, (shard, digest) in enumerate(zip(manifest.shards, digests, strict=True))
        if _expected(shard) is None or _expected(shard) != _actual(shard, digest)
    ]
    if not wrong:
        return []
    nodes = _signed_nodes(manifest, tree_path)
    return [
        _describe(shard, digests[index], nodes[index] if nodes else b"", listing, index)
        for index, shard in wrong
    ]


def _of_whole_files(doubts: Sequence[Finding], wrong: Sequence[Finding]) -> list[Finding]:
    """Leave out what a damaged file seems to say: nobody signed that."""
    damaged = {finding.path for finding in wrong}
    return [doubt for doubt in doubts if doubt.path not in damaged]


def _expected(shard: ShardEntry) -> bytes | None:
    return shard.root if shard.root is not None else shard.file_digest


def _actual(shard: ShardEntry, digest: hashing.ShardDigest) -> bytes | None:
    return digest.root if shard.root is not None else digest.file_digest


def _signed_nodes(manifest: Manifest, tree_path: str) -> tuple[memoryview, ...]:
    """Read the tree file; none when it is missing or damaged, which changes no answer."""
    if manifest.root is None:
        return ()
    sizes = [shard.size or 0 for shard in manifest.shards]
    limit = min(tree_file.tree_bytes(sizes), limits.MAX_TREE_FILE_BYTES)
    try:
        data = files.read_small(tree_path, limit)
        return tree_file.load_tree(data, sizes, tree_path)
    except errors.CheckError:
        return ()


def _describe(
    shard: ShardEntry,
    digest: hashing.ShardDigest,
    signed_nodes: memoryview | bytes,
    listing: files.Listing,
    index: int,
) -> Finding:
    file = listing.files[index]
    ranges: tuple[errors.DamagedRange, ...] = ()
    if shard.root is not None and signed_nodes:
        ranges = damage.damaged_ranges(shard.root, signed_nodes, digest.span_nodes, digest.size)
    try:
        with files.open_files(listing, (file,)) as (descriptor,):
            ranges = damage.name_tensors(ranges, file.path, descriptor, digest.size)
    except (errors.CheckError, errors.ChangedWhileReadError):
        pass  # the answer is "no" already; this only costs it the names
    expected, actual = _expected(shard) or b"", _actual(shard, digest) or b""
    return Finding("digest", file.path, _where(ranges), expected.hex(), actual.hex(), ranges)


def _where(ranges: tuple[errors.DamagedRange, ...]) -> str:
    if not ranges:
        return "other bytes than the signed ones (no usable tree file says where)"
    text = ", ".join(f"[{one.start}, {one.end})" for one in ranges[:3])
    more = f" and {len(ranges) - 3} more ranges" if len(ranges) > 3 else ""
    return f"other bytes than the signed ones in {text}{more}"
