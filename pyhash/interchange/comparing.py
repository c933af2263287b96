# SPDX-License-Identifier: Apache-2.0
"""Holds a checkpoint against a list of another tool. The result is no ``Verified``: no gate opens.

The same listing, the same descriptors and the same comparison of identities as in a verification;
but nobody signed what is compared with, and what the files lead a loader to is not looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash import errors, files, hashing, merkle, range_digests
from pyhash.errors import Finding
from pyhash.findings import raise_findings
from pyhash.interchange import gguf_hash
from pyhash.interchange._base import ALL_TENSORS, Expected, ExpectedDigests
from pyhash.interchange._kinds import find_kind
from pyhash.locations import inside
from pyhash.opening import check_ignored

# What stands in a report in the place of a guarantee. Not one of ``guarantees.MEANINGS``: no policy
# can ask for it, and nothing starts by it.
MEANINGS = {
    "unsigned-list": "the files are those of a list that nobody signed: damage is found, a"
    " publisher is not proven",
    "unsigned-list-weak": "as unsigned-list, by digests that find damage by accident and stop no"
    " attacker",
}


@dataclass(frozen=True, slots=True)
class Matched:
    """The files of a checkpoint are those of a list that nobody signed.

    Attributes:
        location: The checkpoint as the caller named it.
        kind: Name of the kind of list.
        source: The list.
        guarantee: A name of ``MEANINGS``.
        files: How many files were compared.
        size: Bytes of them.
        absent: Files of the list that are not there, where that was allowed.
        notes: What a person should know, one sentence each.
        seconds: Wall time.
    """

    location: str
    kind: str
    source: str
    guarantee: str
    files: int
    size: int
    absent: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def verify_list(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    ignore: Sequence[str] = (),
    ignore_missing: bool = False,
    links_within: str | os.PathLike[str] | None = None,
    options: hashing.Options | None = None,
) -> Matched:
    """Compare every file of a checkpoint with a list, or raise; safe to call from several threads.

    Args:
        path: A directory, or one file; with one file, only its own lines of the list count.
        source: ``KIND:PATH``, ``KIND`` or a path, as for ``find_kind``.
        ignore: Paths inside the checkpoint that may be there without being listed.
        ignore_missing: Files of the list need not be there, as long as one of them is.
        links_within: A directory that links to files may lead into; None: what the kind says.
        options: How to hash.

    Returns:
        What was compared. It proves nothing about who made the files.

    Raises:
        VerificationError: A file differs, is missing, or is not listed.
        CheckError: The list or a file cannot be read, or the list is none.
        UsageError: It cannot be told what kind of list it is, or an ignored path makes no sense.
        KeyboardInterrupt: Ctrl-C; no answer.
    """
    began = time.monotonic()
    model = os.fspath(path)
    files.check_there(model)
    check_ignored(ignore)
    kind, place = find_kind(os.fspath(source), model)
    expected = kind.load(place, model)
    location = expected.location or model
    listing = files.list_checkpoint(
        location,
        hashing.ignorer(_left_out(expected, ignore)),
        own=[one for one in [inside(location, place)] if one is not None],
        links_within=expected.links_within if links_within is None else links_within,
    )
    options = options or hashing.Options()
    if expected.root is not None:
        absent: tuple[str, ...] = ()
        size = _compare_root(listing, expected.root, options)
        count = len(listing.files)
    else:
        entries, absent = _match_names(listing, expected, ignore_missing)
        size = _compare_entries(listing, entries, options)
        count = len({entry.path for entry in entries})
    return Matched(
        *(model, kind.name, place, _guarantee(expected), count, size, absent, expected.notes),
        seconds=time.monotonic() - began,
    )


def _guarantee(expected: ExpectedDigests) -> str:
    return "unsigned-list-weak" if expected.strength == "rot" else "unsigned-list"


def _left_out(expected: ExpectedDigests, ignore: Sequence[str]) -> tuple[str, ...]:
    """What may be there unlisted: what signing leaves out too, unless the list has it."""
    listed = {entry.path for entry in expected.entries}
    usual = (one for one in hashing.IGNORED if one not in listed)
    return (*ignore, *expected.ignored, *usual)


def _match_names(
    listing: files.Listing, expected: ExpectedDigests, ignore_missing: bool
) -> tuple[list[Expected], tuple[str, ...]]:
    """Compare names and sizes, before any byte is hashed; returns what to hash, what is absent."""
    there = {file.path: file for file in listing.files}
    wanted = [
        entry for entry in expected.entries if not listing.is_single_file or entry.path in there
    ]
    found = [*listing.strange]
    listed = {entry.path for entry in wanted}
    strange = {finding.path for finding in listing.strange}
    absent = tuple(sorted(listed - there.keys() - strange))
    if not (ignore_missing and listed & there.keys()):
        found += [Finding("missing", name, "in the list, but not there") for name in absent]
    for entry in wanted:
        size = there[entry.path].identity.size if entry.path in there else entry.size
        if entry.size is not None and size != entry.size:
            message = f"{size} bytes instead of the listed {entry.size}"
            found.append(Finding("size", entry.path, message, str(entry.size), str(size)))
    for name in there.keys() - listed:
        message = f"not in the list {expected.source}; --ignore {name} would let it be there"
        found.append(Finding("unexpected", name, message))
    raise_findings(found)
    return [entry for entry in wanted if entry.path in there], absent


def _compare_entries(
    listing: files.Listing, entries: Sequence[Expected], options: hashing.Options
) -> int:
    """Hash and compare; returns the bytes of the files."""
    index_of = {file.path: index for index, file in enumerate(listing.files)}
    tensors = {
        entry.path: gguf_hash.tensor_ranges(listing, index_of[entry.path])
        for entry in entries
        if entry.tensors is not None
    }
    raise_findings(_compare_tensor_names(entries, tensors))
    messages = [
        range_digests.Message(
            index_of[entry.path],
            tuple(name for name, _ in entry.digests),
            _ranges(entry, tensors.get(entry.path, {})),
        )
        for entry in entries
    ]
    actual = range_digests.hash_messages(listing, messages, options=options)
    found = []
    for entry, digests in zip(entries, actual, strict=True):
        for name, digest in entry.digests:
            if digests[name] != digest:
                hexes = (digest.hex(), digests[name].hex())
                found.append(Finding("digest", entry.path, _describe(entry, name), *hexes))
    raise_findings(found)
    return sum(listing.files[index_of[path]].identity.size for path in {e.path for e in entries})


def _ranges(
    entry: Expected, tensors: dict[str, tuple[int, int]]
) -> tuple[tuple[int, int], ...] | None:
    if entry.tensors is None:
        return None
    return tuple(tensors[name] for name in entry.tensors or tensors)


def _describe(entry: Expected, algorithm: str) -> str:
    if entry.tensors is None:
        what = "other bytes"
    elif entry.tensors == ALL_TENSORS:
        what = "tensors with other data"
    else:
        what = f"tensor {entry.tensors[0]} has other data"
    return f"{what} than listed, by {algorithm}"


def _compare_tensor_names(
    entries: Sequence[Expected], tensors: dict[str, dict[str, tuple[int, int]]]
) -> list[Finding]:
    """The tensors of a file must be those of the list; a line for all of them is enough."""
    found = []
    for path, there in tensors.items():
        listed = {entry.tensors for entry in entries if entry.path == path}
        names = {key[0] for key in listed if key}
        for name in names - there.keys():
            found.append(Finding("missing", path, f"tensor {name} of the list is not in the file"))
        for name in there.keys() - names if names else ():
            found.append(Finding("unexpected", path, f"tensor {name} is not in the list"))
    return found


def _compare_root(listing: files.Listing, root: bytes, options: hashing.Options) -> int:
    raise_findings(listing.strange)
    try:
        digests = hashing.hash_listing(listing, options=options)
    except errors.TruncatedError as error:
        raise range_digests.became_shorter(error.path or "") from error
    actual = merkle.checkpoint_root(
        (file.path, one.size, one.root) for file, one in zip(listing.files, digests, strict=True)
    )
    if actual != root:
        texts = (merkle.format_root(root), merkle.format_root(actual))
        message = "another root than the list has: a file differs, is missing, or is too many"
        raise_findings([Finding("digest", listing.name, message, *texts)])
    return sum(one.size for one in digests)
