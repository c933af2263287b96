# SPDX-License-Identifier: Apache-2.0
"""The README tells the truth: its session runs and says what it says, its links lead somewhere, and
its numbers are those of the committed result files.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkpoints import copy_real_checkpoint

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FLIP = "# one bit of 90 MB flips"
DAMAGED_BYTE = 50_000_000


def session() -> list[tuple[str, list[str]]]:
    """The first console block: commands, each with the lines that it is shown to print."""
    block = re.search(r"```console\n(.*?)```", README, re.DOTALL)
    assert block
    commands: list[tuple[str, list[str]]] = []
    for line in block.group(1).splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line:
            commands[-1][1].append(line)
    return commands


def without_times(line: str) -> str:
    return re.sub(r"\d+\.\d s\b", "T s", line).rstrip()


def test_session(tmp_path: Path) -> None:
    copy_real_checkpoint(tmp_path / "model")
    commands = session()
    assert sum(command.startswith("pyhash ") for command, _ in commands) >= 4
    code = 0
    for command, shown in commands:
        if command == FLIP:
            with (tmp_path / "model" / "model.safetensors").open("r+b") as file:
                file.seek(DAMAGED_BYTE)
                byte = file.read(1)[0]
                file.seek(DAMAGED_BYTE)
                file.write(bytes([byte ^ 1]))
            continue
        if command == "echo $?":
            assert shown == [str(code)]
            continue
        words = command.replace("pyhash ", f"{sys.executable} -m pyhash ", 1).split()
        result = subprocess.run(
            words,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        code = result.returncode
        printed = iter(without_times(line) for line in result.stdout.splitlines())
        for line in shown:
            assert without_times(line) in printed, f"{command}: {line!r} is not in {result.stdout}"
    assert code == 1


def test_python_example(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block
    copy_real_checkpoint(tmp_path / "model")
    keygen = [sys.executable, "-m", "pyhash", "keygen", "publisher", "--quiet"]
    subprocess.run(keygen, cwd=tmp_path, check=True)
    result = subprocess.run(
        [sys.executable, "-c", block.group(1)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("content pyhash-v1:")


@pytest.mark.parametrize(
    "document", ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"]
)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("https://"):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def test_commands_that_it_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_calls_only_make() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert "make test" in commands
    assert all(command.startswith("make ") for command in commands)


def spreads(value: object) -> list[tuple[float, float, float]]:
    """Every (median, min, max) of a result file."""
    if not isinstance(value, dict):
        return []
    if set(value) == {"median", "min", "max"}:
        return [(value["median"], value["min"], value["max"])]
    return [one for item in value.values() for one in spreads(item)]


def test_numbers_are_those_of_the_result_files() -> None:
    rows = re.findall(r"\| ([\d.]+) \[([\d.]+) – ([\d.]+)\] \| \[\w+\]\(([^)]+)\)", README)
    assert len(rows) >= 6
    for *numbers, file in rows:
        result = json.loads((ROOT / file).read_text(encoding="utf-8"))
        found = [[f"{number:.2f}" for number in spread] for spread in spreads(result)]
        assert numbers in found, f"{numbers} is not in {file}"
