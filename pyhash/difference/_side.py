# SPDX-License-Identifier: Apache-2.0
"""One side of a comparison: what is signed, or hashed now, and how to look into a file of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import field

from pyhash import errors, files, formats, hashing, limits, signing, tree_file
from pyhash.difference._model import SideSummary
from pyhash.formats import Layout
from pyhash.frozen import frozen
from pyhash.locations import BUNDLE_SUFFIX, TREE_SUFFIX, places
from pyhash.manifest import Manifest, ShardEntry, build_manifest, load_statement
from pyhash.merkle import shard_root
from pyhash.policy import Policy
from pyhash.signed_bundle import inspect_signed
from pyhash.signed_tree import load_signed_nodes
from pyhash.signing import Verifier


@frozen
class Request:
    """How to find out about both sides.

    Attributes:
        keys: Trusted keys; none: signatures are not checked.
        rehash: Hash the files of a checkpoint although a bundle says what they should be.
        options: How to hash.
    """

    keys: tuple[Verifier, ...] = ()
    rehash: bool = False
    options: hashing.Options = field(default_factory=hashing.Options)


class Side:
    """One side, and what has been found out about it. For one thread."""

    def __init__(
        self,
        summary: SideSummary,
        manifest: Manifest,
        nodes: Sequence[bytes | memoryview],
        listing: files.Listing | None,
        options: hashing.Options,
    ) -> None:
        self.summary, self.manifest = summary, manifest
        self._nodes, self._listing, self._options = nodes, listing, options
        self._there = {one.path: one for one in listing.files} if listing else {}
        self.shards = {one.path: (index, one) for index, one in enumerate(manifest.shards)}
        self.hashed = 0
        self.notes: list[str] = []

    def nodes(self, path: str) -> bytes | None:
        """Return the span nodes of a file, folded to its root; None where there is no telling.

        Where the tree file is missing or does not fit, the file itself is hashed if it is there.

        Args:
            path: A file of this side.

        Raises:
            ReadError, ChangedWhileReadError, EngineError: It had to be hashed and could not be.
        """
        index, shard = self.shards[path]
        if shard.root is None:
            return None
        nodes = bytes(self._nodes[index]) if self._nodes else b""
        if self._nodes and shard_root(nodes) == shard.root:
            return nodes
        file = self._there.get(path)
        if file is None or self._listing is None:
            self._note(f"{path}: no usable tree file, so it is not known where it differs")
            return None
        only = files.Listing(
            self._listing.location, self._listing.name, self._listing.is_single_file, (file,), ()
        )
        (digest,) = hashing.hash_listing(only, options=self._options)
        self.hashed += digest.size
        if digest.root != shard.root:
            self._note(f"{path}: damaged: the file does not hold what is signed")
            return None
        self._note(f"{path}: no usable tree file, so it was hashed")
        return digest.span_nodes

    def layout(self, path: str) -> Layout | None:
        """Return where the tensors of a file lie, by its header, which nothing is compared with.

        Args:
            path: A file of this side.

        Returns:
            None where there is no file, or no readable header. Raises nothing.
        """
        file = self._there.get(path)
        if file is None or self._listing is None:
            return None
        try:
            with files.open_files(self._listing, (file,)) as (descriptor,):
                read = files.read_at(file.path, descriptor)
                return formats.layout_of(read, file.identity.size, file.path)
        except (errors.CheckError, errors.ChangedWhileReadError):
            return None

    def _note(self, text: str) -> None:
        self.notes.append(f"{self.summary.location}: {text}")


def open_side(location: str | os.PathLike[str], request: Request) -> Side:
    """Find out what one side is.

    Args:
        location: A checkpoint, a bundle, or the tree file beside a bundle.
        request: How.

    Returns:
        The side.

    Raises:
        SignatureError, UnsignedError: Keys were given, and none of them signed it.
        UsageError: A tree file without its bundle: it names no files.
        CheckError: It cannot be read.
    """
    text = os.fspath(location)
    files.check_there(text)
    if os.path.isdir(text):
        return _checkpoint(text, request)
    head = _head(text)
    if head.startswith(tree_file.MAGIC):
        return _from_bundle(text, _bundle_of(text), text, None, request)
    if head.startswith(b"{") and _is_bundle(text):
        return _from_bundle(text, text, _tree_of(text), None, request)
    return _checkpoint(text, request)


def _checkpoint(location: str, request: Request) -> Side:
    bundle_path, tree_path = places(location, None, None)
    listing = files.list_checkpoint(location, hashing.ignorer(hashing.IGNORED))
    if request.rehash or (not request.keys and not os.path.lexists(bundle_path)):
        return _hashed(location, listing, request)
    return _from_bundle(location, bundle_path, tree_path, listing, request)


def _from_bundle(
    location: str,
    bundle_path: str,
    tree_path: str,
    listing: files.Listing | None,
    request: Request,
) -> Side:
    if request.keys:
        signed = inspect_signed(bundle_path, Policy(request.keys), location=location)
        manifest, hint = signed.manifest, signed.key_hint
    else:
        data = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
        bundle = signing.load_bundle(data, bundle_path)
        # Not verified, and the answer says so.
        manifest, hint = load_statement(bundle.envelope.payload, path=bundle_path), ""
    sizes = [shard.size for shard in manifest.shards if shard.size is not None]
    summary = SideSummary(
        location,
        "signed",
        "verified" if request.keys else "unverified",
        hint or None,
        manifest.root,
        len(manifest.shards),
        sum(sizes) if len(sizes) == len(manifest.shards) else None,
    )
    nodes = load_signed_nodes(manifest, tree_path)
    return Side(summary, manifest, nodes, _fitting(listing, manifest), request.options)


def _fitting(listing: files.Listing | None, manifest: Manifest) -> files.Listing | None:
    """Leave out files whose size is not the signed one: their headers say nothing about it."""
    if listing is None:
        return None
    sizes = {shard.path: shard.size for shard in manifest.shards}
    fitting = [one for one in listing.files if sizes.get(one.path) in (None, one.identity.size)]
    return files.Listing(listing.location, listing.name, listing.is_single_file, tuple(fitting), ())


def _hashed(location: str, listing: files.Listing, request: Request) -> Side:
    digests = hashing.hash_listing(listing, options=request.options)
    pairs = list(zip(listing.files, digests, strict=True))
    manifest = build_manifest(
        listing.name, (ShardEntry(one.path, own.size, own.root, None) for one, own in pairs)
    )
    size = sum(own.size for own in digests)
    summary = SideSummary(location, "hashed", "none", None, manifest.root, len(pairs), size)
    nodes = [own.span_nodes for own in digests]
    side = Side(summary, manifest, nodes, listing, request.options)
    side.hashed = size
    return side


def _head(location: str) -> bytes:
    with files.reading(location), open(location, "rb") as file:
        return file.read(len(tree_file.MAGIC))


def _is_bundle(location: str) -> bool:
    try:
        signing.load_bundle(files.read_small(location, limits.MAX_BUNDLE_BYTES), location)
    except errors.FormatError:
        return False
    return True


def _bundle_of(tree_path: str) -> str:
    bundle_path = tree_path.removesuffix(TREE_SUFFIX) + BUNDLE_SUFFIX
    if not tree_path.endswith(TREE_SUFFIX) or not os.path.lexists(bundle_path):
        raise errors.UsageError(
            f"{tree_path}: a tree file names no files; its bundle is needed beside it, as"
            f" {bundle_path}"
        )
    return bundle_path


def _tree_of(bundle_path: str) -> str:
    return bundle_path.removesuffix(BUNDLE_SUFFIX) + TREE_SUFFIX
