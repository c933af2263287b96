# SPDX-License-Identifier: Apache-2.0
"""Other tools on the same files, whole processes, beside ours: those that are installed.

Everything that is written (keys, bundles) lies in the sample's own directory, outside its model.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyhash.benchmark.sample import Sample
from pyhash.errors import CheckError

Words = tuple[str, ...]

PYHASH: Words = (sys.executable, "-m", "pyhash")
# name -> words before the files; one process for each processor, files shared out among them
DIGEST_TOOLS: dict[str, Words] = {
    "sha256sum": ("sha256sum", "--"),
    "openssl dgst": ("openssl", "dgst", "-sha256"),
    "b3sum": ("b3sum", "--"),  # threads of its own, and another digest: BLAKE3
}
ONE_PROCESS = ("b3sum",)
MODEL_SIGNING = "model_signing"


@dataclass(frozen=True, slots=True)
class Commands:
    """Processes that run side by side, each time it is called; returns bytes per second.

    Attributes:
        name: What they are called in results.
        commands: The words of each process.
        sample: What they read, all of it.
    """

    name: str
    commands: tuple[Words, ...]
    sample: Sample

    def __call__(self) -> float:
        """Run them.

        Raises:
            CheckError: One did not end with 0, which is part of its message.
            KeyboardInterrupt: Ctrl-C; the processes are ended.
        """
        began = time.perf_counter()
        _run_all(self.commands)
        return self.sample.size / (time.perf_counter() - began)


def _run_all(commands: Sequence[Words]) -> None:
    running: list[subprocess.Popen[bytes]] = []
    try:
        for words in commands:
            running.append(
                subprocess.Popen(  # noqa: S603 - words of our own, no shell
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for words, process in zip(commands, running, strict=True):
            if process.wait() != 0:
                raise CheckError(f"{' '.join(words[:3])}: ended with {process.returncode}")
    except OSError as error:
        raise CheckError(f"{error.filename}: {error.strerror}") from error
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()


def find_peers(
    sample: Sample, processors: int, note: Callable[[str], None]
) -> dict[str, list[Commands]]:
    """Return what can be compared: a name of the comparison -> commands, ours first.

    Args:
        sample: Files in a directory of our own.
        processors: Over how many processes digest tools share the files.
        note: Is told which peer is installed and does not work.

    Raises:
        CheckError: A command of ours failed.
    """
    found: dict[str, list[Commands]] = {}
    plain = [Commands("pyhash hash --algorithm sha256", (_ours(sample),), sample)]
    for name, words in DIGEST_TOOLS.items():
        if shutil.which(words[0]):
            parts = 1 if name in ONE_PROCESS else min(processors, len(sample.paths))
            shares = [sample.paths[first::parts] for first in range(parts)]
            label = name if parts == 1 else f"{name}, {parts} processes"
            plain.append(Commands(label, tuple((*words, *share) for share in shares), sample))
    found["digests of files"] = plain
    found["signed checkpoint"] = _signed(sample, note)
    return found


def _ours(sample: Sample) -> Words:
    return (*PYHASH, "hash", "--quiet", "--algorithm", "sha256", "--", *sample.paths)


def _signed(sample: Sample, note: Callable[[str], None]) -> list[Commands]:
    """``verify`` of both tools, each of its own bundle by the same key."""
    place = sample.directory or Path()
    model = str(place / "model")
    key, public = str(place / "bench.key"), str(place / "bench.pub")
    ours, tree, theirs = (str(place / name) for name in ("ours.sig", "ours.tree", "theirs.sig"))
    files = ("--signature", ours, "--tree", tree)
    _run_all([(*PYHASH, "keygen", "--quiet", str(place / "bench"))])
    _run_all([(*PYHASH, "sign", "--quiet", model, "--key", key, *files)])
    verify = (*PYHASH, "verify", "--quiet", model, "--key", public, *files)
    found = [Commands("pyhash verify", (verify,), sample)]
    program = shutil.which(MODEL_SIGNING)
    if program is None:
        return found
    sign = (program, "sign", "key", model, "--private_key", key, "--signature", theirs)
    check = (program, "verify", "key", model, "--public_key", public, "--signature", theirs)
    try:
        _run_all([sign])
    except CheckError as error:
        note(f"{MODEL_SIGNING} is installed and does not work: {error}")
        return found
    return [*found, Commands("model_signing verify key", (check,), sample)]
