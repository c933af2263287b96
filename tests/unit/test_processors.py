# SPDX-License-Identifier: Apache-2.0
"""The number of threads follows the cpuset and the cgroup's quota."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyhash.hashing import Options
from pyhash.processors import usable_processors


def cgroup(tmp_path: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    root = tmp_path / "cgroup"
    root.mkdir()
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root, tmp_path / "own"


@pytest.fixture(autouse=True)
def _eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 100000", "a/cpu.max": "300000 100000"}, 1),
        ("0::/not/here\n", {"cpu.max": "200000 100000\n"}, 2),
        (
            "4:cpu,cpuacct:/x\n3:memory:/x\n",
            {
                "cpu,cpuacct/x/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            "4:cpu:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
        ("0::/\n", {"cpu.max": "1 0"}, 8),
        ("nonsense\n", {}, 8),
        ("", {}, 8),
    ],
)
def test_quota(tmp_path: Path, own: str, files: dict[str, str], expected: int) -> None:
    root, mine = cgroup(tmp_path, own, files)
    assert usable_processors(root, mine) == expected


def test_no_proc(tmp_path: Path) -> None:
    assert usable_processors(tmp_path, tmp_path / "missing") == 8


def test_default_threads_follow_a_real_cpuset() -> None:
    code = "import pyhash; print(pyhash.Options().thread_count())"
    result = subprocess.run(
        ["taskset", "-c", "0", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "1"


def test_threads_asked_for_are_taken() -> None:
    assert Options(threads=5).thread_count() == 5
