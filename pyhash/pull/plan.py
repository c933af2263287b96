# SPDX-License-Identifier: Apache-2.0
"""Which spans of which shards are to be fetched: what was asked for, less what is there already."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pyhash import files, formats
from pyhash.errors import UsageError
from pyhash.hashing import Options, hash_file
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES, span_count
from pyhash.pull.quarantine import Quarantine
from pyhash.pull.transfer import Transfer, Wanted

Nodes = Sequence[memoryview]


@dataclass(frozen=True, slots=True)
class Selected:
    """A shard of which something is wanted.

    Attributes:
        path: The shard.
        size: Its size: the signed one, or where none is signed, what the source says.
        nodes: Its signed span nodes; None where there are none.
        spans: Which spans are wanted, in order.
    """

    path: str
    size: int
    nodes: memoryview | None
    spans: tuple[int, ...]


def select_all(shards: Sequence[tuple[str, int]], nodes: Nodes) -> list[Selected]:
    """Select every span of every shard. Raises nothing.

    Args:
        shards: (path, size) of each.
        nodes: The span nodes of each, or nothing at all.
    """
    return [
        Selected(path, size, nodes[index] if nodes else None, tuple(range(span_count(size))))
        for index, (path, size) in enumerate(shards)
    ]


def select_some(
    everything: Sequence[Selected],
    patterns: Sequence[str],
    quarantine: Quarantine,
    transfer: Transfer,
) -> tuple[list[Selected], dict[str, set[int]]]:
    """Select files by pattern, and tensors by name or pattern with the header that says where.

    Args:
        everything: What ``select_all`` gave, with span nodes.
        patterns: As of a shell; each must match a file's path or a tensor's name.
        quarantine: Where headers are written to.
        transfer: What fetches them.

    Returns:
        What is wanted; and for each path, the spans that were fetched to find that out.

    Raises:
        UsageError: A pattern matches nothing.
        CheckError, DigestMismatchError: A header cannot be had or read.
    """
    chosen: dict[str, set[int]] = {}
    unused = set(patterns)
    for one in everything:
        hits = {pattern for pattern in patterns if fnmatch.fnmatchcase(one.path, pattern)}
        if hits:
            chosen[one.path] = set(one.spans)
            unused -= hits
    names = sorted(unused)
    fetched: dict[str, set[int]] = {}
    for one in everything:
        if names and one.path not in chosen:
            layout = _layout(one, quarantine, transfer, fetched.setdefault(one.path, set()))
            if layout is None:
                continue
            spans = _spans(0, layout.header_end)
            for tensor in layout.tensors:
                hits = {name for name in names if fnmatch.fnmatchcase(tensor.name, name)}
                if hits:
                    unused -= hits
                    chosen.setdefault(one.path, set(spans)).update(_spans(tensor.start, tensor.end))
    if unused:
        raise UsageError(f"no file and no tensor is called {', '.join(sorted(unused))}")
    selection = [
        Selected(one.path, one.size, one.nodes, tuple(sorted(chosen[one.path])))
        for one in everything
        if one.path in chosen
    ]
    return selection, fetched


def _spans(start: int, end: int) -> range:
    return range(start // SPAN_BYTES, -(-end // SPAN_BYTES))


def _layout(
    one: Selected, quarantine: Quarantine, transfer: Transfer, had: set[int]
) -> formats.Layout | None:
    """Read a shard's header out of verified spans, which are fetched as the parser asks for them.

    None for a file that is no container of tensors.
    """
    quarantine.make_file(one.path, one.size)

    def read(offset: int, length: int) -> bytes:
        missing = [span for span in _spans(offset, offset + length) if span not in had]
        transfer.fetch(_runs(one, missing))
        had.update(missing)
        with quarantine.reading(one.path) as descriptor:
            return files.read_at(one.path, descriptor)(offset, length)

    layout = formats.layout_of(read, one.size, one.path)
    return layout if layout.tensors else None


def take_stock(
    selection: Sequence[Selected], quarantine: Quarantine, options: Options
) -> dict[str, set[int]]:
    """Make the files, and find out which wanted spans are in them already, by hashing them.

    Args:
        selection: What is wanted.
        quarantine: Where the files are.
        options: How to hash.

    Returns:
        For each path, the spans that need not be fetched.

    Raises:
        WriteError: A file cannot be made.
        ReadError, EngineError: It cannot be hashed.
    """
    there = {}
    for one in selection:
        was_there = quarantine.make_file(one.path, one.size)
        if not was_there or one.nodes is None:
            there[one.path] = set[int]()
            continue
        found = hash_file(quarantine.place(one.path), options=_quiet(options)).span_nodes
        there[one.path] = {
            span
            for span in one.spans
            if found[span * DIGEST_BYTES : (span + 1) * DIGEST_BYTES]
            == one.nodes[span * DIGEST_BYTES : (span + 1) * DIGEST_BYTES]
        }
    return there


def _quiet(options: Options) -> Options:
    return Options(options.threads, options.reader, options.kernel, None, options.note)


def missing(selection: Sequence[Selected], there: Mapping[str, set[int]]) -> list[Wanted]:
    """Return what is still to be fetched, as runs of spans. Pure. Raises nothing."""
    return [
        run
        for one in selection
        for run in _runs(one, [span for span in one.spans if span not in there[one.path]])
    ]


def _runs(one: Selected, spans: Sequence[int]) -> list[Wanted]:
    found = []
    # Consecutive spans keep the same distance to their place in the list.
    for _, group in groupby(enumerate(spans), key=lambda pair: pair[1] - pair[0]):
        run = [span for _, span in group]
        end = min((run[-1] + 1) * SPAN_BYTES, one.size)
        found.append(Wanted(one.path, one.size, run[0] * SPAN_BYTES, end, one.nodes))
    return found


def bytes_of(one: Selected, spans: set[int]) -> int:
    """Return how many bytes those spans of a shard have. Pure. Raises nothing."""
    return sum(min(SPAN_BYTES, one.size - span * SPAN_BYTES) for span in spans)
