# SPDX-License-Identifier: Apache-2.0
"""The catalogue in README.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CATALOGUE = TESTS / "attacks" / "README.md"
NAMED = re.compile(r"`([a-z_/]+\.py)(?:::([a-z_0-9]+))?`")


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_is_named_exists() -> None:
    rows = [line for line in CATALOGUE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    missing = []
    for row in rows[1:]:
        named = NAMED.findall(row)
        assert named, row
        for file, function in named:
            path = TESTS / file
            if not path.is_file() or (function and function not in functions_of(path)):
                missing.append(f"{file}::{function}")
    assert missing == []


def test_every_line_of_the_catalogue_is_there() -> None:
    numbers = re.findall(r"^\| (\d+) \|", CATALOGUE.read_text("utf-8"), re.MULTILINE)
    assert sorted(set(map(int, numbers))) == list(range(1, 12))


def test_the_threat_model_names_files_that_exist() -> None:
    text = (TESTS.parent / "docs" / "threat-model.md").read_text("utf-8")
    named = set(
        re.findall(r"`((?:attacks|unit|integration|native|fuzz|distribution)/[a-z_.]*)`", text)
    )
    assert len(named) > 10
    assert [one for one in sorted(named) if not (TESTS / one).exists()] == []
