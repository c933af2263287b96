# SPDX-License-Identifier: Apache-2.0
"""Sign a checkpoint: list, hash once, write ``model.tree`` and the signed ``model.sig``.

What a verifier would refuse (links, an index that points outside) is refused here already, so
that it is found by the publisher and not by the fleet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyhash import atomic, closure, files, hashing, limits, paths, sealing, signing, tree_file
from pyhash.carrying import Carried, Update, carry_over
from pyhash.errors import FormatError, ReadError, UsageError
from pyhash.findings import raise_findings
from pyhash.locations import OWN_NAMES, check_keys_outside, inside, places
from pyhash.manifest import Manifest, Release, ShardEntry, build_manifest, dump_statement
from pyhash.policy import Policy, PolicyFile, check_requirements, judge, recall_release
from pyhash.receipts import Store, bind, flush_files, record, settle
from pyhash.verity import hash_verity_listing


@dataclass(frozen=True, slots=True)
class SignResult:
    """What was signed, and where the signature is.

    Attributes:
        manifest: The signed list of shards.
        root: Checkpoint root, 32 bytes.
        bundle_path: The bundle that was written.
        tree_path: The tree file that was written.
        key_hint: Which key signed: SHA-256 of its public PEM, hex.
        size: Bytes of all shards.
        carried: Files whose digests were taken over from an earlier bundle, and why; all others
            were hashed.
        sealed: How many files were sealed now, all others were before; None: that was not asked
            for.
    """

    manifest: Manifest
    root: bytes
    bundle_path: str
    tree_path: str
    key_hint: str
    size: int
    carried: tuple[Carried, ...] = ()
    sealed: int | None = None


def sign(
    path: str | os.PathLike[str],
    key: str | os.PathLike[str],
    *,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    ignore: Sequence[str] = (),
    file_digests: bool = True,
    links_within: str | os.PathLike[str] | None = None,
    update: Update | None = None,
    receipts: Store | None = None,
    passphrase: signing.AskSecret | None = None,
    release: Release | None = None,
    policy: Policy | PolicyFile | None = None,
    seal: bool = False,
    options: hashing.Options | None = None,
) -> SignResult:
    """Sign a checkpoint; may be called from several threads for several checkpoints.

    Args:
        path: A directory, or one file.
        key: A key reference: the PEM file of a private key, ECDSA on P-256, P-384 or P-521, or
            what docs/signing.md names (a certificate, a token, a keyless identity).
        signature: Where the bundle goes; None: ``model.sig`` in the directory, or the file's name
            with ``.sig``.
        tree: Where the tree file goes; None: ``model.tree``, or the file's name with ``.tree``.
        ignore: Paths inside the checkpoint to leave unsigned, with everything below them.
            Version control files of the top level always are (``paths.DEFAULT_IGNORED``).
        file_digests: Also compute and sign each file's plain SHA-256, so that every OMS tool can
            verify the bundle. Without, signing is faster and only pyhash can.
        links_within: A directory, such as the root of a download cache, that links to files may
            lead into: the file that a link leads to is signed under the link's name. None: links
            are refused.
        update: Take digests over from the bundle that is there now instead of hashing: whose, and
            on what grounds; None: hash everything.
        receipts: Leave a receipt there, for the files that were hashed now or that an earlier
            receipt covers; None: do not.
        passphrase: Asked, with the key's name, for what opens the key, when it needs that.
        release: Which release it is and when it expires; signed too. None: nothing is said.
        policy: Refuse to sign what this would not accept. None: nothing is asked.
        seal: Also have the kernel seal every file with fs-verity, for ever, and sign what it
            measures of each, for the guarantee ``kernel`` (docs/seal.md). The bundle is written
            when all are sealed; files that are sealed already stay as they are.
        options: How to hash.

    Raises:
        SealError: ``seal``: no fs-verity there, or a file that is open for writing. The bundle is
            the old one; files that were sealed before that stay sealed.
        SignatureError, PolicyError: The policy would not accept this signature. Nothing was
            written.
        KeyFileError: The key cannot be read or must not be used. Nothing was hashed.
        UnexpectedFileError, ClosureError, ChangedWhileReadError: The checkpoint is one that
            every verifier would refuse.
        ReadError, FormatError, LimitError, EngineError: It could not be read or is too large.
        SignatureError, SizeMismatchError: ``update``: the earlier bundle is not by the key, or a
            file that is said to be unchanged has another size.
        ReceiptError: ``update`` or ``receipts``: the records of this host cannot be used.
        UsageError: The key lies inside the checkpoint, something else than an earlier bundle or
            tree file stands where they go, or a path cannot be left out. Nothing was hashed.
        WriteError: The bundle could not be written; an old one is still there.
        KeyboardInterrupt: Ctrl-C; nothing was written.
    """
    rules = policy.for_checkpoint(path) if isinstance(policy, PolicyFile) else policy
    if rules is not None:
        rules.check_logged()
    check_keys_outside(path, [*signing.key_files(key), *(rules.files if rules else ())])
    signer = signing.load_signer(key, passphrase=passphrase)
    bundle_path, tree_path = places(path, signature, tree)
    _check_targets(bundle_path, tree_path)
    ignored = _ignored([inside(path, name) for name in (bundle_path, tree_path)], ignore)
    listing = files.list_checkpoint(path, hashing.ignorer(ignored), links_within=links_within)
    raise_findings([*listing.strange])
    raise_findings(closure.check_closure(listing))
    if seal:
        sealing.measure_listing(listing)  # whether it can be done at all, before anything is hashed
    carried: Mapping[int, tuple[Carried, hashing.ShardDigest]] = {}
    if update is not None:
        carried = carry_over(listing, update, signer, (bundle_path, tree_path), file_digests)
    began_ns = _prepare_receipt(listing, receipts)
    digests = _hash_others(listing, carried, options or hashing.Options(), file_digests)
    measures = hash_verity_listing(listing, options=options) if seal else None
    manifest = _manifest(listing, digests, measures, ignored, release)
    bundle = signing.sign_payload(dump_statement(manifest), signer)
    if rules is not None:
        _check_accepted(bundle, manifest, rules, bundle_path)
    sealed = None if measures is None else sealing.seal_listing(listing, measures, options=options)
    # The tree file first: it is not trusted, so a new one beside an old bundle does no harm.
    atomic.write_file(tree_path, tree_file.dump_tree([digest.span_nodes for digest in digests]))
    atomic.write_file(bundle_path, signing.dump_bundle(bundle))
    if receipts is not None:
        binding = bind(listing.location, manifest, signer.hint)
        by_word = {one.path for one, _ in carried.values() if not one.is_proven}
        proven = [file for file in listing.files if file.path not in by_word]
        record(receipts, binding, proven, began_ns)
    return SignResult(
        manifest,
        manifest.root or b"",
        bundle_path,
        tree_path,
        signer.hint,
        sum(digest.size for digest in digests),
        tuple(one for one, _ in carried.values()),
        sealed,
    )


def _prepare_receipt(listing: files.Listing, receipts: Store | None) -> int:
    """Have the files settled where a receipt is wanted; returns when hashing begins."""
    if receipts is None:
        return 0
    flush_files(listing)
    return settle(listing)


def _hash_others(
    listing: files.Listing,
    carried: Mapping[int, tuple[Carried, hashing.ShardDigest]],
    options: hashing.Options,
    file_digests: bool,
) -> list[hashing.ShardDigest]:
    """Return the digest of every file: carried over, or hashed now."""
    others = [one for index, one in enumerate(listing.files) if index not in carried]
    hashed = iter(
        hashing.hash_listing(
            replace(listing, files=tuple(others)), options=options, file_digests=file_digests
        )
    )
    return [
        carried[index][1] if index in carried else next(hashed)
        for index in range(len(listing.files))
    ]


def _check_accepted(
    bundle: signing.Bundle, manifest: Manifest, policy: Policy, bundle_path: str
) -> None:
    """Refuse a signature that the policy would refuse; that others must sign too is no fault."""
    signing.verify_envelope(bundle, policy.keys, path=bundle_path)
    requirements = judge(
        policy,
        manifest,
        policy.signatures,
        now=int(time.time()),
        remembered=recall_release(policy, policy.location),
    )
    check_requirements(requirements, bundle_path)


def _check_targets(bundle_path: str, tree_path: str) -> None:
    """Refuse to write over anything but an earlier bundle and an earlier tree file."""
    if os.path.abspath(bundle_path) == os.path.abspath(tree_path):
        raise UsageError(f"the bundle and the tree file cannot both be {bundle_path}")
    for target, what, read in (
        (bundle_path, "bundle", _read_bundle),
        (tree_path, "tree file", _read_tree),
    ):
        if not os.path.lexists(target):
            continue
        try:
            read(target)
        except (FormatError, ReadError) as error:
            raise UsageError(
                f"{target}: is there already and is no {what}; it is not written over. Remove it,"
                f" or name another place ({error})"
            ) from error


def _ignored(own: Sequence[str | None], ignore: Sequence[str]) -> tuple[str, ...]:
    """Return all that is left out; refuse now what could not be written down after hashing."""
    if isinstance(ignore, str):
        raise UsageError("give ignored paths as a list, not as one string")
    ignored = (*paths.DEFAULT_IGNORED, *OWN_NAMES, *filter(None, own), *ignore)
    for path in ignored:
        try:
            paths.check_ignored_path(path)
        except FormatError as error:
            raise UsageError(f"cannot leave this path out: {error}") from error
    return tuple(dict.fromkeys(ignored))


def _read_bundle(location: str) -> None:
    signing.load_bundle(files.read_small(location, limits.MAX_BUNDLE_BYTES), location)


def _read_tree(location: str) -> None:
    data = files.read_small(location, limits.MAX_TREE_FILE_BYTES)
    if not data.startswith(tree_file.MAGIC):
        raise FormatError(f"{location}: does not begin like a tree file", location)


def _manifest(
    listing: files.Listing,
    digests: list[hashing.ShardDigest],
    measures: list[bytes] | None,
    ignored: tuple[str, ...],
    release: Release | None,
) -> Manifest:
    sealed: Sequence[bytes | None] = measures or [None] * len(digests)
    shards = (
        ShardEntry(file.path, digest.size, digest.root, digest.file_digest, verity=measure)
        for file, digest, measure in zip(listing.files, digests, sealed, strict=True)
    )
    # Beside a single file lies the whole directory, of which nothing is said.
    return build_manifest(
        listing.name,
        shards,
        ignore_paths=() if listing.is_single_file else ignored,
        allow_symlinks=any(file.target is not None for file in listing.files),
        release=release,
    )
