# SPDX-License-Identifier: Apache-2.0
"""`pyhash verify --guarantee kernel` of 200 files, the whole command, against `python -c pass`.

A stand-in answers the one request for each file out of a table, so that no fs-verity is needed;
everything else is what a user runs. What a kernel with fs-verity takes is measured in a virtual
machine, by tests/sealed/run.py --result.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import environment, interleave, spread, timed, write_result

from pyhash.signing.ecdsa import generate_key, write_key_pair

FILES, FILE_BYTES = 200, 64 << 10
SEAL = """
import fcntl, json, sys
sys.path[:0] = [{tests!r}, {root!r}]
from tests.support.verity_kernel import VerityKernel
import pyhash
kernel = VerityKernel()
fcntl.ioctl = kernel.ioctl
pyhash.sign(sys.argv[1], sys.argv[2], seal=True)
table = {{str(inode): digest.hex() for (_, inode), (_, digest) in kernel.sealed.items()}}
json.dump(table, open(sys.argv[3], "w"))
"""
# Answers FS_IOC_MEASURE_VERITY: algorithm 1, 32 bytes, the digest.
ANSWERED = """
import fcntl, json, os, sys
table = json.load(open(sys.argv.pop(1)))
def ioctl(descriptor, request, argument):
    digest = table[str(os.fstat(descriptor).st_ino)]
    argument[:36] = b"\\x01\\x00\\x20\\x00" + bytes.fromhex(digest)
fcntl.ioctl = ioctl
from pyhash.__main__ import main
sys.exit(main())
"""


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        model, key, public = home / "model", home / "k.key", home / "k.pub"
        table = str(home / "table.json")
        write_key_pair(generate_key(), key, public)
        model.mkdir()
        for number in range(FILES):
            (model / f"part-{number:03}.bin").write_bytes(os.urandom(FILE_BYTES))
        seal = SEAL.format(root=str(root), tests=str(root / "tests"))
        subprocess.run([sys.executable, "-c", seal, model, key, table], check=True)
        verify = ("verify", str(model), "--key", str(public), "--guarantee", "kernel")
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "pyhash verify --guarantee kernel": [sys.executable, "-c", ANSWERED, table, *verify],
        }
        check(commands["pyhash verify --guarantee kernel"])
        samples = interleave(
            {
                name: timed(
                    lambda words=words: subprocess.run(words, check=True, capture_output=True)
                )
                for name, words in commands.items()
            },
            rounds,
        )
    empty, whole = samples.values()
    beyond = spread([b - a for a, b in zip(empty, whole, strict=True)])
    print(f"  {FILES} files: {beyond['median'] * 1000:.0f} ms beyond python -c pass")
    write_result(
        "seal",
        {
            "environment": environment(),
            "rounds": rounds,
            "files": FILES,
            "fs_verity": "answered by a stand-in out of a table",
            "seconds": {name: spread(values) for name, values in samples.items()},
            "seconds_beyond_interpreter_start": {"pyhash verify --guarantee kernel": beyond},
        },
    )


def check(command: list[str]) -> None:
    """Raise SystemExit unless it verifies, hashes nothing, and says so."""
    done = subprocess.run(
        [*command, "--format", "json"], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    if (found["guarantee"], found["bytes"], found["files"]) != ("kernel", 0, FILES):
        raise SystemExit(f"not what was to be measured: {done.stdout}")


if __name__ == "__main__":
    main()
