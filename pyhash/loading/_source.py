# SPDX-License-Identifier: Apache-2.0
"""An opened checkpoint as a source of verified bytes: whole files, or ranges of them.

Every byte is read once, into memory of our own, and hashed there. What does not match what was
signed is never returned: the memory is dropped and the exception says what and where.
"""

from __future__ import annotations

import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyhash import _native, damage, errors, files, formats, hashing, merkle, signed_tree
from pyhash.errors import Finding
from pyhash.findings import raise_findings
from pyhash.guarantees import content
from pyhash.loading._memory import PAGE_BYTES, allocate
from pyhash.manifest import ShardEntry
from pyhash.merkle import DIGEST_BYTES, SPAN_BYTES
from pyhash.opening import Opened, accept

GUARANTEE = "loaded"
# Spans that are wanted only in part are read beside the place they are wanted in. So many of them
# at a time, and so many are kept because the next tensor often begins where the last one ended.
EDGE_SPANS = 24
KEPT_SPANS = 8


@contextmanager
def dropping() -> Iterator[None]:
    """Let go of what the failed block had read: an exception would keep it through its frames."""
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


@dataclass(frozen=True, slots=True)
class Piece:
    """One run of bytes of one file, and where it is wanted.

    Attributes:
        index: Of the file in the listing.
        start: First byte.
        end: One past the last byte.
        place: Writable memory of ``end - start`` bytes; best as far behind a multiple of 4096 as
            ``start`` is.
    """

    index: int
    start: int
    end: int
    place: memoryview


