# SPDX-License-Identifier: Apache-2.0
"""Sealing for real: a kernel with fs-verity in a virtual machine (`make verity`).

    run.py [--result FILE]     FILE: where the measured times go

What is checked is in in_guest.py. Prints one line for each check; fails when one failed, when one
did not report, and when the machine could not be had at all.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import _machine
from _machine import BUILD, ROOT, Unavailable

TIMEOUT_SECONDS = 540
GUEST = Path(__file__).resolve().parent / "in_guest.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--result", type=Path)
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        printed, accelerator = run_guest()
    except Unavailable as error:
        print(f"NOT CHECKED, and that is a failure: {error}")
        return 1
    reports = [json.loads(line) for line in printed.splitlines() if line.startswith('{"')]
    for one in reports:
        print(f"{'ok    ' if one['passed'] else 'FAILED'}  {one['check']}: {one['text']}")
    seconds = time.monotonic() - began
    expected = checks()
    passed = [one["check"] for one in reports if one["passed"]]
    if passed != expected or "exit code 0" not in printed.splitlines():
        missing = ", ".join(name for name in expected if name not in passed) or "no check"
        print(f"FAILED or not reported: {missing}\n{printed[-4000:]} ({accelerator})")
        return 1
    print(f"{len(passed)} checks passed under fs-verity, on {accelerator}, in {seconds:.0f} s")
    if arguments.result:
        measured = next(one["measured"] for one in reports if one.get("measured"))
        measured["accelerator"] = accelerator
        arguments.result.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


def run_guest() -> tuple[str, str]:
    """Make the machine and run the checks in it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    fsverity = _machine.find_program("fsverity", ("fsverity", "libfsverity0"))
    kernel = _machine.find_kernel()
    disks = [BUILD / "sealed.img", BUILD / "plain.img"]
    _machine.make_disk(disks[0], 768, "-O", "verity")
    _machine.make_disk(disks[1], 16)
    mount = _machine.free_place(ROOT, Path(sys.prefix), Path(sys.base_prefix), fsverity)
    words = [sys.executable, "-I", str(GUEST), mount, str(fsverity)]
    libraries = ":".join({str(one.parent) for one in BUILD.rglob("libfsverity.so*")})
    _machine.make_start(kernel, BUILD / "start.cpio", shlex.join(words), mount, libraries)
    return _machine.start(kernel, BUILD / "start.cpio", disks, TIMEOUT_SECONDS)


def checks() -> list[str]:
    """Names of the checks that the guest must report, in order."""
    from in_guest import CHECKS

    return [name for name, _ in CHECKS]


if __name__ == "__main__":
    sys.exit(main())
