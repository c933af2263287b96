# SPDX-License-Identifier: Apache-2.0
"""Takes programs out of Debian's packages: unpacked into a build folder, not installed.

Imports nothing of pyhash. What cannot be had is an error, never a skipped test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.make_peer_env import REPOSITORY

BUILD = REPOSITORY / "tests/support/build"


class PackageMissing(RuntimeError):
    """A package is not here and cannot be fetched."""


def unpack(packages: Sequence[str], target: Path) -> None:
    """Download packages and unpack them.

    Args:
        packages: Names.
        target: Becomes their root directory.

    Raises:
        PackageMissing: They cannot be had.
    """
    what = ", ".join(packages)
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise PackageMissing(f"no apt-get here; install {what}")
    archives = target / "packages"
    archives.mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "-q", "-oAcquire::Retries=3", "download", *packages]
    done = _run(fetch, archives)
    if done.returncode != 0 and os.geteuid() == 0:
        _run(["apt-get", "-q", "-oAcquire::Retries=3", "update"], archives)
        done = _run(fetch, archives)
    if done.returncode != 0:
        raise PackageMissing(f"{what} cannot be downloaded: {done.stderr.strip()[-500:]}")
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(archive), str(target)], archives)
    shutil.rmtree(archives)


def _run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, check=False, timeout=300
    )