class Source:
    """Gives verified bytes of one opened checkpoint. May be used from several threads.

    Attributes:
        opened: The checkpoint, after steps 1 to 4 of verifying.
        bytes_read: Bytes read and hashed so far.
        ranges_read: (path, start, end) of each range of a file that was read and verified, in
            order; runs that follow each other are one. Files that were read whole are not listed.
    """

    def __init__(self, opened: Opened, options: hashing.Options) -> None:
        self.opened = opened
        self.bytes_read = 0
        self.ranges_read: list[tuple[str, int, int]] = []
        self._options = options
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], memoryview] = OrderedDict()
        self._nodes: tuple[memoryview, ...] | None = None

    def remember(self) -> None:
        """Let the policy remember this release, now that what was asked for has passed.

        Raises:
            PolicyError: A higher release was accepted meanwhile.
            CheckError: The policy's state cannot be read or written.
        """
        accept(self.opened, GUARANTEE)

    def has_tree(self) -> bool:
        """Whether parts of files can be verified: there is a tree file, and it is the signed one.

        Raises nothing; without it, whole files still can be.
        """
        try:
            self._signed_nodes()
        except errors.CheckError:
            return False
        return True

    def whole(self, indexes: Sequence[int]) -> list[memoryview]:
        """Return whole files; no tree file is needed.

        Args:
            indexes: Of the files in the listing.

        Raises:
            DigestMismatchError: Bytes that are not the signed ones; ``findings`` name all.
            ChangedWhileReadError: A file is not the one that was listed, or became shorter.
            ReadError, EngineError: It could not be read or hashed.
        """
        found: list[memoryview] = []
        wrong: list[Finding] = []
        own = self.opened.manifest.root is not None
        for group in _groups(indexes):
            ranges = []
            for index in group:
                size = self._size(index)
                ranges.append((index, 0, size, allocate(size)))
            results = self._read(ranges, file_digests=not own)
            for (index, _, _, data), result in zip(ranges, results, strict=True):
                wrong += self._compare_whole(index, data, result)
                found.append(data)
        if wrong:
            found.clear()
            raise_findings(wrong)
        return found

    def ranges(self, pieces: Iterable[Piece]) -> None:
        """Fill the place of each piece; the spans that it lies in are read and compared.

        Where this raises, the places hold bytes that nobody may use.

        Raises:
            FormatError, ReadError: There is no usable tree file, without which a part of a file
                cannot be verified.
            DigestMismatchError, ChangedWhileReadError, EngineError: As ``whole``.
        """
        with self._lock:
            nodes = self._signed_nodes()
            for batch in _batches(pieces, self._size):
                self._fill(batch, nodes)

    def reader(self, index: int) -> formats.ReadAt:
        """Return a function that gives verified bytes of one file: (offset, length) -> bytes."""

        def read_at(offset: int, length: int) -> bytes:
            place = memoryview(bytearray(length))
            self.ranges([Piece(index, offset, offset + length, place)] if length else [])
            return bytes(place)

        return read_at

    def layout(self, index: int) -> formats.Layout:
        """Return where the tensors of a file lie, by its verified header.

        Raises:
            FormatError: The header breaks a rule of its format, whoever signed it.
            DigestMismatchError, ReadError: As ``ranges``.
        """
        file = self.opened.listing.files[index]
        return formats.layout_of(self.reader(index), file.identity.size, file.path)

    def place_for(self, start: int, size: int) -> memoryview:
        """Return memory that suits bytes from file offset ``start`` on."""
        return allocate(size, skew=start % PAGE_BYTES)

    def _size(self, index: int) -> int:
        return self.opened.listing.files[index].identity.size

    def _signed_nodes(self) -> tuple[memoryview, ...]:
        if self._nodes is None:
            opened = self.opened
            self._nodes = signed_tree.require_signed_nodes(opened.manifest, opened.tree_path)
        return self._nodes

    def _read(
        self, ranges: Sequence[tuple[int, int, int, memoryview]], *, file_digests: bool = False
    ) -> list[_native.RangeDigest]:
        """Read and hash (index, start, end, place) into place, over all of them at once."""
        listed = self.opened.listing.files
        indexes = sorted({index for index, *_ in ranges})
        wanted = tuple(listed[index] for index in indexes)
        with files.open_files(self.opened.listing, wanted) as descriptors:
            opened = dict(zip(indexes, descriptors, strict=True))
            try:
                results = _native.hash_ranges(
                    [
                        _native.Range(listed[index].path, opened[index], start, end, place)
                        for index, start, end, place in ranges
                    ],
                    span_nodes=not file_digests,
                    file_digests=file_digests,
                    threads=self._options.thread_count(),
                    reader=self._options.reader,
                    kernel=self._options.kernel,
                    note=self._options.note,
                    progress=self._progress(),
                )
            except errors.TruncatedError as error:
                message = "became shorter while it was being read"
                finding = Finding("changed", error.path or "", message)
                raise errors.ChangedWhileReadError(
                    f"{finding.path}: {finding.message}", (finding,)
                ) from error
        self.bytes_read += sum(end - start for _, start, end, _ in ranges)
        return results

    def _progress(self) -> Callable[[int], None] | None:
        report, done, total = self._options.progress, self.bytes_read, self.opened.size
        return None if report is None else lambda more: report(done + more, max(total, done + more))

    def _compare_whole(
        self, index: int, data: memoryview, result: _native.RangeDigest
    ) -> list[Finding]:
        shard = self.opened.manifest.shards[index]
        if shard.root is None:
            actual, expected = result.file_digest, shard.file_digest
        else:
            actual, expected = merkle.shard_root(result.span_nodes), shard.root
        if expected is not None and actual == expected:
            return []
        nodes = signed_tree.load_signed_nodes(self.opened.manifest, self.opened.tree_path)
        ranges: tuple[errors.DamagedRange, ...] = ()
        if shard.root is not None and nodes:
            ranges = damage.damaged_ranges(shard.root, nodes[index], result.span_nodes, len(data))

        def read_at(offset: int, length: int) -> bytes:
            return bytes(data[offset : offset + length])

        return [self._finding(index, shard, actual, self._named(index, ranges, read_at))]

    def _fill(self, batch: _Batch, nodes: tuple[memoryview, ...]) -> None:
        """Read what is missing of a batch, compare it, and only then copy the edges."""
        edges = {key: self._kept[key] for key in batch.edges if key in self._kept}
        fresh = [key for key in batch.edges if key not in edges]
        ranges = list(batch.whole)
        for index, span in fresh:
            start = span * SPAN_BYTES
            end = min(start + SPAN_BYTES, self._size(index))
            edges[index, span] = allocate(end - start)
            ranges.append((index, start, end, edges[index, span]))
        if ranges:
            self._compare_spans(ranges, self._read(ranges), nodes)
            self._note_read(sorted(one[:3] for one in ranges))
        for key in batch.edges:
            self._kept[key] = edges[key]
            self._kept.move_to_end(key)
        for piece in batch.pieces:
            _copy_edges(piece, edges)
        while len(self._kept) > KEPT_SPANS:
            self._kept.popitem(last=False)

    def _note_read(self, ranges: Iterable[tuple[int, int, int]]) -> None:
        for index, start, end in ranges:
            path = self.opened.listing.files[index].path
            if self.ranges_read and self.ranges_read[-1][::2] == (path, start):
                start = self.ranges_read.pop()[1]
            self.ranges_read.append((path, start, end))

    def _compare_spans(
        self,
        ranges: Sequence[tuple[int, int, int, memoryview]],
        results: Sequence[_native.RangeDigest],
        nodes: tuple[memoryview, ...],
    ) -> None:
        wrong: dict[int, list[errors.DamagedRange]] = {}
        for (index, start, end, _), result in zip(ranges, results, strict=True):
            first = start // SPAN_BYTES * DIGEST_BYTES
            signed = nodes[index][first : first + len(result.span_nodes)]
            if signed != result.span_nodes:
                wrong.setdefault(index, []).extend(
                    damage.differing_ranges(signed, result.span_nodes, start, end)
                )
        findings = []
        for index, unsorted in wrong.items():
            damaged = tuple(sorted(unsorted, key=lambda one: one.start))
            named = self._named(index, damaged, self._read_unchecked(index))
            findings.append(self._finding(index, self.opened.manifest.shards[index], None, named))
        raise_findings(findings)

    def _read_unchecked(self, index: int) -> formats.ReadAt:
        """For messages only: the answer is "no" already."""
        file = self.opened.listing.files[index]

        def read_at(offset: int, length: int) -> bytes:
            with files.open_files(self.opened.listing, (file,)) as (descriptor,):
                return files.read_at(file.path, descriptor)(offset, length)

        return read_at

    def _named(
        self, index: int, ranges: tuple[errors.DamagedRange, ...], read_at: formats.ReadAt
    ) -> tuple[errors.DamagedRange, ...]:
        file = self.opened.listing.files[index]
        try:
            return damage.with_tensors(ranges, read_at, file.identity.size, file.path)
        except errors.ChangedWhileReadError:
            return ranges

    def _finding(
        self,
        index: int,
        shard: ShardEntry,
        actual: bytes | None,
        ranges: tuple[errors.DamagedRange, ...],
    ) -> Finding:
        expected = shard.root if shard.root is not None else shard.file_digest
        return Finding(
            "digest",
            self.opened.listing.files[index].path,
            content.where(ranges),
            None if expected is None else expected.hex(),
            None if actual is None else actual.hex(),
            ranges,
        )


