# SPDX-License-Identifier: Apache-2.0
"""Appends to a copy of a log once for each line of code that an append runs, and kills the process
with SIGKILL at that line. Prints, for each kill, every checkpoint that was found signed.

    python _log_killer.py TEMPLATE WORK KEY COUNT
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pyhash import atomic
from pyhash.log import lock, publish, writer
from pyhash.log.note_keys import LOG, load_signer

# Every module whose code writes, renames or removes during an append.
WATCHED = {str(one.__file__) for one in (atomic, lock, publish, writer)}


# What is killed loses nothing that the system has, synced or not, and waiting for the drive would
# make this test take minutes.
os.fsync = os.fdatasync = lambda descriptor: None  # type: ignore[assignment]


def append(directory: Path, key: str, entries: list[bytes]) -> None:
    writer.append_entries(directory, load_signer(key, kind=LOG), entries)


def killed_at(step: int, directory: Path, key: str, entries: list[bytes]) -> bool:
    """Run an append in a fork that dies at its step-th line; tell whether it came to that."""
    child = os.fork()
    if child == 0:
        left = [step]

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            if frame.f_code.co_filename not in WATCHED:
                return None
            if event == "line":
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        append(directory, key, entries)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def signed(directory: Path) -> list[str]:
    """Every file of the log that looks like a note."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if b"\n\n\xe2\x80\x94 " in data:
                found.append(data.decode())
    return found


def main() -> None:
    template, work, key, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    entries = [b"of the killed process %d" % number for number in range(int(count))]
    step = 0
    while True:
        step += 1
        directory = work / str(step)
        shutil.copytree(template, directory)
        was_killed = killed_at(step, directory, key, entries)
        before = signed(directory)
        append(directory, key, [b"of its successor"])
        print(json.dumps({"killed": was_killed, "directory": str(directory), "signed": before}))
        if not was_killed:
            break


main()
