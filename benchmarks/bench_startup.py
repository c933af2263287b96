# SPDX-License-Identifier: Apache-2.0
"""What a start costs before the first byte: `pyhash --help` against `python -c pass`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from _measure import environment, interleave, spread, timed, times_faster, write_result

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "pyhash --help": [sys.executable, "-m", "pyhash", "--help"],
    "import pyhash": [sys.executable, "-c", "import pyhash"],
}


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    variants = {
        name: timed(lambda words=words: subprocess.run(words, check=True, capture_output=True))
        for name, words in COMMANDS.items()
    }
    samples = interleave(variants, rounds)
    # A start is as long as the longest of many when the machine is shared: compare medians.
    slower = {name: times_faster(samples, "python -c pass", name) for name in COMMANDS}
    for name, value in slower.items():
        print(f"  {name}: {value['median']:.2f}x of python -c pass")
    write_result(
        "startup",
        {
            "environment": environment(),
            "rounds": rounds,
            "seconds": {name: spread(values) for name, values in samples.items()},
            "times_slower_than_python": slower,
        },
    )


if __name__ == "__main__":
    main()
