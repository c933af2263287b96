# SPDX-License-Identifier: Apache-2.0
"""Runs the pyhash command as a real process, or in this one, and makes signed checkpoints with it.

Judges nothing: what an exit code or an output should be is for the tests to say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import checkpoints

COMMAND = [sys.executable, "-m", "pyhash"]
LIMIT_SECONDS = 120
SHARD = "model-00002-of-00002.safetensors"  # of ``signed_checkpoint``
SHARD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed checkpoint.

    Attributes:
        directory: Where everything lies; the paths below are relative to it.
        model: The checkpoint.
        private_key, public_key: A pair made by keygen.
    """

    directory: Path
    model: str = "model"
    private_key: str = "publisher.key"
    public_key: str = "publisher.pub"

    @property
    def shard(self) -> Path:
        """A shard of the checkpoint."""
        return self.directory / self.model / SHARD


def pyhash(
    *arguments: str | bytes | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    **how: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command line in a process of its own, nothing on its standard input.

    Args:
        arguments: Without the name of the program.
        cwd: Where to run it.
        env: Added to this process's environment.
        how: For ``subprocess.run``; standard output and error are captured unless it says so.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=LIMIT_SECONDS,
        check=False,
        **{**streams, **how},
    )


def answer(process: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """Return the one JSON object that a process wrote to its standard output."""
    (line,) = process.stdout.decode("ascii").splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def signed_checkpoint(directory: Path) -> Signed:
    """Make a small sharded checkpoint and a key pair, and sign the one with the other."""
    signed = Signed(directory)
    checkpoints.make_hf_checkpoint(directory / signed.model, shards=2, shard_bytes=SHARD_BYTES)
    for arguments in (("keygen", "publisher"), ("sign", "model", "--key", "publisher.key")):
        process = pyhash(*arguments, cwd=directory)
        assert process.returncode == 0, process.stderr
    return signed


def flip_bit(path: Path, offset: int) -> None:
    """Change the lowest bit of one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
