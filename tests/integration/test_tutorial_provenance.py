# SPDX-License-Identifier: Apache-2.0
"""The tutorial is run as it stands: train, fine-tune, quantise, sign, verify, serve, and ask."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial-provenance.md"
REFUSED = "  # refused"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.M | re.S)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """``python`` and ``pyhash`` are those of this test run."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in (("python", ""), ("pyhash", "-m pyhash ")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n')
        script.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def test_tutorial(tmp_path: Path, environment: dict[str, str]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (program,) = blocks("python")
    (home / "tiny.py").write_text(program)
    outputs = {}
    for line in "".join(blocks("console")).splitlines():
        command = line.removeprefix("$ ")
        done = subprocess.run(
            ["sh", "-c", command.removesuffix(REFUSED)],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        expected = 1 if command.endswith(REFUSED) else 0
        assert done.returncode == expected, (command, done.stdout, done.stderr)
        outputs[command] = done.stdout + done.stderr

    said = {key: value for key, value in outputs.items() if "pyhash" in key}
    served = next(text for key, text in said.items() if " serve " in key)
    assert "answer: " in served
    lineage = next(text for key, text in said.items() if key.startswith("pyhash provenance verify"))
    assert "quantize of tuned-q8 <- fine-tune of tuned <- train of base" in lineage
    asked = next(text for key, text in said.items() if "who-had-access" in key)
    assert [line.split()[2:4] for line in asked.splitlines()] == [
        ["sign", "done"],
        ["run", "begun"],
    ]
    assert "nobody states how" in next(text for key, text in said.items() if REFUSED in key)

    shown = next(text for key, text in said.items() if "provenance show" in key)
    assert "numpy" in (home / "tuned-q8" / "model.provenance.jsonl").read_text() or shown
    bom = json.loads((home / "bom.json").read_text("utf-8"))
    assert bom["specVersion"] == "1.7"
    assert (home / "manifest.yaml").read_text().startswith("model_manifest:\n")
    page = (home / "lineage.html").read_text("utf-8")
    assert "<svg" in page
    assert "http" not in page
