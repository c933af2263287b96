# SPDX-License-Identifier: Apache-2.0
"""The roof of reading as fio finds it, where fio is installed: a second opinion from outside.

Reads only: fio is told ``--readonly``, with which it refuses every job that would write.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass

from pyhash.benchmark import page_cache
from pyhash.benchmark.reading import LIMIT_SECONDS
from pyhash.benchmark.sample import Sample
from pyhash.errors import ReadError

DEPTHS = (4, 32)
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Fio:
    """Reads a sample by fio each time it is called; returns bytes per second.

    Attributes:
        program: Where fio is.
        sample: What to read.
        depth: Reads under way at once, through io_uring.
    """

    program: str
    sample: Sample
    depth: int

    @property
    def name(self) -> str:
        """What it is called in results. Raises nothing."""
        return f"fio direct x{self.depth}"

    def __call__(self) -> float:
        """Read.

        Raises:
            ReadError: fio failed; its own words say why.
        """
        page_cache.drop_pages(self.sample.paths)
        words = [
            *(
                self.program,
                "--readonly",
                "--allow_file_create=0",
                "--name=roof",
                "--rw=read",
                "--direct=1",
                "--bs=1m",
            ),
            *("--ioengine=io_uring", f"--iodepth={self.depth}", "--time_based"),
            *(f"--runtime={max(1, round(LIMIT_SECONDS))}", "--output-format=json"),
            f"--size={self.sample.size}",
            # fio splits this at colons; a colon of a name is escaped by a backslash.
            "--filename=" + ":".join(path.replace(":", r"\:") for path in self.sample.paths),
        ]
        try:
            done = subprocess.run(words, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)  # noqa: S603
            found = json.loads(done.stdout)
            return float(found["jobs"][0]["read"]["bw_bytes"])
        except (subprocess.SubprocessError, OSError, ValueError, LookupError) as error:
            detail = getattr(error, "stderr", b"") or b""
            said = f": {detail.decode(errors='replace').strip()}" if detail else ""
            raise ReadError(f"fio: {error}{said}") from error


def find_fio(sample: Sample) -> list[Fio]:
    """Return what fio can measure here; nothing where it is missing or does not work.

    Raises:
        OSError: A file of the sample cannot be opened.
    """
    program = shutil.which("fio")
    if program is None:
        return []
    found = [Fio(program, sample, depth) for depth in DEPTHS]
    try:
        found[0]()
    except ReadError:
        return []
    return found
