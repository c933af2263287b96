# SPDX-License-Identifier: Apache-2.0
"""Takes down the audit log that SeaweedFS sends out, as one JSON object a line.

SeaweedFS speaks Fluentd's forward protocol (messages ``[tag, time, record]`` in MessagePack over
TCP). This listens on loopback for one store; a fleet uses its own collector.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from pyhash.errors import DependencyError, WriteError

MAX_MESSAGE_BYTES = 1 << 20
_READ_BYTES = 1 << 16


@contextmanager
def receiving(path: str | os.PathLike[str], host: str) -> Iterator[int]:
    """Append what arrives to a file until the block ends.

    Args:
        path: The file; made closed to others.
        host: Address to listen on.

    Yields:
        The port.

    Raises:
        DependencyError: The extra ``store`` is not installed.
        WriteError: The file cannot be written.
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

    with open(descriptor, "ab", buffering=0) as file, _server(host, file, msgpack) as server:
        thread = threading.Thread(target=server.serve_forever, name="pyhash-audit", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _take_down(message: Any, file: IO[bytes]) -> None:
    """Write the records of a message: ``[tag, time, record]`` or ``[tag, [[time, record] …]]``."""
    if not isinstance(message, list) or len(message) < 2:
        raise ValueError("not a message of the forward protocol")
    entries = message[1] if isinstance(message[1], list) else [message[1:3]]
    for entry in entries:
        record = entry[-1]
        if not isinstance(record, dict):
            raise ValueError("a message without a record")
        line = json.dumps(record, sort_keys=True, default=str)
        file.write(line.encode("utf-8") + b"\n")


def _server(host: str, file: IO[bytes], msgpack: Any) -> socketserver.ThreadingTCPServer:
    """Return a server that takes down what it is sent; its port is free."""

    class Handler(socketserver.BaseRequestHandler):
        """One connection of the store."""

        def handle(self) -> None:
            """Take down messages until the store hangs up, or sends what is none."""
            unpacker = msgpack.Unpacker(max_buffer_size=MAX_MESSAGE_BYTES, strict_map_key=True)
            while data := self.request.recv(_READ_BYTES):
                try:
                    unpacker.feed(data)
                    for message in unpacker:
                        _take_down(message, file)
                except (ValueError, msgpack.exceptions.UnpackException):
                    return

    server = socketserver.ThreadingTCPServer((host, 0), Handler)
    server.daemon_threads = True
    return server
