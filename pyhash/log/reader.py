# SPDX-License-Identifier: Apache-2.0
"""Reads a log in a directory: its checkpoint, proofs, and every entry held against the root.

``open_log`` trusts what is signed and nothing else. A proof reads a handful of tiles, whatever
the size of the log; ``verify_entries`` reads all of it once, in constant memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyhash import files, limits
from pyhash.errors import LogError, UsageError
from pyhash.log.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    TrustedLog,
    VerifiedCheckpoint,
    verify_checkpoint,
)
from pyhash.log.proof import Proof, VerifiedEntry
from pyhash.log.tiles import TILE_HEIGHT, TILE_WIDTH, TileReader
from pyhash.log.tree import (
    consistency_proof,
    inclusion_proof,
    range_root,
    verify_consistency,
    verify_inclusion,
)
from pyhash.merkle import DIGEST_BYTES, EMPTY_ROOT, fold_nodes, leaf_hashes

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LogReader:
    """A log under one of its checkpoints. Thread-safe; ``open_log`` makes it.

    Attributes:
        directory: The log.
        checkpoint: The checkpoint that everything is held against.
    """

    directory: str
    checkpoint: VerifiedCheckpoint
    _tiles: TileReader

    @property
    def tree(self) -> Checkpoint:
        """Size and root. Raises nothing."""
        return self.checkpoint.checkpoint

    def prove(self, index: int) -> tuple[bytes, Proof]:
        """Return an entry and the proof that it is in the log; both are checked.

        Args:
            index: Number of the entry.

        Raises:
            UsageError: The log has no such entry.
            LogError: The tiles do not lead to the signed root.
            ReadError, FormatError: A tile is missing or damaged.
        """
        size = self.tree.size
        if not 0 <= index < size:
            raise UsageError(f"no entry {index}: the log has {size}")
        number, place = divmod(index, TILE_WIDTH)
        width = min(TILE_WIDTH, size - number * TILE_WIDTH)
        entry = self._tiles.entries(number, width)[place]
        hashes = inclusion_proof(self._tiles.nodes(size), index, size)
        verify_inclusion(leaf_hashes([entry])[0], index, size, hashes, self.tree.root)
        return entry, Proof(index, hashes, self.checkpoint.note)

    def verify_began_with(self, old: Checkpoint) -> tuple[bytes, ...]:
        """Check that the log still begins with what it was at an older checkpoint.

        Args:
            old: The older checkpoint, verified before.

        Returns:
            The consistency proof, for whoever wants to check it again.

        Raises:
            LogError: It does not: it was cut short, rewritten, or there are two of it.
            ReadError, FormatError: A tile is missing or damaged.
        """
        size = self.tree.size
        proof: tuple[bytes, ...] = ()
        if old.origin != self.tree.origin:
            raise LogError(f"{self.directory}: is {self.tree.origin}, not {old.origin}")
        if old.size < size:
            proof = consistency_proof(self._tiles.nodes(size), old.size, size)
        try:
            verify_consistency((old.size, old.root), (size, self.tree.root), proof)
        except LogError as error:
            raise LogError(f"{self.directory}: {error}") from error
        return proof

    def verify_entries(self, progress: Progress | None = None) -> Iterator[VerifiedEntry]:
        """Yield every entry in order, reading the log whole.

        Each entry is compared with its tile as it comes; whether tiles lead to the signed root is
        known only when the last one has been yielded, so nobody may act before the end.

        Args:
            progress: Called with (entries done, entries in all) after each tile.

        Raises:
            LogError: An entry or a tile is not what was signed.
            ReadError, FormatError: A tile is missing or damaged.
        """
        size = self.tree.size
        above: list[bytes] = []
        last = b""
        for number in range(-(-size // TILE_WIDTH)):
            start = number * TILE_WIDTH
            width = min(TILE_WIDTH, size - start)
            entries = self._tiles.entries(number, width)
            leaves = leaf_hashes(entries)
            if b"".join(leaves) != self._tiles.hashes(0, number, width):
                raise LogError(
                    f"{self.directory}: entries {start} to {start + width - 1} are not those of"
                    " their tile"
                )
            for place, entry in enumerate(entries):
                yield VerifiedEntry(start + place, entry, self.checkpoint)
            if width == TILE_WIDTH:
                above.append(fold_nodes(b"".join(leaves)))
            else:
                last = b"".join(leaves)
            if progress:
                progress(start + width, size)
        self._verify_levels(above, last)

    def _verify_levels(self, above: list[bytes], last: bytes) -> None:
        """Compare every tile above the entries with what they fold to, and the root."""
        level, hashes = 1, above
        while hashes:
            full = []
            for start in range(0, len(hashes), TILE_WIDTH):
                tile = b"".join(hashes[start : start + TILE_WIDTH])
                number, width = start // TILE_WIDTH, len(tile) // DIGEST_BYTES
                if self._tiles.hashes(level, number, width) != tile:
                    raise LogError(f"{self.directory}: tile {number} of level {level} was changed")
                if width == TILE_WIDTH:
                    full.append(fold_nodes(tile))
            level, hashes = level + 1, full
        size = self.tree.size
        edge = size // TILE_WIDTH * TILE_WIDTH

        def node(height: int, index: int) -> bytes:
            start, end = index << height, (index + 1) << height
            if start >= edge:
                return fold_nodes(last[(start - edge) * DIGEST_BYTES : (end - edge) * DIGEST_BYTES])
            return fold_nodes(b"".join(above[start >> TILE_HEIGHT : end >> TILE_HEIGHT]))

        root = range_root(node, 0, size) if size else EMPTY_ROOT
        if root != self.tree.root:
            raise LogError(f"{self.directory}: its entries do not lead to the root that is signed")


def open_log(
    directory: str | os.PathLike[str],
    trust: TrustedLog,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
) -> LogReader:
    """Open a log for reading.

    Args:
        directory: The log.
        trust: The keys of the log and of its witnesses.
        checkpoint: Another checkpoint of it than its own newest one, such as one that witnesses
            have co-signed; a file.

    Raises:
        SignatureError, LogError: The checkpoint is not what ``trust`` accepts.
        ReadError, FormatError, LimitError: It cannot be read.
    """
    name = os.fspath(directory)
    path = os.path.join(name, CHECKPOINT) if checkpoint is None else os.fspath(checkpoint)
    data = files.read_small(path, limits.MAX_NOTE_BYTES)
    return LogReader(name, verify_checkpoint(data, trust, path), TileReader(name))
