# SPDX-License-Identifier: Apache-2.0
"""Takes down the audit log that SeaweedFS sends out, as one JSON object a line.

SeaweedFS speaks Fluentd's forward protocol (messages ``[tag, time, record]`` in MessagePack over
TCP). This listens on loopback for one store; a fleet uses its own collector.

No access is lost in silence: what cannot be understood leaves a line that is no record, which an
audit stops at, and who started this is told when a line cannot be written.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyhash.errors import DependencyError, WriteError

MAX_MESSAGE_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_POLL_SECONDS = 0.05  # how long it takes to stop


@contextmanager
def receiving(
    path: str | os.PathLike[str], host: str, failed: Callable[[OSError], None]
) -> Iterator[int]:
    """Append what arrives to a file until the block ends.

    Args:
        path: The file; made closed to others.
        host: Address to listen on.
        failed: Told that an access could not be written, by any thread.

    Yields:
        The port.

    Raises:
        DependencyError: The extra ``store`` is not installed.
        WriteError: The file cannot be opened.
    """
    try:
        import msgpack
    except ImportError as error:
        raise DependencyError(
            "msgpack is not installed: pip install 'pyhash-checkpoint[store]'"
        ) from error
    name = os.fspath(path)
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600)
    except OSError as error:
        raise WriteError(f"{name}: {error.strerror}", name, error.errno) from error
    try:
        with _server(host, _Lines(descriptor), failed, msgpack) as server:
            thread = threading.Thread(
                target=server.serve_forever, args=(_POLL_SECONDS,), name="pyhash-audit", daemon=True
            )
            thread.start()
            try:
                yield int(server.server_address[1])
            finally:
                server.shutdown()
                thread.join()
    finally:
        os.close(descriptor)


class _Lines:
    """The file: whole lines, by any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def add(self, fields: dict[str, Any]) -> None:
        """Write one line, or nothing at all. Raises ValueError: no JSON; OSError: not written."""
        try:
            text = json.dumps(fields, sort_keys=True, default=str)
        except TypeError as error:
            raise ValueError("a record with other keys than text") from error
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            size = os.fstat(self._descriptor).st_size
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, size)
                raise


def _records(message: Any) -> list[dict[str, Any]]:
    """Return the records of a message: ``[tag, time, record]`` or ``[tag, [[time, record] …]]``."""
    if not isinstance(message, list) or len(message) < 2:
        raise ValueError("not a message of the forward protocol")
    entries = message[1] if isinstance(message[1], list) else [message[1:3]]
    for entry in entries:
        if not (isinstance(entry, list) and entry and isinstance(entry[-1], dict)):
            raise ValueError("a message without a record")
    return [entry[-1] for entry in entries]


def _server(
    host: str, lines: _Lines, failed: Callable[[OSError], None], msgpack: Any
) -> socketserver.ThreadingTCPServer:
    """Return a server that takes down what it is sent; its port is free."""

    class Handler(socketserver.BaseRequestHandler):
        """One connection of the store."""

        def handle(self) -> None:
            """Take down messages until the store hangs up, or sends what is none."""
            try:
                try:
                    self._take_down()
                except (ValueError, msgpack.exceptions.UnpackException) as error:
                    lines.add({"unreadable": str(error)[:200] or type(error).__name__})
            except OSError as error:
                failed(error)

        def _take_down(self) -> None:
            unpacker = msgpack.Unpacker(max_buffer_size=MAX_MESSAGE_BYTES, strict_map_key=True)
            received = done = 0
            while data := self._receive():
                received += len(data)
                unpacker.feed(data)
                for message in unpacker:
                    begin, done = done, unpacker.tell()
                    if done - begin > MAX_MESSAGE_BYTES:
                        raise ValueError(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
                    for record in _records(message):
                        lines.add(record)
            if done != received:
                raise ValueError("a message that was cut off")

        def _receive(self) -> bytes:
            try:
                return bytes(self.request.recv(_READ_BYTES))
            except OSError:
                return b""  # hung up without a word

    server = socketserver.ThreadingTCPServer((host, 0), Handler)
    server.daemon_threads = True
    return server
