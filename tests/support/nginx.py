# SPDX-License-Identifier: Apache-2.0
"""A real nginx, out of Debian's package, with a configuration that the caller gives."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import debian

BUILD = debian.BUILD / "nginx"
START_SECONDS = 30


def nginx() -> str:
    """Return the program: the installed one, or one that is unpacked.

    Raises:
        PackageMissing: Neither is there, and it cannot be fetched.
    """
    installed = shutil.which("nginx")
    if installed:
        return installed
    program = BUILD / "usr/sbin/nginx"
    if not program.exists():
        debian.unpack(("nginx",), BUILD)
    if not program.exists():
        raise debian.PackageMissing("Debian's package nginx holds no nginx")
    return str(program)


@contextmanager
def running_nginx(place: Path, server: str, port: int) -> Iterator[None]:
    """Run nginx until the block ends.

    Args:
        place: A directory for its files.
        server: A ``server`` block.
        port: What it listens on.
    """
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (place / name).mkdir()
    paths = "".join(
        f"{module}_temp_path {place}/{name};\n"
        for module, name in (
            ("client_body", "body"),
            *((one, one) for one in ("proxy", "fastcgi", "uwsgi", "scgi")),
        )
    )
    config = place / "nginx.conf"
    config.write_text(
        f"pid {place}/pid;\ndaemon off;\nerror_log {place}/error.log;\nworker_processes 1;\n"
        "user root;\nevents {}\n"
        f"http {{\n{paths}access_log off;\n{server}\n}}\n"
    )
    command = [nginx(), "-p", str(place), "-c", str(config), "-e", f"{place}/error.log"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _wait(process, port, place)
            yield
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, place: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            said = (place / "error.log").read_text() if (place / "error.log").exists() else ""
            error = process.stderr.read().decode() if process.stderr else ""
            raise RuntimeError(f"nginx did not come up: {said}{error}")
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
