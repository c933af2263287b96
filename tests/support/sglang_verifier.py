# SPDX-License-Identifier: Apache-2.0
"""The real checker behind SGLang's ``--model-checksum``, taken out of its wheel; nothing installed.

Where it cannot be had every call fails and says so: what was not tried against the real tool must
not look as if it had been.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = REPOSITORY / ".venv-sglang"
WANTED = "sglang==0.5.23"
MEMBER = "sglang/srt/utils/model_file_verifier.py"
TIMEOUT_SECONDS = 240


class SglangMissing(RuntimeError):
    """The wheel could not be had."""


def checker() -> Path:
    """Return the module's file; fetched once.

    Raises:
        SglangMissing: It could not be fetched.
    """
    found = HOME / f"{WANTED.replace('==', '-')}-model_file_verifier.py"
    if found.is_file():
        return found
    with tempfile.TemporaryDirectory() as folder:
        line = (
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "-d",
            folder,
            WANTED,
        )
        done = subprocess.run(
            line, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise SglangMissing(f"{WANTED} cannot be had: {done.stderr.strip()[-300:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            data = wheel.read(MEMBER)
    HOME.mkdir(exist_ok=True)
    part = found.with_suffix(".part")
    part.write_bytes(data)
    part.replace(found)
    return found


def run_checker(verb: str, model: Path, checksums: Path) -> subprocess.CompletedProcess[str]:
    """Run ``generate`` or ``verify`` to its end.

    Raises:
        SglangMissing: It could not be fetched.
    """
    return subprocess.run(
        [
            *(sys.executable, str(checker()), verb),
            *("--model-path", str(model), "--model-checksum", str(checksums)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
