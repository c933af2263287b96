# SPDX-License-Identifier: Apache-2.0
"""Files of the real SGLang, taken out of its wheel; nothing is installed.

Of them, the checker behind ``--model-checksum`` runs as it is. Where the wheel cannot be had every
call fails and says so: what was not tried against the real tool must not look as if it had been.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WANTED = "sglang==0.5.23"
HOME = REPOSITORY / ".venv-sglang" / WANTED.replace("==", "-")
CHECKER = "sglang/srt/utils/model_file_verifier.py"
LOADER = "sglang/srt/model_loader/loader.py"
LOAD_CONFIG = "sglang/srt/configs/load_config.py"
MEMBERS = (
    CHECKER,
    LOADER,
    LOAD_CONFIG,
    "sglang/srt/environ.py",
    "sglang/srt/plugins/__init__.py",
    "sglang/srt/plugins/hook_registry.py",
)
TIMEOUT_SECONDS = 240


class SglangMissing(RuntimeError):
    """The wheel could not be had."""


def sources() -> Path:
    """Return the directory in which MEMBERS lie; fetched once.

    Raises:
        SglangMissing: They could not be fetched.
    """
    if all((HOME / member).is_file() for member in MEMBERS):
        return HOME
    HOME.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME.parent) as folder:
        options = ("--quiet", "--no-deps", "-d", folder)
        done = subprocess.run(
            (sys.executable, "-m", "pip", "download", *options, WANTED),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise SglangMissing(f"{WANTED} cannot be had: {done.stderr.strip()[-300:]}")
        unpacked = Path(folder) / "unpacked"
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(unpacked, MEMBERS)
        shutil.rmtree(HOME, ignore_errors=True)
        unpacked.replace(HOME)
    return HOME


def checker() -> Path:
    """Return the module's file.

    Raises:
        SglangMissing: It could not be fetched.
    """
    return sources() / CHECKER


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
