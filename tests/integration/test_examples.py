# SPDX-License-Identifier: Apache-2.0
"""Every example is run, on a good checkpoint and on a damaged one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit._loadable import SPAN, Loadable, make_loadable
from tests.unit._signed import flip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def own(tmp_path: Path) -> Loadable:
    return make_loadable(tmp_path)


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_every_example_is_named_in_the_list_and_tested_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    here = Path(__file__).read_text()
    for path in EXAMPLES.iterdir():
        if path.name != "README.md" and not path.name.startswith("__"):
            assert f"`{path.name}`" in listed and f'"{path.name}"' in here


def test_load_tensors(own: Loadable) -> None:
    done = run("load_tensors.py", own.root, own.key)
    assert done.returncode == 0, done.stderr
    assert "tall F32 [4096, 384]" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("loaded: ")
    flip(own.root / "a.safetensors", 2 * SPAN)
    done = run("load_tensors.py", own.root, own.key)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: a.safetensors: other bytes than the signed ones in [")
    (own.root / "model.sig").write_text("{")
    done = run("load_tensors.py", own.root, own.key)
    assert (done.returncode, done.stdout) == (3, "")


def test_one_rank(own: Loadable) -> None:
    path = own.root / "a.safetensors"
    done = run("one_rank.py", path, own.key, 1, 4)
    assert done.returncode == 0, done.stderr
    assert "wide [16, 16384]" in done.stdout.splitlines()
    flip(path, 2 * SPAN)
    done = run("one_rank.py", path, own.key, 1, 4)
    assert done.returncode != 0 and "DigestMismatchError" in done.stderr


def test_service() -> None:
    unit = EXAMPLES / "pyhash-model.service"
    assert " pyhash run " in unit.read_text()
    if shutil.which("systemd-analyze") is None:
        pytest.skip("EXAMPLE NOT CHECKED: systemd-analyze is not installed")
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "pyhash-model.service" not in done.stderr, done.stderr
