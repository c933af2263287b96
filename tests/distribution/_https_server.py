# SPDX-License-Identifier: Apache-2.0
"""A real HTTPS server, with real handshakes, that gives ranges and misbehaves on request."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import trustme

RANGE = re.compile(r"bytes=(\d+)-(\d+)")
Misbehave = Callable[["Handler", bytes, int, int], bool]


@dataclass
class Server:
    """A server that is up.

    Attributes:
        url: Its address.
        ca_file: The authority to trust.
        directory: What it serves.
        misbehave: Called for each good GET, and each PUT, with handler, content, start and end;
            True: it has answered. None: everything is in order.
        asked: (path, range) of every request.
    """

    url: str
    ca_file: str
    directory: Path
    misbehave: Misbehave | None = None
    asked: list[tuple[str, tuple[int, int] | None]] = field(default_factory=list)

    def ranges(self, name: str) -> list[tuple[int, int]]:
        """The ranges that were asked for of a file."""
        return [one for path, one in self.asked if path == name and one is not None]


class Handler(BaseHTTPRequestHandler):
    """Answers GET with and without a range."""

    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Give a file, or a part of it."""
        name = unquote(urlsplit(self.path).path).lstrip("/")
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        asked = (int(match[1]), int(match[2]) + 1) if match else None
        self.state.asked.append((name, asked))
        try:
            content = (self.state.directory / name).read_bytes()
        except OSError:
            self.give(404, b"")
            return
        start, end = asked or (0, len(content))
        end = min(end, len(content))
        if self.state.misbehave and self.state.misbehave(self, content, start, end):
            return
        if asked is None:
            self.give(200, content)
        elif start >= len(content):
            self.give(416, b"")
        else:
            self.give_range(content, start, end)

    def do_PUT(self) -> None:
        """Take what comes, keep nothing of it, and misbehave, or say that it is stored."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not (self.state.misbehave and self.state.misbehave(self, body, 0, len(body))):
            self.give(201, b"")

    def give(self, status: int, body: bytes, **headers: str) -> None:
        """Answer; an underscore in the name of a header stands for a hyphen."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def give_range(self, content: bytes, start: int, end: int, **headers: str) -> None:
        """Answer with a range as it should be."""
        said = {"Content_Range": f"bytes {start}-{end - 1}/{len(content)}", **headers}
        self.give(206, content[start:end], **said)

    def begin(self, content: bytes, start: int, end: int) -> None:
        """Send only the head of a right answer."""
        self.send_response(206)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()

    def drip(self, content: bytes, start: int, end: int, seconds: float) -> None:
        """Send a right answer, a byte at a time."""
        self.begin(content, start, end)
        deadline = time.monotonic() + seconds
        at = start
        while time.monotonic() < deadline and at < end:
            self.wfile.write(content[at : at + 1])
            at += 1
            time.sleep(0.02)


class QuietServer(ThreadingHTTPServer):
    """Does not complain about clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@contextmanager
def serve(directory: Path, *, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve a directory until the block ends, with a certificate for ``host``."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    with authority.cert_pem.tempfile() as ca_file:
        state = Server("", ca_file, directory)
        handler = type("BoundHandler", (Handler,), {"state": state})
        with QuietServer(("127.0.0.1", 0), handler) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            state.url = f"https://127.0.0.1:{server.server_address[1]}"
            # The interval is how long stopping it takes, for each of the tests that start one.
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            try:
                yield state
            finally:
                server.shutdown()
                thread.join()
