# SPDX-License-Identifier: Apache-2.0
"""A real nginx behind TLS with an authority of its own; what it serves is the caller's business."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

from tests.support.nginx import free_port, running_nginx


@dataclass(frozen=True, slots=True)
class TlsNginx:
    """One that is up.

    Attributes:
        url: ``https://127.0.0.1:PORT``.
        ca_file: The authority to trust.
        root: What ``root`` is in its configuration: a directory to put files into.
        log: Each request as a line: method, URI, range asked for, status.
    """

    url: str
    ca_file: str
    root: Path
    log: Path

    def ranges(self, name: str) -> list[tuple[int, int, int]]:
        """Start, end and status of every range of a file that was asked for."""
        found = []
        for line in self.log.read_text().splitlines():
            _, uri, asked, status = line.split(" ")
            if uri.endswith(f"/{name}") and asked.startswith("bytes="):
                first, last = asked.removeprefix("bytes=").split("-")
                found.append((int(first), int(last) + 1, int(status)))
        return found


@contextmanager
def running_tls_nginx(
    place: Path, locations: str = "", *, port: int = 0, not_after: datetime | None = None
) -> Iterator[TlsNginx]:
    """Run nginx until the block ends.

    Args:
        place: A new directory for all of it.
        locations: For the ``server`` block; without any, files below ``root`` are served.
        port: 0: one that is free.
        not_after: When its certificate ends; None: far from now.
    """
    os.chmod(place, 0o755)
    root = place / "root"
    root.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", not_after=not_after)
    certificate.private_key_pem.write_to_path(place / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(place / "cert.pem")
    authority.cert_pem.write_to_path(place / "ca.pem")
    port = port or free_port()
    log = place / "asked.log"
    server = (
        f"log_format asked '$request_method $uri $http_range $status';\n"
        f"server {{\nlisten 127.0.0.1:{port} ssl;\n"
        f"ssl_certificate {place}/cert.pem;\nssl_certificate_key {place}/key.pem;\n"
        f"root {root};\naccess_log {log} asked;\nclient_max_body_size 0;\n{locations}\n}}\n"
    )
    with running_nginx(place, server, port):
        yield TlsNginx(f"https://127.0.0.1:{port}", str(place / "ca.pem"), root, log)
