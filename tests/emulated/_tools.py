# SPDX-License-Identifier: Apache-2.0
"""Finds the emulators and the cross compilers, and fetches from Debian what is not here.

Emulators are static binaries, taken out of their packages into the build folder: nothing of them
is installed, and no root is needed. Compilers are installed, which needs root. Nothing here tests
anything; what could not be had is a sentence in the caller's ``notes``.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "tests/emulated/build"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Debian suites and packages that hold static binaries. First, a QEMU with SHA instructions for x86
# (8.2 or later): what Debian 12's backports had when this was written (10.0.2) reads 32 bytes
# where VINSERTI128 has 16 in memory, so it dies at a page's end and is not taken; Debian 13's is
# mended. Second, the last QEMU that can leave SHA2 out of an ARM model.
NEW = (("trixie", "qemu-user"), ("{codename}-backports", "qemu-user"))
OLD = (("bookworm", "qemu-user-static"),)
NAMES = ("qemu-x86_64", "qemu-aarch64")

Accept = Callable[[Path], str | None]
Packages = tuple[tuple[str, str], ...]


def run(
    *command: object, cwd: Path = ROOT, timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever that is; nothing is printed."""
    words = [str(word) for word in command]
    return subprocess.run(
        words,
        cwd=cwd,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def emulator(name: str, packages: Packages, accept: Accept, notes: list[str]) -> Path | None:
    """Return an emulator that can do what is asked of it.

    Args:
        name: One of NAMES.
        packages: NEW or OLD: where to take it from when none here will do.
        accept: Says why an emulator will not do, or None.
        notes: What was wrong with those that were tried, when none will do.
    """
    reasons = []
    for found in _candidates(name, packages):
        reason = accept(found)
        if reason is None:
            return found
        reasons.append(f"{_version(found)} will not do: {reason}")
    suites = " or ".join(suite.format(codename=_codename()) for suite, _ in packages)
    notes.append("; ".join([f"no {name} that will do, here or from {suites}", *reasons]))
    return None


def _candidates(name: str, packages: Packages) -> Iterator[Path]:
    here = shutil.which(name)
    if here:
        yield Path(here)
    for pattern, package in packages:
        suite = pattern.format(codename=_codename())
        found = BUILD / "tools" / suite / name
        if found.exists() or (_unpack(suite, package, found.parent) and found.exists()):
            yield found


def _version(path: Path) -> str:
    return run(path, "--version").stdout.partition(" (")[0].strip() or str(path)


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")


def _mirror() -> str | None:
    """The address of the Debian mirror that this machine already uses."""
    if not shutil.which("apt-get"):
        return None
    lines = run(
        "apt-get",
        "indextargets",
        "--format",
        "$(CODENAME) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ).stdout.splitlines()
    wanted = f"{_codename()} main "
    return next((line.removeprefix(wanted) for line in lines if line.startswith(wanted)), None)


def _unpack(suite: str, package: str, target: Path) -> bool:
    """Take the emulators out of a package; APT's state for this is apart from the system's."""
    mirror = _mirror()
    if not mirror:
        return False
    place = BUILD / "apt" / suite
    for folder in ("lists/partial", "archives/partial", "packages"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (place / "sources.list").write_text(f"deb {signed}{mirror} {suite} main\n", encoding="ascii")
    settings = {
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": place / "lists",
        "Dir::Cache::archives": place / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Retries": 3,
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in settings.items())]
    run(*apt, "update")
    done = run(*apt, "download", f"{package}/{suite}", cwd=place / "packages")
    for archive in (place / "packages").glob("*.deb"):
        _extract(archive, target)
    shutil.rmtree(place)
    return done.returncode == 0


def _extract(archive: Path, target: Path) -> None:
    """Write the emulators that are in a package to the folder, under their plain names."""
    target.mkdir(parents=True, exist_ok=True)
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as members,
    ):
        for member in members:
            name = Path(member.name).name.removesuffix("-static")
            # A package also has files of those names that tell the system of its emulators.
            is_program = member.isreg() and Path(member.name).parent.name == "bin"
            content = members.extractfile(member) if is_program and name in NAMES else None
            if content:
                (target / name).write_bytes(content.read())
                (target / name).chmod(0o755)


def arm_compilers(notes: list[str]) -> dict[str, str]:
    """Return commands that compile for ARM, by short name; installs them where that is possible."""
    wanted = {"aarch64-linux-gnu-gcc": ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]}
    if _clang() is None:
        wanted["clang"] = ["clang"]
    missing = [p for name, packages in wanted.items() if not shutil.which(name) for p in packages]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        run("apt-get", "-q", "-oAcquire::Retries=3", "update")
        run("apt-get", "-q", "-y", "--no-install-recommends", "install", *missing)
    found = {}
    if shutil.which("aarch64-linux-gnu-gcc"):
        found["gcc"] = "aarch64-linux-gnu-gcc -static"
        if clang := _clang():  # which borrows GCC's libraries
            found["clang"] = f"{clang} --target=aarch64-linux-gnu -static"
    why = "" if os.geteuid() == 0 else " (to install it takes root)"
    for name in ("gcc", "clang"):
        if name not in found:
            notes.append(f"no {name} that compiles for ARM{why}")
    return found


def _clang() -> str | None:
    names = ["clang", *(f"clang-{version}" for version in range(30, 13, -1))]
    return next((name for name in names if shutil.which(name)), None)
