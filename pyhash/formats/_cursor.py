# SPDX-License-Identifier: Apache-2.0
"""A cursor over a binary header that cannot be made to read or allocate more than is there.

For formats whose header says how long it is only by being walked. It knows numbers and byte
strings; what they mean is for the format.
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

from pyhash.errors import FormatError, LimitError
from pyhash.formats._base import ReadAt

_WINDOW_BYTES = 1 << 16  # read at once; longer strings are read by themselves
_LENGTH_BYTES = 8  # u64 before every string


class Cursor:
    """Reads a header from front to back, through a window of 64 KiB.

    Every length is compared with the file's size and with the cap before anything is read. Not
    for use from several threads.

    Attributes:
        position: Offset of the next byte.
    """

    __slots__ = ("_cap", "_order", "_path", "_read_at", "_size", "_window", "_window_start",
                 "position")  # fmt: skip

    def __init__(self, read_at: ReadAt, size: int, *, cap: int, order: str, path: str) -> None:
        """Begin at offset 0.

        Args:
            read_at: Gives bytes of the file.
            size: Size of the file in bytes.
            cap: Largest header accepted, in bytes.
            order: Byte order as ``struct`` writes it: ``<`` or ``>``.
            path: Path for messages.
        """
        self._read_at = read_at
        self._size = size
        self._cap = cap
        self._order = order
        self._path = path
        self._window = b""
        self._window_start = 0
        self.position = 0

    def take(self, length: int) -> bytes:
        """Return the next bytes and step over them.

        Args:
            length: How many.

        Returns:
            Exactly that many bytes.

        Raises:
            FormatError: The file ends before.
            LimitError: The header's cap ends before.
            ReadError: The bytes could not be read.
        """
        self._check(length)
        if length > _WINDOW_BYTES:
            taken = self._read_at(self.position, length)
        else:
            self._fill(length)
            begin = self.position - self._window_start
            taken = self._window[begin : begin + length]
        self.position += length
        return taken

    def skip(self, length: int) -> None:
        """Step over bytes without reading them; errors as for `take`, but no ReadError.

        Args:
            length: How many.

        Raises:
            FormatError: The file ends before.
            LimitError: The header's cap ends before.
        """
        self._check(length)
        self.position += length

    def numbers(self, kinds: str) -> tuple[Any, ...]:
        """Return the next numbers, which lie side by side, and step over them.

        Args:
            kinds: Letters of ``struct``, one for each: ``B``, ``h``, ``I``, ``Q``, ``f``, ``d``.

        Returns:
            An int or a float for each letter.

        Raises:
            FormatError: The file ends before.
            LimitError: The header's cap ends before.
            ReadError: The bytes could not be read.
        """
        kinds = self._order + kinds
        return struct.unpack(kinds, self.take(struct.calcsize(kinds)))

    def string(self, max_bytes: int) -> bytes:
        """Return the next string, a u64 length and that many bytes, and step over it.

        Args:
            max_bytes: Longest string accepted.

        Returns:
            Its bytes, undecoded.

        Raises:
            FormatError: The file ends before.
            LimitError: It is longer than ``max_bytes``, or the header's cap ends before.
            ReadError: The bytes could not be read.
        """
        (length,) = self.numbers("Q")
        if length > max_bytes:
            self._refuse_string(length, max_bytes, self.position - _LENGTH_BYTES)
        return self.take(length)

    def skip_strings(self, count: int, max_bytes: int) -> None:
        """Step over many strings, looking at nothing but their lengths.

        Real vocabularies have hundreds of thousands, so the loop works inside the window.

        Args:
            count: How many strings.
            max_bytes: Longest string accepted.

        Raises:
            FormatError: The file ends before.
            LimitError: One is longer than ``max_bytes``, or the header's cap ends before.
            ReadError: The bytes could not be read.
        """
        unpack = struct.Struct(self._order + "Q").unpack_from
        while count:
            self._check(_LENGTH_BYTES)
            self._fill(_LENGTH_BYTES)
            window, at = self._window, self.position - self._window_start
            last = len(window) - _LENGTH_BYTES
            while count and at <= last:
                (length,) = unpack(window, at)
                if length > max_bytes:
                    self._refuse_string(length, max_bytes, self._window_start + at)
                at += _LENGTH_BYTES + length
                count -= 1
            self.skip(self._window_start + at - self.position)

    def _check(self, length: int) -> None:
        """Refuse to go on for ``length`` bytes where the file or the cap ends before."""
        end = self.position + length
        if end > self._size:
            message = f"{self._path}: header reaches behind the end of the file"
            raise FormatError(message, self._path, self.position)
        if end > self._cap:
            message = f"{self._path}: header is above the cap of {self._cap} bytes"
            raise LimitError(message, self._path, self.position)

    def _fill(self, length: int) -> None:
        """Make the window hold the next ``length`` bytes, which `_check` has passed."""
        begin = self.position - self._window_start
        if not 0 <= begin <= len(self._window) - length:
            end = min(self.position + max(length, _WINDOW_BYTES), self._size, self._cap)
            self._window = self._read_at(self.position, end - self.position)
            self._window_start = self.position

    def _refuse_string(self, length: int, max_bytes: int, offset: int) -> NoReturn:
        """Raise LimitError for a string that is too long."""
        message = f"{self._path}: string of {length} bytes is above the cap of {max_bytes}"
        raise LimitError(message, self._path, offset)
