# SPDX-License-Identifier: Apache-2.0
"""Writes the tiles of a log; they are durable only when told.

Which entries there are is decided by the journal; here they only become files. Writing the same
tile twice writes the same bytes. What replaces something is whole under another name first, then
renamed. A partial tile has a name of its own, which nobody reads before the checkpoint that needs
it: it is written where it stands. Raises OSError.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pyhash.atomic import sync_directory
from pyhash.log.tiles import (
    ENTRIES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileReader,
    pack_entries,
    tile_path,
)
from pyhash.merkle import DIGEST_BYTES, fold_nodes

_NEXT = ".next"  # a file that is being written; only the holder of the lock does
_SYNC_THREADS = 16  # the file system makes what several ask for durable in one go


class TileWriter:
    """Writes the tiles that follow a number of entries. For the holder of the lock alone."""

    def __init__(self, directory: str, base: int) -> None:
        self._directory = directory
        self._base = base
        self._written: list[str] = []
        self._filled: list[tuple[int | str, int]] = []

    def put(self, path: str, data: bytes) -> None:
        """Replace one file of the log; a reader sees the old one or the new one whole.

        After a power cut the name may hold zeros; the journal can make the file again.

        Raises:
            OSError: The system refused; what was there before still is.
        """
        target = os.path.join(self._directory, path)
        temporary = os.path.join(self._directory, _NEXT)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o644)
        with open(descriptor, "wb") as file:
            # A rename over a file whose blocks are not allocated yet makes ext4 write them out at
            # once, which costs as much as fsync.
            os.posix_fallocate(descriptor, 0, len(data))
            file.write(data)
        try:
            os.rename(temporary, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target))
            os.rename(temporary, target)
        self._written.append(path)

    def _create(self, path: str, data: bytes) -> None:
        """Write a file that nobody reads yet, or has read with these very bytes."""
        target = os.path.join(self._directory, path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(target, flags, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target))
            descriptor = os.open(target, flags, 0o644)
        with open(descriptor, "wb") as file:
            file.write(data)
            # What was there was longer only where an older state of the log was brought back.
            if os.fstat(descriptor).st_size > len(data):
                file.truncate()
        self._written.append(path)

    def write(self, leaves: Sequence[bytes], entries: Sequence[bytes]) -> None:
        """Write bundles and tiles of every level that entries behind the base touch.

        Raises:
            OSError: The system refused.
            LimitError: An entry is larger than the format lets it be.
            ReadError, FormatError: A tile that comes before cannot be read, or is damaged.
        """
        first = self._base // TILE_WIDTH
        for start in range(0, len(entries), TILE_WIDTH):
            some = entries[start : start + TILE_WIDTH]
            self._tile(ENTRIES, first + start // TILE_WIDTH, pack_entries(some), len(some))
        tiles = TileReader(self._directory)
        level, new = 0, b"".join(leaves)
        while new:
            number, width = divmod(self._base >> (TILE_HEIGHT * level), TILE_WIDTH)
            data = (tiles.hashes(level, number, width) if width else b"") + new
            new = self._level(level, number, data)
            level += 1

    def sync(self, others: Sequence[str]) -> None:
        """Make what was written durable, and other files of the log too.

        Raises:
            OSError: A file is not there, or the system refused.
        """
        written = dict.fromkeys((*self._written, *others))
        paths = [os.path.join(self._directory, path) for path in written]
        with ThreadPoolExecutor(_SYNC_THREADS, "pyhash-log") as pool:
            for _ in pool.map(_sync_file, paths):
                pass
            for _ in pool.map(sync_directory, _directories(self._directory, written)):
                pass

    def remove_partial(self) -> None:
        """Remove partial tiles whose full tile is durable: readers find that one instead.

        Raises:
            OSError: The system refused.
        """
        for level, number in self._filled:
            directory = os.path.join(self._directory, tile_path(level, number) + ".p")
            with suppress(FileNotFoundError):
                for name in os.listdir(directory):
                    os.unlink(os.path.join(directory, name))
                os.rmdir(directory)

    def _level(self, level: int, number: int, data: bytes) -> bytes:
        """Write the tiles of one level; return what they add to the next."""
        above = b""
        full = TILE_WIDTH * DIGEST_BYTES
        for start in range(0, len(data), full):
            tile = data[start : start + full]
            self._tile(level, number + start // full, tile, len(tile) // DIGEST_BYTES)
            if len(tile) == full:
                above += fold_nodes(tile)
        return above

    def _tile(self, level: int | str, number: int, data: bytes, width: int) -> None:
        path = tile_path(level, number, width)
        if width < TILE_WIDTH:
            self._create(path, data)
            return
        self.put(path, data)
        self._filled.append((level, number))


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _directories(root: str, paths: Sequence[str] | dict[str, None]) -> list[str]:
    """Every directory from the files up to the log's own."""
    found = {""}
    for path in paths:
        while path := os.path.dirname(path):
            found.add(path)
    return [os.path.join(root, path) for path in found]
