# SPDX-License-Identifier: Apache-2.0
"""What Hugging Face's downloader wrote beside the files: expected digests without any network.

In a cache each file of a snapshot is a link to a blob that is named by its digest; in a directory
that was downloaded into, notes below ``.cache/huggingface`` say the digest of each file. Both may
have the repository's whole tree as JSON. SHA-256 for large files, git's blob SHA-1 for small ones.
"""

from __future__ import annotations

import os
import re

from pyhash import limits
from pyhash.errors import FormatError, ReadError, UsageError
from pyhash.files import read_small
from pyhash.interchange._base import Expected, ExpectedDigests, ListKind, Sniff, check_entry_count
from pyhash.locations import DOWNLOAD_METADATA
from pyhash.paths import decode_name, encode_path
from pyhash.strict_json import (
    JsonValue,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)

NOTE_SUFFIX, INCOMPLETE_SUFFIX = ".metadata", ".incomplete"
SNAPSHOTS, BLOBS, REFS, TREES = "snapshots", "blobs", "refs", "trees"
MAIN = "refs/main"
TREE_VERSION = 1
# Hex digits of an etag -> algorithm
ETAGS = {64: "sha256", 40: "git-sha1"}
_ETAG = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")

Digest = tuple[str, bytes]
Tree = dict[str, tuple[Digest, int]]


def load(source: str, model: str) -> ExpectedDigests:
    """Read what a cache or a directory says about itself.

    Args:
        source: The repository's folder in the cache, a snapshot in it, or the directory.
        model: The same, or that snapshot.

    Raises:
        UsageError: Source and checkpoint are two different things, or there are several snapshots.
        ReadError, LimitError, FormatError: A note cannot be read, is too long, is none, or two of
            them contradict each other.
    """
    if os.path.realpath(source) != os.path.realpath(model):
        raise UsageError(
            f"{model}: what Hugging Face's downloader noted in {source} is not about it"
        )
    if os.path.isdir(os.path.join(model, *DOWNLOAD_METADATA.split("/"), "download")):
        return _load_directory(model)
    return _load_snapshot(_find_snapshot(model))


# --- a directory that was downloaded into ---------------------------------------------------------


def _load_directory(model: str) -> ExpectedDigests:
    home = os.path.join(model, *DOWNLOAD_METADATA.split("/"))
    download = os.path.join(home, "download")
    names = _names_below(download)
    found: dict[str, Digest] = {}
    commits = set()
    for name in names:
        if name.endswith(NOTE_SUFFIX):
            location = os.path.join(download, os.fsdecode(encode_path(name)))
            data = read_small(location, limits.MAX_HUB_NOTE_BYTES)
            commit, digest = load_note(data, location)
            commits.add(commit)
            found[name.removesuffix(NOTE_SUFFIX)] = digest
    notes = _incomplete(names)
    if len(commits) > 1:
        notes += (f"the files are of {len(commits)} revisions: {', '.join(sorted(commits))}",)
    sizes = {}
    for commit in sorted(commits):
        tree = _read_tree(os.path.join(home, TREES), commit)
        if tree is not None and len(commits) == 1:
            sizes = _merge(found, tree, model)
    return _listed(model, found, sizes, notes=notes, ignored=(DOWNLOAD_METADATA,))


def load_note(data: bytes, source: str) -> tuple[str, Digest]:
    """Read the note about one downloaded file. Pure, thread-safe.

    Args:
        data: The whole note: commit, etag and time, a line each.
        source: Where it came from, for messages.

    Returns:
        The commit, and the digest that the etag is.

    Raises:
        FormatError: Anything else.
    """
    try:
        lines = data.decode("ascii").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{source}: not ASCII", source, error.start) from None
    if len(lines) != 3 or not _COMMIT.fullmatch(lines[0]) or not _TIME.fullmatch(lines[2]):
        raise FormatError(f"{source}: not a commit, an etag and a time, a line each", source)
    return lines[0], load_etag(lines[1], source)


def load_etag(text: str, source: str) -> Digest:
    """Return the digest that an etag is.

    Raises:
        FormatError: Neither SHA-256 nor SHA-1 in lowercase hex.
    """
    if _ETAG.fullmatch(text) is None:
        raise FormatError(f"{source}: {show(text)} is no SHA-256 and no git blob", source)
    return ETAGS[len(text)], bytes.fromhex(text)


# --- a cache --------------------------------------------------------------------------------------


def _find_snapshot(model: str) -> str:
    snapshots = os.path.join(model, SNAPSHOTS)
    if not os.path.isdir(snapshots):
        return model
    try:
        main = read_small(os.path.join(model, MAIN), limits.MAX_HUB_NOTE_BYTES).decode("ascii")
    except (ReadError, UnicodeDecodeError):
        main = ""
    found = [main] if _COMMIT.fullmatch(main) else _entries(snapshots)
    if len(found) != 1:
        raise UsageError(f"{model}: {len(found)} snapshots; name one: {snapshots}/...")
    return os.path.join(snapshots, found[0])


def _load_snapshot(snapshot: str) -> ExpectedDigests:
    here = os.path.realpath(snapshot)
    repository = os.path.dirname(os.path.dirname(here))
    blobs = os.path.join(repository, BLOBS)
    if os.path.basename(os.path.dirname(here)) != SNAPSHOTS or not os.path.isdir(blobs):
        raise FormatError(
            f"{snapshot}: neither a snapshot in a Hugging Face cache nor a directory that its"
            f" downloader wrote {DOWNLOAD_METADATA} into",
            snapshot,
        )
    found: dict[str, Digest] = {}
    for name in _names_below(here):
        path = os.path.join(here, os.fsdecode(encode_path(name)))
        if os.path.islink(path):
            found[name] = _load_link(path, blobs)
    tree = _read_tree(os.path.join(repository, TREES), os.path.basename(here))
    sizes = {} if tree is None else _merge(found, tree, snapshot)
    return _listed(
        snapshot,
        found,
        sizes,
        notes=_incomplete(_entries(blobs)),
        # Above the repository lies the store that all repositories share.
        links_within=os.path.dirname(repository),
        location=snapshot,
    )


