# SPDX-License-Identifier: Apache-2.0
"""Guarantee ``sampled``, by choice: the files or tensors that the caller names, and nothing else.

Where a tensor lies is read from its file's header, and only after the spans that hold the header
have been compared with the signed tree: an unverified header could point anywhere.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pyhash import errors, files, formats, hashing
from pyhash.errors import DamagedRange, DigestMismatchError, Finding, UsageError
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees._chosen import compare_runs
from pyhash.guarantees.content import doubts_about
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES, span_count
from pyhash.opening import Opened
from pyhash.signed_tree import require_signed_nodes
from pyhash.span_hashing import runs_of


def only(names: Sequence[str]) -> Guarantee:
    """Return the guarantee that some files or tensors are as signed.

    Args:
        names: Each a path inside the checkpoint, a tensor's name, or a shell pattern (``*``,
            ``?``, ``[...]``) of either. Paths come first: tensors are looked for only by a name
            that is no file's.

    Returns:
        For ``verify(..., guarantee=...)``; it needs the tree file.

    Raises:
        UsageError: No name, or one string instead of several.
    """
    if isinstance(names, str) or not names:
        raise UsageError("give the names to verify as a list, at least one")
    wanted = tuple(dict.fromkeys(names))
    return Guarantee("sampled", lambda opened, options: _compare(opened, options, wanted))


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which spans the names come to, and what they are called."""

    spans: tuple[tuple[int, tuple[int, ...]], ...]
    whole_files: tuple[str, ...]
    tensors: tuple[tuple[str, str], ...]  # (path, tensor)


def _compare(opened: Opened, options: hashing.Options, names: tuple[str, ...]) -> Compared:
    nodes = require_signed_nodes(opened.manifest, opened.tree_path)
    choice = _choose(opened, nodes, names)
    listed = opened.listing.files
    chosen = {index: runs_of(own, listed[index].identity.size) for index, own in choice.spans}
    wrong = compare_runs(opened, nodes, chosen, options)
    size = sum(run.size for runs in chosen.values() for run in runs)
    total = sum(span_count(file.identity.size) for file in listed)
    count = sum(len(own) for _, own in choice.spans)
    covered = [
        {"path": listed[index].path, "ranges": [[run.start, run.end] for run in runs]}
        for index, runs in chosen.items()
    ]
    untouched = [file.path for index, file in enumerate(listed) if index not in chosen]
    what = f"{len(choice.whole_files)} files and {len(choice.tensors)} tensors that were named"
    return Compared(
        (*wrong, *doubts_about(opened, wrong)),
        size,
        f"{what}: {count} of {total} spans of 1 MiB; of {len(untouched)} of {len(listed)} files no"
        " byte was hashed",
        (
            ("sampled_spans", count),
            ("total_spans", total),
            ("only", list(names)),
            ("covered", covered),
            ("whole_files", list(choice.whole_files)),
            ("tensors", [{"path": path, "name": name} for path, name in choice.tensors]),
            ("not_covered", untouched),
        ),
    )


def _choose(opened: Opened, nodes: Sequence[memoryview], names: tuple[str, ...]) -> _Choice:
    spans: dict[int, set[int]] = {}
    whole: list[str] = []
    tensors: list[tuple[str, str]] = []
    for name in _match_files(opened, names, spans, whole):
        found = False
        for index, path, tensor in _tensors(opened, nodes, spans):
            if _matches(name, tensor.name):
                found = True
                tensors.append((path, tensor.name))
                last = -(-tensor.end // SPAN_BYTES) if tensor.end > tensor.start else 0
                spans[index].update(range(tensor.start // SPAN_BYTES, last))
        if not found:
            raise UsageError(
                f"{opened.location}: no file and no tensor of it is called {name!r}, so there is"
                " nothing to verify; pyhash ls lists them"
            )
    if tensors:
        with_tensors = {path for path, _ in tensors}
        spans = {
            index: own
            for index, own in spans.items()
            if opened.listing.files[index].path in with_tensors.union(whole)
        }
    ordered = tuple((index, tuple(sorted(own))) for index, own in sorted(spans.items()))
    return _Choice(ordered, tuple(dict.fromkeys(whole)), tuple(dict.fromkeys(tensors)))


def _match_files(
    opened: Opened, names: tuple[str, ...], spans: dict[int, set[int]], whole: list[str]
) -> list[str]:
    """Take all spans of the files that are named; returns the names that are no file's."""
    others = []
    for name in names:
        found = [
            index for index, file in enumerate(opened.listing.files) if _matches(name, file.path)
        ]
        for index in found:
            file = opened.listing.files[index]
            spans[index] = set(range(span_count(file.identity.size)))
            whole.append(file.path)
        if not found:
            others.append(name)
    return others


def _tensors(
    opened: Opened, nodes: Sequence[memoryview], spans: dict[int, set[int]]
) -> Iterator[tuple[int, str, formats.TensorRange]]:
    """Every tensor of every file, from verified headers, whose spans are taken down."""
    for index, file in enumerate(opened.listing.files):
        own = spans.setdefault(index, set())
        with files.open_files(opened.listing, (file,)) as (descriptor,):
            read = _verified_reader(file, descriptor, nodes[index], own)
            try:
                layout = formats.layout_of(read, file.identity.size, file.path)
            except errors.FormatError:
                continue  # a header that is as signed and still no header: it has no tensors
            files.check_unchanged(file, descriptor)
        for tensor in layout.tensors:
            yield index, file.path, tensor


def _verified_reader(
    file: files.CheckpointFile, descriptor: int, nodes: memoryview, taken: set[int]
) -> Callable[[int, int], bytes]:
    """Return a function that gives only bytes that it has compared with the signed tree."""
    size = file.identity.size
    read_at = files.read_at(file.path, descriptor)
    kept: dict[int, bytes] = {}

    def span(number: int) -> bytes:
        if number not in kept:
            start = number * SPAN_BYTES
            data = read_at(start, min(SPAN_BYTES, size - start))
            signed = nodes[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
            if hashing.hash_buffer(data).span_nodes != signed:
                raise _damaged_header(file.path, start, start + len(data))
            kept[number] = data
            taken.add(number)
        return kept[number]

    def read(offset: int, length: int) -> bytes:
        first, last = offset // SPAN_BYTES, -(-(offset + length) // SPAN_BYTES)
        data = b"".join(span(number) for number in range(first, last))
        return data[offset - first * SPAN_BYTES :][:length]

    return read


def _damaged_header(path: str, start: int, end: int) -> DigestMismatchError:
    message = f"other bytes than the signed ones in [{start}, {end}), where its header lies"
    finding = Finding("digest", path, message, ranges=(DamagedRange(start, end),))
    return DigestMismatchError(f"{path}: {message}", (finding,))


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or fnmatch.fnmatchcase(name, pattern)
