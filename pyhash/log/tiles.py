# SPDX-License-Identifier: Apache-2.0
"""Tiles of a log in a directory (c2sp.org/tlog-tiles): names, entry bundles, reading.

Nothing that is read here is trusted: who reads it folds it to a signed root. A tile that is cut
short or lacks a byte ends in FormatError, a missing one in ReadError.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from pyhash import files, limits
from pyhash.errors import FormatError, LimitError, ReadError
from pyhash.log.tree import Nodes
from pyhash.merkle import DIGEST_BYTES, fold_nodes

TILE_WIDTH = 256  # hashes of a full tile
TILE_HEIGHT = 8  # its levels of the tree
ENTRIES = "entries"
_LENGTH_BYTES = 2
_CACHED_TILES = 64
_MAX_BUNDLE = TILE_WIDTH * (_LENGTH_BYTES + limits.MAX_LOG_ENTRY_BYTES)


def tile_path(level: int | str, number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile inside its log. Raises nothing.

    Args:
        level: 0 to 63, or ``ENTRIES``.
        number: Which tile of the level.
        width: Hashes or entries that it holds; below ``TILE_WIDTH`` it is a partial one.
    """
    digits = f"{number % 1000:03}"
    while number >= 1000:
        number //= 1000
        digits = f"x{number % 1000:03}/{digits}"
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{digits}{partial}"


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each entry behind its length.

    Raises:
        LimitError: An entry is larger than the format lets it be.
    """
    for entry in entries:
        if len(entry) > limits.MAX_LOG_ENTRY_BYTES:
            raise LimitError(
                f"an entry of {len(entry)} bytes; a log takes {limits.MAX_LOG_ENTRY_BYTES}"
            )
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def unpack_entries(data: bytes, count: int, path: str) -> list[bytes]:
    """Return the entries of a bundle.

    Args:
        data: The bundle, or more.
        count: How many entries to return; a full bundle may stand in for a partial one.
        path: Where it came from, for messages.

    Raises:
        FormatError: Fewer entries, or the last one is cut short.
    """
    entries, at = [], 0
    for _ in range(count):
        end = at + _LENGTH_BYTES
        length = int.from_bytes(data[at:end], "big")
        if end + length > len(data):
            raise FormatError(f"{path}: the entry bundle is cut short", path, at)
        entries.append(data[end : end + length])
        at = end + length
    return entries


class TileReader:
    """Reads the tiles of one log; keeps some of the last ones. Thread-safe.

    Attributes:
        directory: The log.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        self.hashes = lru_cache(_CACHED_TILES)(self._hashes)

    def _hashes(self, level: int, number: int, width: int) -> bytes:
        """Return the first ``width`` hashes of a tile, 32 bytes each.

        Raises:
            ReadError: Neither the partial nor the full tile can be read.
            FormatError: It has another size than its name says.
        """
        data, name, found = self._read(level, number, width, TILE_WIDTH * DIGEST_BYTES)
        if len(data) != found * DIGEST_BYTES:
            raise FormatError(f"{name}: {len(data)} bytes are no tile of {found} hashes", name)
        return data[: width * DIGEST_BYTES]

    def entries(self, number: int, width: int) -> list[bytes]:
        """Return the first ``width`` entries of a bundle.

        Raises:
            ReadError: Neither the partial nor the full bundle can be read.
            FormatError: It does not hold what its name says.
        """
        data, name, found = self._read(ENTRIES, number, width, _MAX_BUNDLE)
        entries = unpack_entries(data, found, name)
        if sum(map(len, entries)) + _LENGTH_BYTES * found != len(data):
            raise FormatError(f"{name}: bytes behind the last entry", name)
        return entries[:width]

    def nodes(self, size: int) -> Nodes:
        """Return the source of nodes of the tree of ``size`` entries. Raises nothing.

        The source raises ReadError where a tile cannot be read, and FormatError where it has
        another size than its name says.
        """

        def node(height: int, index: int) -> bytes:
            level, inner = divmod(height, TILE_HEIGHT)
            first, count = index << inner, 1 << inner
            number, offset = divmod(first, TILE_WIDTH)
            there = size >> (TILE_HEIGHT * level)
            width = min(TILE_WIDTH, there - number * TILE_WIDTH)
            tile = self.hashes(level, number, width)
            found = tile[offset * DIGEST_BYTES : (offset + count) * DIGEST_BYTES]
            return found if count == 1 else fold_nodes(found)

        return node

    def _read(self, level: int | str, number: int, width: int, cap: int) -> tuple[bytes, str, int]:
        """Read a tile; a full one where the partial one is gone. Returns data, name, width."""
        name = os.path.join(self.directory, tile_path(level, number, width))
        try:
            return files.read_small(name, cap), name, width
        except ReadError as error:
            if width == TILE_WIDTH or not isinstance(error.__cause__, FileNotFoundError):
                raise
        name = os.path.join(self.directory, tile_path(level, number))
        return files.read_small(name, cap), name, TILE_WIDTH
