# SPDX-License-Identifier: Apache-2.0
"""The fs-verity digest of a few files, in lanes, beside Debian's ``fsverity digest``.

    python benchmarks/bench_verity.py [--directory DIR] [--mib 512] [--rounds 5]

The peer runs under ``xargs -P2``, once as it is and once with the SHA instructions of the processor
masked, as on processors that have none. Both sides' digests are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from _measure import environment, interleave, spread, table, timed, times_faster, write_result

from pyhash.verity import hash_verity

FILES, BLOCK = 4, 1 << 20
GOAL = 7.0
NO_SHA = {"OPENSSL_ia32cap": ":~0x20000000"}


def peer(directory: Path, masked: bool) -> str:
    """What ``fsverity digest`` prints for every file."""
    names = "\0".join(sorted(map(str, directory.glob("*.bin"))))
    done = subprocess.run(
        ["xargs", "-0", "-n1", "-P2", "fsverity", "digest", "--compact"],
        input=names,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(NO_SHA if masked else {})},
    )
    return done.stdout


def ours(directory: Path) -> list[str]:
    """Our digests of the same files."""
    return [hash_verity(path).hex() for path in sorted(directory.glob("*.bin"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="pyhash-verity-", dir=options.directory))
    try:
        for number in range(FILES):
            with (home / f"{number}.bin").open("wb") as file:
                for _ in range(options.mib // FILES):
                    file.write(os.urandom(BLOCK))
        if sorted(ours(home)) != sorted(peer(home, masked=False).split()):
            raise SystemExit("the digests differ; nothing was measured")
        names = {"ours": "pyhash", "as": "fsverity, xargs -P2", "no": "fsverity, no SHA-NI"}
        samples = interleave(
            {
                names["ours"]: timed(lambda: ours(home)),
                names["as"]: timed(lambda: peer(home, masked=False)),
                names["no"]: timed(lambda: peer(home, masked=True)),
            },
            options.rounds,
        )
        table(samples, options.mib << 20)
        ratios = {
            names[one]: times_faster(samples, names["ours"], names[one]) for one in ("as", "no")
        }
        for name, ratio in ratios.items():
            print(f"  times faster than {name}: {ratio['median']:.2f}, goal {GOAL}")
        write_result(
            "verity",
            {
                "environment": environment(home),
                "size_bytes": options.mib << 20,
                "cache": "warm: every byte in the page cache",
                "seconds": {name: spread(values) for name, values in samples.items()},
                "times_faster": ratios,
                "goal": GOAL,
                "goal_met": {name: ratio["median"] >= GOAL for name, ratio in ratios.items()},
            },
        )
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
