# SPDX-License-Identifier: Apache-2.0
"""The name of the closure rules: another one for every change to what decides, none without it."""

from __future__ import annotations

import ast
import hashlib
import shutil
import sys
from pathlib import Path

import pytest

import pyhash
from pyhash.closure_rules import SOURCES, rules_name

PACKAGE = Path(pyhash.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What decides, somewhere else."""
    for name in SOURCES:
        source = PACKAGE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def files_of(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*.py"))


def test_a_digest_over_sources_and_python(copy: Path) -> None:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(files_of(copy), key=lambda one: one.relative_to(copy).as_posix()):
        source = path.read_bytes()
        digest.update(f"{path.relative_to(copy).as_posix()}\0{len(source)}\0".encode() + source)
    assert rules_name(str(copy)) == rules_name() == digest.hexdigest()


def test_every_change_has_another_name(copy: Path) -> None:
    names = {rules_name(str(copy))}
    for path in files_of(copy):
        path.write_bytes(path.read_bytes() + b"\n")
        names.add(rules_name(str(copy)))
    (copy / "formats" / "other.py").write_bytes(b"")
    names.add(rules_name(str(copy)))
    assert len(names) == len(files_of(copy)) + 1
    assert None not in names


def test_without_sources_nothing_is_known(copy: Path) -> None:
    (copy / "closure.py").unlink()
    assert rules_name(str(copy)) is None


def test_whatever_closure_imports_is_among_them() -> None:
    """But for exceptions, and how classes are made, which decide nothing."""
    todo, seen = ["closure.py"], set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.ImportFrom) and node.module and node.module[:6] == "pyhash":
                modules = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
            for module in modules:
                place = module.removeprefix("pyhash").strip(".").replace(".", "/")
                for found in (f"{place}.py", f"{place}/__init__.py"):
                    if place and (PACKAGE / found).is_file() and found not in seen:
                        todo.append(found)
    tops = {name.split("/", maxsplit=1)[0] for name in seen}
    assert tops - set(SOURCES) <= {"errors.py", "frozen.py"}
