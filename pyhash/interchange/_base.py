# SPDX-License-Identifier: Apache-2.0
"""What a list of another tool comes to: which files should have which digests. Nobody signed it.

No file of a checkpoint is opened here. Every kind of list ends in one frozen type, which refuses
what no list may say: a path that leads out, a file twice, too many files, no file at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyhash import hashing, limits
from pyhash.errors import FormatError, LimitError
from pyhash.files import Listing
from pyhash.paths import check_listing, check_path
from pyhash.range_digests import ALGORITHMS
from pyhash.strict_json import show

ALL_TENSORS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """One line of a list.

    Attributes:
        path: Inside the checkpoint, ``/``-separated.
        digests: (name of ``range_digests.ALGORITHMS``, digest); at least one.
        size: Bytes; None: the list does not say.
        tensors: None: of the whole file. A name: of the data of that tensor alone.
            ALL_TENSORS: of the data of all tensors, one after the other.
    """

    path: str
    digests: tuple[tuple[str, bytes], ...]
    size: int | None = None
    tensors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ExpectedDigests:
    """A list, whatever kind it was.

    Attributes:
        kind: Name of a ``ListKind``.
        source: Where it came from.
        entries: Its lines; at least one unless there is a ``root``.
        root: Checkpoint root instead of lines.
        location: Where the files lie, where that is not what the caller named.
        ignored: Paths that are no part of the checkpoint: the tool's own notes.
        links_within: The directory that the tool's links lead into; None: it makes no links.
        notes: What a person should know, one sentence each.

    Raises:
        FormatError: No line, the same twice, a path that leads out, or a digest of a wrong length.
        LimitError: More lines than MAX_LIST_ENTRIES.
    """

    kind: str
    source: str
    entries: tuple[Expected, ...]
    root: bytes | None = None
    location: str | None = None
    ignored: tuple[str, ...] = ()
    links_within: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_entry_count(len(self.entries), self.source)
        if not self.entries and self.root is None:
            raise FormatError(f"{self.source}: a list without any file checks nothing", self.source)
        seen = set()
        for entry in self.entries:
            check_path(entry.path, source=self.source)
            if (entry.path, entry.tensors) in seen:
                raise FormatError(f"{self.source}: {show(entry.path)} is listed twice", self.source)
            seen.add((entry.path, entry.tensors))
            _check_digests(entry, self.source)
        check_listing(sorted({entry.path for entry in self.entries}), (), source=self.source)

    @property
    def strength(self) -> str:
        """The weakest of what each line is worth, see ``range_digests.Algorithm``."""
        order = ("rot", "forgers", "attackers")
        best = [
            max(order.index(ALGORITHMS[name].strength) for name, _ in entry.digests)
            for entry in self.entries
        ]
        return order[min(best, default=len(order) - 1)]


def check_entry_count(count: int, source: str) -> None:
    """Raise LimitError when a list has too many lines."""
    if count > limits.MAX_LIST_ENTRIES:
        raise LimitError(
            f"{source}: {count} lines, above the cap of {limits.MAX_LIST_ENTRIES}", source
        )


def _check_digests(entry: Expected, source: str) -> None:
    where = f"{source}: {show(entry.path)}"
    if not entry.digests:
        raise FormatError(f"{where} is listed without a digest", source)
    for name, digest in entry.digests:
        if len(digest) != ALGORITHMS[name].digest_bytes:
            raise FormatError(f"{where} has a {name} digest of {len(digest)} bytes", source)


@dataclass(frozen=True, slots=True)
class Sniff:
    """What a source looks like, for telling the kinds apart.

    Attributes:
        path: The source.
        is_directory: Whether it is one.
        head: First bytes of a file.
        keys: Keys of the object, where the file is a JSON object.
    """

    path: str
    is_directory: bool
    head: bytes = b""
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What an exporter is told about a file.

    Attributes:
        path: Inside the checkpoint.
        size: Bytes.
        sha256: Of the whole file, 32 bytes.
    """

    path: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Exported:
    """What an exporter is given.

    Attributes:
        name: Base name of the checkpoint.
        files: Its files; empty for a kind that reads them itself.
        listing: The same, to be read.
        options: How to hash.
    """

    name: str
    files: tuple[FileRecord, ...]
    listing: Listing
    options: hashing.Options


@dataclass(frozen=True, slots=True)
class ListKind:
    """One line of the table in ``pyhash.interchange``.

    Attributes:
        name: Word before the colon of a source.
        title: What it is, for people.
        covers: What a match says.
        leaves_out: What it does not say.
        detect: Whether a source looks like it.
        load: (source, checkpoint) -> what it says.
        dump: Makes such a list; None: we do not.
        reads_files: ``dump`` hashes for itself, and is given no ``Exported.files``.
    """

    name: str
    title: str
    covers: str
    leaves_out: str
    detect: Callable[[Sniff], bool]
    load: Callable[[str, str], ExpectedDigests]
    dump: Callable[[Exported], bytes] | None = None
    reads_files: bool = False


def load_hex(text: str, algorithm: str, where: str, source: str) -> bytes:
    """Return a digest from hex digits of either case.

    Args:
        text: The digits.
        algorithm: A name of ``range_digests.ALGORITHMS``, which says how many there are.
        where: What it is, for the message.
        source: The list, for the message.

    Raises:
        FormatError: Something else, or another number of digits.
    """
    nbytes = ALGORITHMS[algorithm].digest_bytes
    if len(text) != 2 * nbytes or not set(text) <= set("0123456789abcdefABCDEF"):
        raise FormatError(f"{source}: {where} is {show(text)}, not {2 * nbytes} hex digits", source)
    return bytes.fromhex(text)
