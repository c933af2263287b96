# SPDX-License-Identifier: Apache-2.0
"""A real PKCS #11 token for tests: SoftHSM, out of Debian's packages, unpacked and not installed.

Where it cannot be had every call fails and says why: keys in tokens that were not tested must not
look like tested ones. Imports nothing of pyhash.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import debian
from tests.support.debian import PackageMissing, unpack

BUILD = debian.BUILD / "softhsm"
PACKAGES = ("softhsm2", "libsofthsm2")
PIN = "4711-abc"


@dataclass(frozen=True, slots=True)
class SoftHsm:
    """The program and the library."""

    program: Path
    module: Path


def softhsm() -> SoftHsm:
    """Return SoftHSM: the installed one, or one unpacked into the build folder.

    Raises:
        PackageMissing: Neither is there, and it cannot be fetched.
    """
    for root in (Path("/"), BUILD):
        found = _look_in(root)
        if found is not None:
            return found
    unpack(PACKAGES, BUILD)
    found = _look_in(BUILD)
    if found is None:
        raise PackageMissing(f"Debian's packages {', '.join(PACKAGES)} hold no SoftHSM")
    return found


def _look_in(root: Path) -> SoftHsm | None:
    program = root / "usr/bin/softhsm2-util"
    modules = sorted(root.glob("usr/lib/**/softhsm/libsofthsm2.so"))
    return SoftHsm(program, modules[0]) if program.exists() and modules else None


def make_store(directory: Path) -> dict[str, str]:
    """Make an empty store of tokens; the variables that point SoftHSM at it."""
    (directory / "tokens").mkdir(parents=True)
    config = directory / "softhsm2.conf"
    config.write_text(
        f"directories.tokendir = {directory / 'tokens'}\n"
        "objectstore.backend = file\nlog.level = ERROR\n"
    )
    return {"SOFTHSM2_CONF": str(config)}


def make_token(hsm: SoftHsm, environment: dict[str, str], label: str) -> None:
    """Make a token with the PIN of this module."""
    words = [
        *(str(hsm.program), "--module", str(hsm.module), "--init-token", "--free"),
        *("--label", label, "--so-pin", "so-pin-1", "--pin", PIN),
    ]
    subprocess.run(words, env={**os.environ, **environment}, check=True, capture_output=True)


def import_key(
    hsm: SoftHsm, environment: dict[str, str], token: str, key: Path, **named: str
) -> None:
    """Put a private key (PKCS #8 PEM) and its public half into a token."""
    words = [
        *(str(hsm.program), "--module", str(hsm.module), "--import", str(key), "--token", token),
        *("--label", named["label"], "--id", named["key_id"], "--pin", PIN),
    ]
    subprocess.run(words, env={**os.environ, **environment}, check=True, capture_output=True)
