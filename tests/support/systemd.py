# SPDX-License-Identifier: Apache-2.0
"""systemd-analyze: this host's, or the one in Debian's package, unpacked and not installed."""

from __future__ import annotations

import os
import shutil

from tests.support import debian

BUILD = debian.BUILD / "systemd"
PACKAGES = ("systemd", "libsystemd-shared")


def analyzer() -> tuple[str, dict[str, str]]:
    """Return the program, and the environment that it needs.

    Raises:
        debian.PackageMissing: It cannot be had.
    """
    found = shutil.which("systemd-analyze")
    return (found, dict(os.environ)) if found else unpacked()


def unpacked() -> tuple[str, dict[str, str]]:
    """Return the one of Debian's package; fetched once.

    Raises:
        debian.PackageMissing: It cannot be had.
    """
    program = BUILD / "usr/bin/systemd-analyze"
    if not program.exists():
        program = BUILD / "bin/systemd-analyze"
    if not program.exists():
        debian.unpack(PACKAGES, BUILD)
        program = next(
            (one for one in BUILD.glob("**/bin/systemd-analyze") if one.is_file()), program
        )
    if not program.is_file():
        raise debian.PackageMissing("Debian's package systemd holds no systemd-analyze")
    folders = {str(one.parent) for one in BUILD.glob("**/libsystemd-shared-*.so")}
    return str(program), {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(folders))}
