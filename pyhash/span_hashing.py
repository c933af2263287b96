# SPDX-License-Identifier: Apache-2.0
"""Hash some spans of a checkpoint's files instead of all of them.

The nodes of chosen runs come back; what they should be is for the caller to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyhash import _native, errors, files, hashing
from pyhash.frozen import frozen
from pyhash.merkle import SPAN_BYTES


@frozen
class Run:
    """Consecutive spans of one file.

    Attributes:
        start: First byte, a multiple of 1 MiB.
        end: One past the last byte: a multiple of 1 MiB, or the end of the file.
    """

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes. Raises nothing."""
        return self.end - self.start


def runs_of(spans: Sequence[int], size: int) -> tuple[Run, ...]:
    """Join spans of one file to runs.

    Args:
        spans: Numbers of spans, ascending, each once.
        size: Bytes of the file.

    Returns:
        Runs by ascending start, none touching the next. Raises nothing.
    """
    runs: list[Run] = []
    for span in spans:
        start, end = span * SPAN_BYTES, min((span + 1) * SPAN_BYTES, size)
        if runs and runs[-1].end == start:
            start = runs.pop().start
        runs.append(Run(start, end))
    return tuple(runs)


def hash_runs(
    listing: files.Listing, chosen: Mapping[int, Sequence[Run]], options: hashing.Options
) -> dict[int, list[bytes]]:
    """Hash runs of the files of a listing, over all cores, each file through one descriptor.

    Args:
        listing: The files.
        chosen: Number of a file in the listing -> its runs.
        options: How to hash.

    Returns:
        Number of the file -> the span nodes of each of its runs, 32 bytes for each span.

    Raises:
        ChangedWhileReadError: A file changed or became shorter meanwhile.
        ReadError, EngineError: It could not be read or hashed.
        KeyboardInterrupt: Ctrl-C; nothing is left running.
    """
    numbers = sorted(index for index, runs in chosen.items() if runs)
    total = sum(run.size for index in numbers for run in chosen[index])
    found: dict[int, list[bytes]] = {}
    done = 0
    for group in hashing.open_groups(tuple(listing.files[index] for index in numbers)):
        part = numbers[len(found) : len(found) + len(group)]
        with files.open_files(listing, group) as descriptors:
            ranges = [
                _native.Range(file.path, descriptor, run.start, run.end)
                for index, file, descriptor in zip(part, group, descriptors, strict=True)
                for run in chosen[index]
            ]
            nodes = iter(_call(ranges, options, done, total))
            for file, descriptor in zip(group, descriptors, strict=True):
                files.check_unchanged(file, descriptor)
                files.check_end(file, descriptor)
        for index in part:
            found[index] = [next(nodes) for _ in chosen[index]]
        done += sum(one.end - one.start for one in ranges)
    return found


def _call(
    ranges: list[_native.Range], options: hashing.Options, done: int, total: int
) -> list[bytes]:
    report = options.progress
    try:
        results = _native.hash_ranges(
            ranges,
            threads=options.thread_count(),
            reader=options.reader,
            kernel=options.kernel,
            note=options.note,
            progress=None if report is None else lambda now: report(done + now, total),
        )
    except errors.TruncatedError as error:
        finding = errors.Finding(
            "changed", error.path or "", "became shorter while it was being read"
        )
        raise errors.ChangedWhileReadError(
            f"{finding.path}: {finding.message}", (finding,)
        ) from error
    return [result.span_nodes for result in results]
