# SPDX-License-Identifier: Apache-2.0
"""Run the pytest-benchmark suites, and write what they measured as one result file.

Suites compare a thing with itself over time: within one suite nothing takes turns, so ratios
between rows are for orientation. For ratios see the bench_*.py scripts, which interleave.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _measure import environment, write_result

ROOT = Path(__file__).resolve().parents[1]
SUITES = Path(__file__).parent / "suites"


def run_pytest(report: Path, arguments: list[str]) -> None:
    """Run the suites; ends this process where one fails."""
    words = [sys.executable, "-m", "pytest", str(SUITES), "-o", "addopts=-ra --strict-markers"]
    more = [f"--benchmark-json={report}", "--benchmark-columns=min,median,max,rounds", *arguments]
    code = subprocess.run([*words, *more], cwd=ROOT, check=False).returncode
    if code:
        sys.exit(code)


def rows(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a report: each benchmark's conditions, seconds and bytes per second."""
    found = {}
    for one in report["benchmarks"]:
        stats, info = one["stats"], one["extra_info"]
        suite = Path(one["fullname"].partition("::")[0]).stem.removeprefix("test_")
        found[f"{suite}: {one['name'].removeprefix('test_')}"] = {
            "conditions": info,
            "rounds": stats["rounds"],
            "seconds": {key: stats[key] for key in ("median", "min", "max")},
            "bytes_per_second": {
                "median": info["bytes"] / stats["median"],
                "min": info["bytes"] / stats["max"],
                "max": info["bytes"] / stats["min"],
            },
        }
    return found


def main() -> None:
    """Run, and write the result file unless told where the raw report goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        run_pytest(report, [f"--size-mib={options.size_mib}", f"--rounds={options.rounds}"])
        measured = rows(json.loads(report.read_text(encoding="utf-8")))
    write_result("suites", {"environment": environment(ROOT), "rows": measured})


if __name__ == "__main__":
    main()
