# SPDX-License-Identifier: Apache-2.0
"""Everything that is said of the engine's speed, in about ten minutes of a quiet machine.

Needs 16 GiB of disk, 12 GiB of memory, fio, b3sum, gcc and clang (Debian's), and root for nothing.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "bench_kernels.py --rounds 5",
    "bench_shapes.py --rounds 5",
    "bench_reading.py --rounds 3",
    "bench_checkpoint.py --shards 64 --rounds 3"
    " --skip 'sha256sum,openssl,pyhash sign,model_signing sign,no SHA'",
    "bench_whole_files.py --rounds 3",
    "bench_checkpoint.py --shards 8 --rounds 3 --skip sha256sum",
)


def main() -> None:
    """Run them all; the first failure ends it."""
    for line in SCRIPTS:
        print(f"== {line}", flush=True)
        script, *words = shlex.split(line)
        subprocess.run([sys.executable, Path(__file__).with_name(script), *words], check=True)


if __name__ == "__main__":
    main()
