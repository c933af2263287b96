# SPDX-License-Identifier: Apache-2.0
"""The HTTP endpoint: five fixed answers, read-only. It repeats nothing that a client sent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pyhash import limits
from pyhash.errors import UsageError
from pyhash.health.metrics import CONTENT_TYPE, dump_metrics
from pyhash.health.state import Health

TEXT = "text/plain; charset=utf-8"


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    server: _Server
    server_version = "pyhash"
    sys_version = ""
    timeout = limits.MAX_PROBE_SECONDS  # of one read; the timer below is for them all

    def setup(self) -> None:
        super().setup()
        self._timer = threading.Timer(limits.MAX_PROBE_SECONDS, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def finish(self) -> None:
        self._timer.cancel()
        super().finish()

    def _cut(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself

    def do_GET(self) -> None:
        """Answer."""
        self._answer(*self._find())

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(*self._find())

    def _find(self) -> tuple[int, str, bytes]:
        if self.path == "/livez":
            return 200, TEXT, b"alive\n"
        if self.path not in ("/", "/readyz", "/metrics"):
            return 404, TEXT, b"not found\n"
        snapshot = self.server.health.snapshot()
        if self.path == "/metrics":
            return 200, CONTENT_TYPE, dump_metrics(snapshot)
        if self.path == "/readyz":
            code = 200 if snapshot.is_ready else 503
            return code, TEXT, b"ready\n" if snapshot.is_ready else b"not ready\n"
        value = {"ready": snapshot.is_ready, **asdict(snapshot)}
        return 200, "application/json", json.dumps(value).encode("ascii") + b"\n"

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request in fixed words."""
        self.close_connection = True
        self._answer(int(code), TEXT, b"refused\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what clients send is not for our terminal."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.health = health
        self._places = threading.BoundedSemaphore(limits.MAX_PROBE_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away in the middle."""


@contextmanager
def serving(health: Health, host: str, port: int) -> Iterator[int]:
    """Answer requests in threads until the block ends.

    Args:
        health: What is asked for.
        host: Address to listen on.
        port: 0: one that is free.

    Yields:
        The port.

    Raises:
        UsageError: It cannot listen there.
    """
    try:
        server = _Server((host, port), health)
    except (OSError, TypeError) as error:  # TypeError: no name that a host can have
        reason = error.strerror if isinstance(error, OSError) else "no address"
        raise UsageError(f"{host} port {port}: cannot listen: {reason}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
