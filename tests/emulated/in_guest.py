# SPDX-License-Identifier: Apache-2.0
"""Runs inside an emulated CPython: the real extension, on a processor that this machine is not.

    in_guest.py CASE     a file that run.py wrote outside of the emulation

Every expected value comes with the case, computed outside by hashlib and tests/reference.py, or
is NIST's. Ends with the number of checks, or with what was wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyhash
from pyhash import _native, errors, merkle


class Guest:
    """The checks, and how many were made."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.folder = Path(case["folder"])
        self.supported = [kernel for kernel in _native.kernels() if kernel.supported]
        self.checks = 0

    def check(self, condition: object, *what: object) -> None:
        """Count it, or end the program."""
        if not condition:
            sys.exit(f"not so: {' '.join(map(str, what))}")
        self.checks += 1

    def kernels(self) -> None:
        """Exactly the kernels that the table says, and calibration measures no other."""
        names = sorted(kernel.name for kernel in self.supported)
        self.check(names == self.case["kernels"], f"kernels {names}, not {self.case['kernels']}")
        measured = sorted(kernel.name for kernel, _ in _native.measure_kernels())
        self.check(measured == names, "measured", measured)

    def nist(self) -> None:
        """NIST's short and long messages, by every kernel, in every lane and one more."""
        for line in Path(self.case["cavp"]).read_text(encoding="ascii").splitlines():
            word, *values = line.split()
            if word != "message" or values[0] == "-":  # the empty one is among the ranges below
                continue
            message, digest = map(bytes.fromhex, values)
            for kernel in self.supported:
                count = kernel.lanes + 1
                found = _native.hash_messages(message * count, len(message), kernel=kernel.name)
                self.check(found == digest * count, kernel.name, len(message), "bytes")

    def ranges(self) -> None:
        """Span nodes and whole-file digests of shards of many sizes side by side, in memory."""
        shards = {name: (self.folder / name).read_bytes() for name in self.case["digests"]}
        ranges = [_native.Range(name, data, 0, len(data)) for name, data in shards.items()]
        for kernel in [*(kernel.name for kernel in self.supported), None]:
            found = _native.hash_ranges(ranges, file_digests=True, threads=2, kernel=kernel)
            for one, result in zip(ranges, found, strict=True):
                expected = self.case["digests"][one.path]
                root = merkle.shard_root(result.span_nodes).hex()
                self.check(root == expected["root"], kernel, one.path, root)
                digest = (result.file_digest or b"").hex()
                self.check(digest == expected["sha256"], kernel, one.path, digest)

    def readers(self) -> None:
        """The checkpoint's root from disk, by every kernel and reader."""
        for kernel in [*(kernel.name for kernel in self.supported), None]:
            for reader in _native.READERS:
                options = pyhash.Options(threads=2, reader=reader, kernel=kernel)
                root = pyhash.hash_checkpoint(self.folder, options=options).root.hex()
                self.check(root == self.case["root"], kernel, reader, root)

    def folding(self) -> None:
        """Two nodes have one parent, by every kernel."""
        nodes, parent = (bytes.fromhex(self.case[key]) for key in ("nodes", "parent"))
        for kernel in self.supported:
            self.check(_native.fold_nodes(nodes, kernel=kernel.name) == parent, kernel.name)

    def refusals(self) -> None:
        """Every way of forcing a kernel that this processor cannot run is refused, and survived."""
        names = {kernel.name for kernel in self.supported}
        for name in [kernel.name for kernel in _native.kernels() if kernel.name not in names]:
            self.refused(lambda name=name: _native.hash_messages(bytes(64), 64, kernel=name))
            self.refused(lambda name=name: _native.fold_nodes(bytes(64), kernel=name))
            options = pyhash.Options(kernel=name)
            self.refused(lambda options=options: pyhash.hash_buffer(b"abc", options=options))
            self.refused(
                lambda options=options: pyhash.hash_checkpoint(self.folder, options=options)
            )

    def refused(self, call: Callable[[], object]) -> None:
        """It must be an EngineError."""
        try:
            call()
        except errors.EngineError:
            self.checks += 1
        else:
            self.check(False, "not refused")


def main(path: str) -> None:
    """Make all checks."""
    guest = Guest(json.loads(Path(path).read_text(encoding="utf-8")))
    guest.kernels()
    guest.nist()
    guest.ranges()
    guest.readers()
    guest.folding()
    guest.refusals()
    print(guest.checks)


if __name__ == "__main__":
    main(sys.argv[1])
