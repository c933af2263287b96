# SPDX-License-Identifier: Apache-2.0
"""Imports go strictly down, and each thing that only one layer may use is used there alone.

The table below is the project's structure. A new module stands in it or this test fails.
Read from the syntax trees: nothing is imported, and an import inside a function counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pyhash"

# Lowest first. A module imports from lower rows and from its own package, never sideways.
ROWS: tuple[tuple[str, ...], ...] = (
    # L0
    ("frozen", "limits", "on_use"),
    ("errors",),
    ("digest_list", "findings", "processors"),
    # L1
    ("_native", "strict_json"),
    ("merkle", "paths", "formats", "links"),
    # L2
    ("files", "locations", "atomic", "serial_hashing"),
    ("hashing", "credentials"),
    ("digests", "range_digests", "span_hashing", "verity"),
    ("sealing",),
    # L3
    ("manifest", "tree_file"),
    # L4
    ("signing",),
    ("log",),
    ("provenance",),
    ("access",),
    # L5
    ("policy",),
    # L6
    ("closure", "closure_rules", "damage", "signed_tree"),
    ("signed_bundle", "history"),
    ("opening",),
    ("receipts",),
    ("guarantees", "carrying"),
    ("sign_checkpoint", "verify_checkpoint", "loading"),
    ("cosign_checkpoint",),
    ("interchange",),
    # L7
    ("gate", "verification_summary", "difference", "s3_access", "releases", "safetensors"),
    ("fetch", "health"),
    ("pull", "push"),
    ("share", "store", "repair", "scrub"),
    ("load_format",),
    ("transformers", "vllm", "sglang"),
    # The one way in, which only re-exports, and what stands on it
    ("",),
    ("benchmark",),
    # L8
    ("cli",),
    ("__main__",),
)
ROW_OF = {name: number for number, row in enumerate(ROWS) for name in row}

# Build-time only: not part of what is imported.
BUILD_TIME = {"_native/build.py"}


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if relative(path) not in BUILD_TIME)


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def component(path: Path) -> str:
    """The row's word for a file: its top module or package, '' for pyhash itself."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), relative(path))


def imported(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports; of ``from x import y``, ``x.y``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def used(path: Path) -> set[str]:
    """Every dotted name that the code of a file uses, and every plain name."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found


def own_imports(path: Path) -> Iterator[str]:
    """The components of pyhash that a file imports."""
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "pyhash":
            # ``from pyhash import verify`` takes a name that pyhash itself exports.
            is_module = parts[1] in ROW_OF
            yield parts[1] if is_module else ""


def test_every_module_stands_in_the_table() -> None:
    found = {component(path) for path in sources()}
    assert found - set(ROW_OF) == set(), "say in ROWS how high these stand"
    assert set(ROW_OF) - found == set(), "these are gone"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_imports_go_down(path: Path) -> None:
    here = component(path)
    for there in own_imports(path):
        if there != here:
            assert ROW_OF[there] < ROW_OF[here], f"{relative(path)} imports {there or 'pyhash'}"


def allowed(path: Path, places: tuple[str, ...]) -> bool:
    return component(path) in places


@pytest.mark.parametrize(
    ("package", "places"),
    [
        ("cffi", ()),
        ("pyhash._native._engine", ("_native",)),
        ("cryptography", ("signing",)),
        ("pkcs11", ("signing",)),
        ("sigstore", ("signing",)),
        ("click", ("cli", "__main__")),
        ("rich", ("cli",)),
        ("argparse", ("cli",)),
        ("logging", ("cli",)),
        ("socket", ("store", "health")),
        ("ssl", ("fetch",)),
        ("http", ("health",)),
        ("urllib3", ("fetch", "push", "store")),
        ("tuf", ("fetch", "push")),
        ("securesystemslib", ("push",)),
        ("trustme", ("store",)),
        ("msgpack", ("store",)),
        ("socketserver", ("store",)),
        ("obstore", ("s3_access", "push", "store")),
        ("urllib.request", ()),
        ("urllib.error", ()),
        ("requests", ()),
        ("pickle", ()),
        ("marshal", ()),
    ],
)
def test_package_is_used_in_its_place(package: str, places: tuple[str, ...]) -> None:
    for path in sources():
        if not allowed(path, places):
            hits = [n for n in imported(path) if n == package or n.startswith(f"{package}.")]
            assert hits == [], relative(path)


@pytest.mark.parametrize(
    ("names", "places"),
    [
        ({"ffi", "lib"}, ("_native",)),
        ({"print", "input", "sys.exit", "os._exit", "exit", "quit"}, ("cli", "__main__")),
        ({"sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"}, ("cli", "__main__")),
        ({"os.environ", "os.environb", "os.getenv", "os.putenv"}, ("cli",)),
        ({"eval", "exec", "compile", "__import__"}, ()),
    ],
)
def test_name_is_used_in_its_place(names: set[str], places: tuple[str, ...]) -> None:
    for path in sources():
        if not allowed(path, places):
            assert used(path) & names == set(), relative(path)
            short = {name.rpartition(".")[2] for name in names if "." in name}
            froms = {n for n in imported(path) if n.rpartition(".")[2] in short}
            assert not froms & names, relative(path)


def keeps(handler: ast.ExceptHandler) -> bool:
    """Whether what was caught ends here, instead of going on once things are tidied up."""
    last = handler.body[-1]
    return not (isinstance(last, ast.Raise) and last.exc is None)


def test_no_assertions_and_no_keeping_of_everything() -> None:
    for path in sources():
        for node in ast.walk(tree(path)):
            assert not isinstance(node, ast.Assert), f"{relative(path)}:{node.lineno}"
            if isinstance(node, ast.ExceptHandler) and component(path) not in ("cli", "__main__"):
                caught = ast.unparse(node.type) if node.type else ""
                is_everything = caught in ("", "Exception", "BaseException")
                assert not (is_everything and keeps(node)), f"{relative(path)}:{node.lineno}"
