# SPDX-License-Identifier: Apache-2.0
"""What a comparison of two sides comes to, as frozen data."""

from __future__ import annotations

from pyhash.errors import DamagedRange
from pyhash.frozen import frozen


@frozen
class SideSummary:
    """One of the two things that were compared.

    Attributes:
        location: As the caller named it.
        basis: ``signed``: what a bundle says; ``hashed``: what the files hashed to just now.
        signature: ``verified``, ``unverified``, or ``none`` for files that were hashed.
        key_hint: The trusted key that signed; None unless verified.
        root: Checkpoint root, 32 bytes; None for another tool's bundle.
        files: How many files.
        size: Bytes of them; None where the bundle does not say.
    """

    location: str
    basis: str
    signature: str
    key_hint: str | None
    root: bytes | None
    files: int
    size: int | None


@frozen
class TensorDifference:
    """One tensor that is not the same on both sides.

    Attributes:
        name: As the header has it.
        kind: ``added``, ``removed``, ``reshaped`` (another type or shape), ``moved`` (same type
            and shape at another place; its content was not compared), or ``changed`` (bytes of it
            lie in a span of 1 MiB that differs).
    """

    name: str
    kind: str


@frozen
class FileDifference:
    """One file that is not the same on both sides.

    Attributes:
        path: Inside the checkpoint.
        kind: ``added``, ``removed`` or ``changed``.
        before, after: Bytes on each side; None where it is not there or not known.
        ranges: Spans that differ, joined, by ascending start, with the tensors that own bytes of
            them where a header could be read. They go to the end of the longer side.
        is_located: False where only the whole file is known to differ: no tree to look into.
        tensors: What happened to which tensor; empty unless a header could be read.
    """

    path: str
    kind: str
    before: int | None
    after: int | None
    ranges: tuple[DamagedRange, ...]
    is_located: bool
    tensors: tuple[TensorDifference, ...]

    @property
    def size(self) -> int:
        """Bytes of the longer side, 0 where neither is known. Raises nothing."""
        return max(self.before or 0, self.after or 0)

    @property
    def changed(self) -> int:
        """Bytes that differ, in whole spans. Raises nothing."""
        return sum(one.end - one.start for one in self.ranges)


@frozen
class Difference:
    """What differs between two sides.

    Attributes:
        before, after: The two sides.
        files: What is not the same, in byte order of path.
        unchanged: How many files are.
        size: Bytes of all files, each of its longer side.
        hashed: Bytes that had to be hashed, because there was no tree file.
        notes: What could not be found out, sentences for people.
    """

    before: SideSummary
    after: SideSummary
    files: tuple[FileDifference, ...]
    unchanged: int
    size: int
    hashed: int
    notes: tuple[str, ...]

    @property
    def changed(self) -> int:
        """Bytes that differ, in whole spans. Raises nothing."""
        return sum(file.changed for file in self.files)

    @property
    def share(self) -> float:
        """Part of all bytes that differs, 0 to 1. Raises nothing."""
        return self.changed / self.size if self.size else float(bool(self.files))
