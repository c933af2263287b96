# SPDX-License-Identifier: Apache-2.0
"""Injects faults into the reads of another process: compiles fault_shim.c, sets its switches.

Only calls of the C library are seen (read, pread): readers that map files or use io_uring need
loop_image.py. The process under test must be started with ``environment()``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SHIM_SOURCE = Path(__file__).resolve().parent / "faults" / "fault_shim.c"
KINDS = ("eio", "short", "eintr", "truncate", "rewrite")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to which reads; the kinds are described at the top of fault_shim.c.

    Attributes:
        kind: One of KINDS.
        path: The file that is hit, or a directory for every file below it.
        offset: First unreadable byte (eio), or the byte that is inverted (rewrite).
        length: Bytes of one call at most (short), or the size afterwards (truncate).
        call: Which read changes the file (truncate, rewrite), counted from 1.
    """

    kind: str
    path: Path
    offset: int = 0
    length: int = 0
    call: int = 0


@dataclass(frozen=True, slots=True)
class Shim:
    """The compiled library.

    Attributes:
        library: For LD_PRELOAD.
        log: Where it writes one line for each fault.
    """

    library: Path
    log: Path

    def environment(self, fault: Fault) -> dict[str, str]:
        """Return this process's environment with the fault switched on; forgets earlier faults.

        Raises:
            ValueError: No such kind.
        """
        if fault.kind not in KINDS:
            raise ValueError(f"{fault.kind!r} is none of {KINDS}")
        self.log.unlink(missing_ok=True)
        return {
            **os.environ,
            "LD_PRELOAD": str(self.library),
            "PYHASH_FAULT_KIND": fault.kind,
            "PYHASH_FAULT_PATH": str(fault.path.resolve(strict=True)),
            "PYHASH_FAULT_OFFSET": str(fault.offset),
            "PYHASH_FAULT_LENGTH": str(fault.length),
            "PYHASH_FAULT_CALL": str(fault.call),
            "PYHASH_FAULT_LOG": str(self.log),
        }

    def injected(self) -> list[tuple[str, int]]:
        """Return (kind, offset) of every fault since ``environment()``; a test must see some."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [(kind, int(offset)) for kind, offset in map(str.split, lines)]


def compile_shim(directory: Path, compiler: str = "gcc") -> Shim:
    """Compile the shim into a directory.

    Raises:
        RuntimeError: There is no compiler, or it refuses the source.
    """
    if shutil.which(compiler) is None:
        raise RuntimeError(f"{compiler} is not installed; the fault tests need a C compiler")
    library = directory / "fault_shim.so"
    flags = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")
    done = subprocess.run(
        [compiler, *flags, "-o", str(library), str(SHIM_SOURCE), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{compiler} refused {SHIM_SOURCE.name}:\n{done.stderr}")
    return Shim(library, directory / "faults.log")
