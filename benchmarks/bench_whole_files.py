# SPDX-License-Identifier: Apache-2.0
"""Plain SHA-256 of whole files, as in OMS bundles, Hugging Face etags and OCI digests.

`pyhash hash --algorithm sha256` against sha256sum and openssl under xargs on all cores, page cache
warm, whole processes; openssl also told to do without the processor's SHA extensions. The lists
that come out must be equal. With many files the lanes of the vector kernels are full; one file
alone is as fast as one stream can be.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _measure import environment, interleave, spread, table, times_faster, write_result

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.checkpoints import make_hf_checkpoint  # noqa: E402

WITHOUT_SHA = {"OPENSSL_ia32cap": ":~0x20000000"}  # CPUID leaf 7 EBX bit 29: the SHA extensions
DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")


def variant(
    words: list[str], extra: dict[str, str], digests: set[frozenset[bytes]]
) -> Callable[[], float]:
    """Time one process; remember which digests it printed."""

    def run() -> float:
        start = time.perf_counter()
        output = subprocess.run(
            words, check=True, capture_output=True, env={**os.environ, **extra}
        ).stdout
        seconds = time.perf_counter() - start
        digests.add(frozenset(DIGEST.findall(output)))
        return seconds

    return run


def measure(paths: list[Path], rounds: int) -> dict[str, object]:
    """Ours and the peers over the same files."""
    cores = len(os.sched_getaffinity(0))
    files = " ".join(f"'{path}'" for path in paths)
    each = f"printf '%s\\n' {files} | xargs -P{cores} -n1"
    digests: set[frozenset[bytes]] = set()
    ours = [sys.executable, "-m", "pyhash", "hash", "--algorithm", "sha256", *map(str, paths)]
    variants: dict[str, Callable[[], float]] = {}
    for name, words, extra in (
        ("pyhash hash", ours, {}),
        (f"sha256sum, xargs -P{cores}", ["sh", "-c", f"{each} sha256sum"], {}),
        (f"openssl dgst, xargs -P{cores}", ["sh", "-c", f"{each} openssl dgst -sha256"], {}),
        (
            f"openssl dgst, xargs -P{cores}, no SHA extensions",
            ["sh", "-c", f"{each} openssl dgst -sha256"],
            WITHOUT_SHA,
        ),
    ):
        variants[name] = variant(words, extra, digests)
    print(f"{len(paths)} files")
    samples = interleave(variants, rounds)
    if len(digests) != 1:
        sys.exit("the tools do not agree about the digests")
    size = sum(path.stat().st_size for path in paths)
    table(samples, size)
    return {
        "files": len(paths),
        "bytes": size,
        "seconds": {name: spread(values) for name, values in samples.items()},
        "times_faster": {
            name: times_faster(samples, "pyhash hash", name) for name in list(samples)[1:]
        },
    }


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "benchmark")
    options = parser.parse_args()
    model = options.directory / f"{options.gib:g}gib-{options.files}" / "model"
    if not model.exists():
        size = int(options.gib * 2**30 / options.files)
        make_hf_checkpoint(model, shards=options.files, shard_bytes=size)
    paths = sorted(model.glob("*.safetensors"))
    write_result(
        "whole-files",
        {
            "environment": environment(model),
            "cache": "warm: every variant ran once before the first round",
            "rounds": options.rounds,
            "many": measure(paths, options.rounds),
            "eight": measure(paths[:8], options.rounds),
            "one": measure(paths[:1], options.rounds),
        },
    )


if __name__ == "__main__":
    main()
