# SPDX-License-Identifier: Apache-2.0
"""Run every benchmark, one after the other; see README.md for what each number means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("bench_startup.py", "bench_kernels.py", "bench_reading.py", "bench_checkpoint.py")


def main() -> None:
    """Run them all; the first failure ends it."""
    for script in SCRIPTS:
        print(f"== {script}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(script)], check=True)


if __name__ == "__main__":
    main()
