# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH of scrubbing: signature, names and sizes; then span after span from where the last run
stopped, at the rate that was asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyhash import atomic, errors, hashing, merkle
from pyhash.opening import Opened, open_checkpoint
from pyhash.policy import Policy
from pyhash.pull.transfer import Throttle
from pyhash.scrub import records
from pyhash.scrub.records import Position
from pyhash.scrub.span_digests import both, sha256_nodes, xxh3_128
from pyhash.scrub.sweep import Batch, Spans, sweep
from pyhash.signed_tree import require_signed_nodes

SAVE_SECONDS = 5.0  # how much of a pass an interruption can cost
SIGNED, ROT = "sha256", "xxh3-128"


@dataclass(frozen=True, slots=True)
class ScrubOptions:
    """How to scrub.

    Attributes:
        records: Directory for what is kept between runs; None: nothing is kept.
        record: Record XXH3-128 of every span of this pass, which compares signed digests.
        rot_only: Compare with such a record instead: finds rot, not attackers.
        bytes_per_second: Cap on the rate of reading; None: none.
        seconds: Stop after about so long, to go on in the next run; None: finish the pass.
        from_drive: Read from the drive what the system holds in memory, too.
        hashing: Threads, and whom to tell the progress.
    """

    records: str | None = None
    record: bool = False
    rot_only: bool = False
    bytes_per_second: int | None = None
    seconds: float | None = None
    from_drive: bool = False
    hashing: hashing.Options = field(default_factory=hashing.Options)


@dataclass(frozen=True, slots=True)
class ScrubResult:
    """What a run came to.

    Attributes:
        location: The checkpoint.
        digest: ``sha256``: compared with what is signed; ``xxh3-128``: with an earlier record.
        position, total: Spans that this pass has done, and all.
        checked_bytes: Bytes that this run read.
        damaged: Damaged spans of this pass: path, start, end.
        unreadable: Spans of this pass that could not be read, likewise.
        recorded: Where the record was written; empty: none was.
    """

    location: str
    digest: str
    position: int
    total: int
    checked_bytes: int
    damaged: tuple[tuple[str, int, int], ...]
    unreadable: tuple[tuple[str, int, int], ...]
    recorded: str

    @property
    def is_finished(self) -> bool:
        """Whether the pass is over. Raises nothing."""
        return self.position == self.total


def scrub(
    path: str | os.PathLike[str],
    policy: Policy,
    *,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    options: ScrubOptions | None = None,
) -> ScrubResult:
    """Check a checkpoint span by span, from where the last run stopped.

    May be called from several threads for several checkpoints. Makes no ``Verified``.

    Args:
        path, policy, signature, tree, cosignatures: As for ``verify``.
        options: How to scrub.

    Raises:
        VerificationError: The signature, a name or a size is not right, or a file changed.
        CheckError: The tree file or the record cannot be used, or something not be written.
        UsageError: The options exclude each other.
        KeyboardInterrupt: Ctrl-C; the next run goes on.
    """
    options = options or ScrubOptions()
    _check(options)
    if options.records is not None:
        _make_directory(options.records)
    opened = open_checkpoint(
        path,
        policy,
        guarantee=None,
        signature=signature,
        tree=tree,
        cosignatures=cosignatures,
    )
    if opened.manifest.root is None:
        raise errors.FormatError(f"{opened.location}: another tool's bundle has no tree of spans")
    run = _Run(opened, opened.manifest.root, options)
    run.go()
    return run.result()


def _check(options: ScrubOptions) -> None:
    if options.record and options.rot_only:
        raise errors.UsageError("a record is made of signed digests: not with --rot-only")
    if (options.record or options.rot_only) and options.records is None:
        raise errors.UsageError("a record needs a directory to be kept in: --records")
    if options.record and options.seconds is not None:
        raise errors.UsageError("a record is made in one whole pass: not with --for")


def _make_directory(directory: str) -> None:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise errors.WriteError(f"{directory}: {error.strerror}", directory, error.errno) from error


class _Run:
    """One run under way."""

    def __init__(self, opened: Opened, root: bytes, options: ScrubOptions) -> None:
        self.opened = opened
        self.root = root
        self.options = options
        self.name = ROT if options.rot_only else SIGNED
        self.spans = Spans(opened.listing.files)
        self.expected = self._expected()
        self.size = len(self.expected) // self.spans.total if self.spans.total else 0
        self.state = self._path(f"{self.name}.position")
        # What is recorded is the whole of one pass.
        fresh = options.record or not self.state
        self.position = Position() if fresh else records.load_position(self.state, self.spans.total)
        self.seen: list[bytes] = []
        self.checked = 0
        self.recorded = ""

    def _path(self, suffix: str) -> str:
        where = self.options.records
        return records.record_path(where, self.opened.location, self.root, suffix) if where else ""

    def _expected(self) -> bytes:
        if self.options.rot_only:
            return records.load_digests(self._path("xxh3"), self.root, self.spans.total)
        return b"".join(require_signed_nodes(self.opened.manifest, self.opened.tree_path))

    def go(self) -> None:
        """Sweep until the end, or until the time is over."""
        options = self.options
        throttle = Throttle(options.bytes_per_second)
        digest = xxh3_128 if options.rot_only else both if options.record else sha256_nodes
        began = saved = time.monotonic()
        batches = sweep(
            self.opened.listing,
            self.position.span,
            digest,
            hashing=options.hashing,
            throttle=throttle,
            from_drive=options.from_drive,
        )
        try:
            for batch in batches:
                self._take(batch)
                now = time.monotonic()
                if now - saved > SAVE_SECONDS:
                    self._save()
                    saved = now
                if options.seconds is not None and now - began >= options.seconds:
                    break
        finally:
            batches.close()  # type: ignore[attr-defined]
            self._save()
        self._record()

    def _take(self, batch: Batch) -> None:
        damaged, unreadable = list(self.position.damaged), list(self.position.unreadable)
        for number, found in enumerate(batch.digests, batch.start):
            if found is None:
                unreadable.append(number)
            elif found[: self.size] != self.expected[number * self.size : (number + 1) * self.size]:
                damaged.append(number)
            if self.options.record and found is not None:
                self.seen.append(found[merkle.DIGEST_BYTES :])
        end = batch.start + len(batch.digests)
        self.position = Position(end, tuple(damaged), tuple(unreadable))
        self.checked += batch.size
        if self.options.hashing.progress:
            self.options.hashing.progress(self.checked, self.opened.size)

    def _save(self) -> None:
        if not self.state:
            return
        finished = self.position.span == self.spans.total
        records.save_position(self.state, Position() if finished else self.position)

    def _record(self) -> None:
        """Keep what was seen, if all of it was as signed."""
        whole = not self.position.damaged and not self.position.unreadable
        if self.options.record and whole:
            self.recorded = self._path("xxh3")
            data = records.dump_digests(self.root, self.seen)
            atomic.write_file(self.recorded, data, mode=0o600)

    def result(self) -> ScrubResult:
        """Return what it came to."""
        return ScrubResult(
            self.opened.location,
            self.name,
            self.position.span if self.spans.total else 0,
            self.spans.total,
            self.checked,
            self._places(self.position.damaged),
            self._places(self.position.unreadable),
            self.recorded,
        )

    def _places(self, numbers: Sequence[int]) -> tuple[tuple[str, int, int], ...]:
        placed = map(self.spans.place, numbers)
        files = self.opened.listing.files
        return tuple((files[index].path, start, end) for index, start, end in placed)