def _load_link(path: str, blobs: str) -> Digest:
    """Return the digest that the blob behind a link is named by; where it ends is checked later."""
    target = os.path.join(os.path.dirname(path), os.readlink(path))
    directory = os.path.realpath(os.path.dirname(target))
    if directory != os.path.realpath(blobs):
        raise FormatError(f"{path}: leads to {target}, not into {blobs}", path)
    return load_etag(os.path.basename(target), path)


# --- both -----------------------------------------------------------------------------------------


def _read_tree(folder: str, commit: str) -> Tree | None:
    location = os.path.join(folder, f"{commit}.json")
    if not os.path.lexists(location):
        return None
    return load_tree(read_small(location, limits.MAX_HUB_TREE_BYTES), location)


def load_tree(data: bytes, source: str) -> Tree:
    """Read the list of all files of a repository at one commit. Pure, thread-safe.

    Args:
        data: The whole JSON text.
        source: Where it came from, for messages.

    Returns:
        Path -> digest and size.

    Raises:
        LimitError: Too long, or too many files.
        FormatError: Not such a list.
    """
    value = load_json(data, path=source, max_bytes=limits.MAX_HUB_TREE_BYTES)
    fields = expect_fields(value, "the tree", source, required=("format_version", "files"))
    if fields["format_version"] != TREE_VERSION:
        raise FormatError(f"{source}: format_version is not {TREE_VERSION}", source)
    listed = expect_object(fields["files"], "files", source)
    check_entry_count(len(listed), source)
    return {name: _load_tree_entry(name, one, source) for name, one in listed.items()}


def _load_tree_entry(name: str, value: JsonValue, source: str) -> tuple[Digest, int]:
    where = f"the entry of {show(name)}"
    fields = expect_fields(
        value,
        where,
        source,
        required=("size", "blob_id"),
        optional=("lfs_sha256", "lfs_size", "xet_hash"),
    )
    size = expect_integer(fields["size"], f"{where}: size", source)
    if "lfs_sha256" not in fields:
        text = expect_string(fields["blob_id"], f"{where}: blob_id", source)
        return load_etag(text, source), size
    # Of a file in large-file storage, blob_id is that of the pointer.
    text = expect_string(fields["lfs_sha256"], f"{where}: lfs_sha256", source)
    if expect_integer(fields.get("lfs_size", size), f"{where}: lfs_size", source) != size:
        raise FormatError(f"{source}: {where} has two sizes", source)
    return load_etag(text, source), size


def _merge(found: dict[str, Digest], tree: Tree, source: str) -> dict[str, int]:
    """Add what only the tree lists; refuse a file of which both say something else."""
    for name, (digest, _) in tree.items():
        if found.setdefault(name, digest) != digest:
            raise FormatError(
                f"{source}: {show(name)} has one digest beside it and another in the tree of the"
                " repository: it was not downloaded whole, or the notes were changed",
                source,
            )
    return {name: size for name, (_, size) in tree.items()}


def _incomplete(names: list[str]) -> tuple[str, ...]:
    parts = [name for name in names if name.endswith(INCOMPLETE_SUFFIX)]
    if not parts:
        return ()
    return (f"{len(parts)} interrupted downloads lie there: {', '.join(parts[:3])}",)


def _listed(
    source: str,
    found: dict[str, Digest],
    sizes: dict[str, int],
    *,
    notes: tuple[str, ...],
    ignored: tuple[str, ...] = (),
    links_within: str | None = None,
    location: str | None = None,
) -> ExpectedDigests:
    entries = tuple(
        Expected(name, (digest,), sizes.get(name)) for name, digest in sorted(found.items())
    )
    return ExpectedDigests(
        *(KIND.name, source, entries, None, location, ignored, links_within, notes)
    )


def _names_below(folder: str) -> list[str]:
    """Paths of everything below a folder that is no directory; links are not followed."""
    names: list[str] = []
    for directory, _, there in os.walk(folder, onerror=_raise):
        prefix = os.path.relpath(directory, folder)
        for name in there:
            names.append(decode_name(name if prefix == "." else os.path.join(prefix, name)))
        check_entry_count(len(names), folder)
    return sorted(names)


def _entries(folder: str) -> list[str]:
    try:
        return sorted(decode_name(name) for name in os.listdir(folder))
    except OSError as error:
        _raise(error)
        return []


def _raise(error: OSError) -> None:
    name = os.fsdecode(error.filename)
    raise ReadError(f"{name}: {error.strerror}", name, error.errno) from error


def _detect(sniff: Sniff) -> bool:
    if not sniff.is_directory:
        return False
    if os.path.isdir(os.path.join(sniff.path, *DOWNLOAD_METADATA.split("/"), "download")):
        return True
    if os.path.isdir(os.path.join(sniff.path, SNAPSHOTS)):
        return os.path.isdir(os.path.join(sniff.path, BLOBS))
    return os.path.basename(os.path.dirname(os.path.realpath(sniff.path))) == SNAPSHOTS


KIND = ListKind(
    name="huggingface",
    title="a Hugging Face cache, a snapshot in it, or a directory downloaded into",
    covers="every byte of every downloaded file, by its path: SHA-256 of large files, git's SHA-1"
    " of small ones",
    leaves_out="who made the files; whether the notes beside them are those of the Hub",
    detect=_detect,
    load=load,
)
