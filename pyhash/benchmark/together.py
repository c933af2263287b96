# SPDX-License-Identifier: Apache-2.0
"""Reading and hashing together: the work of sign, verify and whole-file mode on real files.

It is what the commands do with the bytes, without a bundle: nothing is written, so it can be
measured on files that are already there.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from pyhash import _native
from pyhash.benchmark import page_cache
from pyhash.benchmark.hashing_roof import MODES
from pyhash.benchmark.sample import Sample
from pyhash.errors import EngineError


@dataclass(frozen=True, slots=True)
class Together:
    """Does the work once each time it is called; returns bytes per second.

    Attributes:
        mode: A key of ``MODES``.
        cold: Drop the files' pages first.
        sample: Regular files.
        threads, reader, kernel: As for ``hashing.Options``.
    """

    mode: str
    cold: bool
    sample: Sample
    threads: int
    reader: str = "auto"
    kernel: str | None = None

    @property
    def name(self) -> str:
        """What it is called in results. Raises nothing."""
        return f"{self.mode} {'cold' if self.cold else 'cached'}"

    def __call__(self) -> float:
        """Do it, and compare digests with the known ones.

        Raises:
            ReadError, EngineError: It failed, or gave a wrong digest.
            KeyboardInterrupt: Ctrl-C; nothing is left running.
        """
        if self.cold:
            page_cache.drop_pages(self.sample.paths)
        nodes, digests = MODES[self.mode]
        descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in self.sample.paths]
        try:
            files = zip(self.sample.paths, descriptors, self.sample.sizes, strict=True)
            ranges = [_native.Range(path, descriptor, 0, size) for path, descriptor, size in files]
            began = time.perf_counter()
            found = _native.hash_ranges(
                ranges,
                span_nodes=nodes,
                file_digests=digests,
                threads=self.threads,
                reader=self.reader,
                kernel=self.kernel,
            )
            seconds = time.perf_counter() - began
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if digests and self.sample.digests:
            for path, one, known in zip(self.sample.paths, found, self.sample.digests, strict=True):
                if one.file_digest != known:
                    raise EngineError(f"{path}: a digest is not what hashlib says")
        return self.sample.size / seconds
