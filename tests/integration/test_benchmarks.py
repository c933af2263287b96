# SPDX-License-Identifier: Apache-2.0
"""The suites and scripts of ``benchmarks/`` run, on tiny sizes: each checks its own output, so that
one that fails here would have measured something wrong.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pyhash import _native
from pyhash.cli import bench

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
SUITES = {"kernels", "tree", "reading", "sign", "verify", "whole_file"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("report") / "report.json"
    words = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", BENCHMARKS / "suites"),
        *("-o", "addopts=--strict-markers", "--size-mib", "2", "--files", "2", "--rounds", "1"),
        f"--benchmark-json={path}",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def script(code: str) -> str:
    """Run Python in the folder of the scripts; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BENCHMARKS,
        env={**os.environ, "PYTHONPATH": f"{BENCHMARKS}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_suite_runs_and_says_what_its_numbers_stand_for(
    report: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    code = (
        f"import json, run_suites as r; print(json.dumps(r.rows(json.load(open({str(path)!r})))))"
    )
    rows = json.loads(script(code))
    assert {name.partition(":")[0] for name in rows} == SUITES
    for row in rows.values():
        assert row["conditions"]["bytes"] > 0
        assert "cache" in row["conditions"]
        rate = row["bytes_per_second"]
        assert 0 < rate["min"] <= rate["median"] <= rate["max"]
    for kernel in _native.kernels():
        assert any(kernel.name in name for name in rows) == kernel.supported


def test_every_committed_result_has_its_drawing() -> None:
    for path in (BENCHMARKS / "results").glob("*.json"):
        drawn = script(
            f"import json, plot_results; print(plot_results.draw(json.load(open({str(path)!r}))))"
        )
        assert path.with_suffix(".svg").read_text(encoding="utf-8") == drawn.removesuffix("\n"), (
            f"{path.name}: run python benchmarks/plot_results.py"
        )
        assert ElementTree.fromstring(drawn).tag.endswith("}svg")
        assert "https:" not in drawn


def test_the_runner_knows_every_script() -> None:
    found = json.loads(script("import json, run; print(json.dumps([*run.SCRIPTS]))"))
    names = {path.stem.removeprefix("bench_") for path in BENCHMARKS.glob("bench_*.py")}
    assert set(found) == {*names, "suites"}
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "run.py", "nonsense"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "suites" in done.stderr


def test_readme_names_every_script() -> None:
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    for path in (*BENCHMARKS.glob("bench_*.py"), *BENCHMARKS.glob("suites/test_*.py")):
        assert path.name in text, f"benchmarks/README.md says nothing of {path.name}"


def test_the_excerpt_of_the_document_is_of_its_result() -> None:
    text = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    link = re.search(r"\((\.\./benchmarks/results/bench-[\w-]+\.json)\)", text)
    assert block
    assert link
    result = json.loads((ROOT / "docs" / link[1]).read_text(encoding="utf-8"))
    shown = [re.sub(r" +", " ", line) for line in bench._lines(result)]
    lines = [re.sub(r" +", " ", line) for line in block[1].splitlines() if line != "  …"]
    assert len(lines) >= 10
    assert [line for line in lines if line not in shown] == []
    assert lines[:6] == shown[:6]
