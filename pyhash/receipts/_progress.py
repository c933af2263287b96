# SPDX-License-Identifier: Apache-2.0
"""How far an interrupted verification came: span nodes of what was hashed, by file identity.

    HMAC-SHA256 in hex | space | one line of JSON | newline      for the head and for each stretch

Each HMAC covers the one before it, so that no line can be taken out, moved or put in. What follows
the first line that does not fit (a line that was cut off by a crash, or an edited one) is dropped:
losing progress costs time only.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import FormatError, ReceiptError, WriteError
from pyhash.files import CheckpointFile
from pyhash.merkle import DIGEST_BYTES, span_count
from pyhash.receipts._binding import (
    Binding,
    dump_binding,
    dump_identity,
    load_binding,
    load_identity,
)
from pyhash.receipts._store import Store
from pyhash.span_hashing import Run
from pyhash.strict_json import (
    JsonValue,
    expect_fields,
    expect_integer,
    expect_string,
    load_json,
)

PURPOSE = b"pyhash-progress-v1"
SUFFIX = "progress"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of one file that has been hashed.

    Attributes:
        file: The file, as it was then.
        run: Which bytes.
        nodes: Their span nodes, 32 bytes each.
    """

    file: CheckpointFile
    run: Run
    nodes: bytes


class Progress:
    """The open record of one verification. For one thread."""

    def __init__(
        self, store: Store, path: str, descriptor: int, last: bytes, found: tuple[Stretch, ...]
    ) -> None:
        self._store, self._path, self._descriptor, self._last = store, path, descriptor, last
        self.found = found

    def begin(self, good: int, binding: Binding) -> None:
        """Drop what cannot be believed; where that is everything, write the head.

        Args:
            good: Bytes that were found to be authentic, from the start.
            binding: What is being verified.

        Raises:
            WriteError: The system refused.
        """
        try:
            os.ftruncate(self._descriptor, good)
        except OSError as error:
            raise self._error(error) from error
        if not good:
            self._append([{"progress": "1", "binding": dump_binding(binding)}])

    def add(self, stretches: list[Stretch]) -> None:
        """Put down what was hashed; durable when it returns.

        Args:
            stretches: In any order.

        Raises:
            WriteError: The system refused.
        """
        self._append(
            [
                {
                    "path": one.file.path,
                    "identity": dump_identity(one.file.identity),
                    "start": one.run.start,
                    "end": one.run.end,
                    "nodes": one.nodes.hex(),
                }
                for one in stretches
            ]
        )

    def remove(self) -> None:
        """Forget the progress: the verification has come to its end.

        Raises:
            WriteError: The system refused.
        """
        try:
            os.unlink(self._path)
        except OSError as error:
            raise self._error(error) from error

    def _append(self, values: list[dict[str, JsonValue]]) -> None:
        lines = b""
        for value in values:
            text = json.dumps(value, separators=(",", ":")).encode("ascii")
            self._last = self._store.authenticate(PURPOSE, self._last + text)
            lines += self._last.hex().encode("ascii") + b" " + text + b"\n"
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> WriteError:
        message = f"{self._path}: cannot be written: {error.strerror}"
        return WriteError(message, self._path, error.errno)


@contextmanager
def open_progress(store: Store, binding: Binding) -> Iterator[Progress]:
    """Open the record of an interrupted verification, or begin one.

    Args:
        store: Where.
        binding: What is being verified; a record of something else is written over.

    Yields:
        The record, with what was found in it as ``found``.

    Raises:
        ReceiptError: Another process is writing to it.
        LimitError, WriteError: It is too large, or cannot be written.
    """
    path = store.place(binding.location, SUFFIX)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror}", path, error.errno) from error
    try:
        _lock(descriptor, path)
        data = store.read(path, limits.MAX_PROGRESS_BYTES) or b""
        good, last, found = _read(store, data, binding, path)
        progress = Progress(store, path, descriptor, last, found)
        progress.begin(good, binding)
        yield progress
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ReceiptError(
            f"{path}: another verification of this checkpoint is under way; wait for it", path
        ) from error
    except OSError as error:
        raise ReceiptError(f"{path}: cannot be locked: {error.strerror}", path) from error


def _read(
    store: Store, data: bytes, binding: Binding, path: str
) -> tuple[int, bytes, tuple[Stretch, ...]]:
    """Return how many bytes are good, the last HMAC, and what stands there."""
    good, last, found = 0, b"", []
    for line in data.splitlines(keepends=True):
        mac, _, rest = line.partition(b" ")
        text = rest.removesuffix(b"\n")
        expected = store.authenticate(PURPOSE, last + text)
        if rest == text or not hmac.compare_digest(mac, expected.hex().encode("ascii")):
            break
        value = load_json(text, path=path, max_bytes=limits.MAX_PROGRESS_BYTES)
        if good:
            found.append(_load_stretch(value, path))
        elif _load_head(value, path) != binding:
            break
        good, last = good + len(line), expected
    return good, last, tuple(found)


def _load_head(value: JsonValue, path: str) -> Binding:
    fields = expect_fields(value, "the head", path, required=("progress", "binding"))
    return load_binding(fields["binding"], path)


def _load_stretch(value: JsonValue, path: str) -> Stretch:
    names = ("path", "identity", "start", "end", "nodes")
    fields = expect_fields(value, "a stretch", path, required=names)
    run = Run(*(expect_integer(fields[name], name, path) for name in ("start", "end")))
    nodes = bytes.fromhex(expect_string(fields["nodes"], "nodes", path))
    if len(nodes) != DIGEST_BYTES * span_count(run.size):
        raise FormatError(f"{path}: a stretch of {run.size} bytes has {len(nodes)} of nodes", path)
    name = expect_string(fields["path"], "path", path)
    return Stretch(CheckpointFile(name, load_identity(fields["identity"], path)), run, nodes)