class _Batch:
    """What one call of the engine does for some pieces.

    Attributes:
        pieces: The pieces.
        whole: (index, start, end, place) of what is wanted in whole spans, read where it is wanted.
        edges: (index, number) of each span that is wanted in part.
    """

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.whole: list[tuple[int, int, int, memoryview]] = []
        self.edges: list[tuple[int, int]] = []


def _batches(pieces: Iterable[Piece], size_of: Callable[[int], int]) -> Iterator[_Batch]:
    batch = _Batch()
    limit = hashing.files_at_once()
    opened: set[int] = set()
    for piece in pieces:
        if piece.start == piece.end:
            continue
        first, last = _whole_spans(piece, size_of(piece.index))
        edges = [
            (piece.index, span)
            for span in range(piece.start // SPAN_BYTES, -(-piece.end // SPAN_BYTES))
            if not first <= span * SPAN_BYTES < last
        ]
        opened.add(piece.index)
        if len(batch.edges) + len(edges) > EDGE_SPANS or len(opened) > limit:
            yield batch
            batch, opened = _Batch(), {piece.index}
        batch.pieces.append(piece)
        if first < last:
            place = piece.place[first - piece.start : last - piece.start]
            batch.whole.append((piece.index, first, last, place))
        batch.edges.extend(edge for edge in edges if edge not in batch.edges)
    yield batch


def _whole_spans(piece: Piece, size: int) -> tuple[int, int]:
    """The bytes of a piece that are whole spans; the file's last span may be short."""
    first = -(-piece.start // SPAN_BYTES) * SPAN_BYTES
    last = piece.end if piece.end == size else piece.end // SPAN_BYTES * SPAN_BYTES
    return (first, last) if first < last else (piece.end, piece.end)


def _copy_edges(piece: Piece, edges: dict[tuple[int, int], memoryview]) -> None:
    """Copy from verified memory what was not read straight into its place."""
    spans = {piece.start // SPAN_BYTES, (piece.end - 1) // SPAN_BYTES}
    for span in spans:
        data = edges.get((piece.index, span))
        if data is not None:
            begin = span * SPAN_BYTES
            start, end = max(piece.start, begin), min(piece.end, begin + SPAN_BYTES)
            piece.place[start - piece.start : end - piece.start] = data[start - begin : end - begin]


def _groups(indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut a list of files into groups that can be open at once."""
    limit = hashing.files_at_once()
    for start in range(0, len(indexes), limit):
        yield indexes[start : start + limit]
