# SPDX-License-Identifier: Apache-2.0
"""Run every benchmark, or those named, one after the other, then draw the results.

    python benchmarks/run.py                    all
    python benchmarks/run.py kernels reading    these two

See README.md for what each number means.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))} | {
    "suites": HERE / "run_suites.py"
}


def main() -> None:
    """Run them; the first failure ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SCRIPTS, []], default=[])
    for name in parser.parse_args().names or SCRIPTS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, SCRIPTS[name]], check=True)
    subprocess.run([sys.executable, HERE / "plot_results.py"], check=True)


if __name__ == "__main__":
    main()
