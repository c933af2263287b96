# SPDX-License-Identifier: Apache-2.0
"""The public names: a fixed list, each documented, nothing that could be changed afterwards."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyhash
from pyhash import errors

PUBLIC = [
    "CheckError",
    "CheckpointDigest",
    "DamagedRange",
    "Finding",
    "Loaded",
    "Options",
    "Policy",
    "PolicyFile",
    "PyhashError",
    "Release",
    "ShardDigest",
    "SignResult",
    "UsageError",
    "VerificationError",
    "Verified",
    "format_root",
    "hash_buffer",
    "hash_checkpoint",
    "hash_file",
    "load",
    "parse_root",
    "sign",
    "verify",
]
SOURCES = Path(pyhash.__file__).parent
ROOT = SOURCES.parent


def modules() -> list[types.ModuleType]:
    """Every module of the package."""
    found = [pyhash]
    for one in pkgutil.walk_packages(pyhash.__path__, "pyhash."):
        if not one.name.endswith((".__main__", "._engine", "_native.build")):
            found.append(importlib.import_module(one.name))
    return found


def own(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    """What a module defines itself."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == module.__name__:
            yield f"{module.__name__}.{name}", value


def public_functions() -> dict[str, typing.Any]:
    """Functions of the public list, and public methods of its classes."""
    found = {}
    for name in PUBLIC:
        value = getattr(pyhash, name)
        if inspect.isfunction(value):
            found[name] = value
        else:
            for key, member in vars(value).items():
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member) and not key.startswith("_"):
                    found[f"{name}.{key}"] = member
    return found


def dataclasses_of_the_package() -> dict[str, type]:
    return {
        name: value
        for module in modules()
        for name, value in own(module)
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    }


def run_python(script: str) -> str:
    """What a new interpreter prints."""
    line = [sys.executable, "-c", script]
    return subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT).stdout


# --- the list -------------------------------------------------------------------------------------


def test_the_list() -> None:
    assert pyhash.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there(name: str) -> None:
    value = getattr(pyhash, name)
    assert value.__name__ == name
    assert value.__module__.startswith("pyhash.")
    assert getattr(pyhash, name) is value


def test_nothing_else_is_public() -> None:
    script = (
        "import types, pyhash\n"
        "from pyhash import *\n"
        "names = {name for name in dir(pyhash) if not name.startswith('_')}\n"
        "values = {name for name in names if not isinstance(getattr(pyhash, name),"
        " types.ModuleType)}\n"
        "print(*sorted(values - {'annotations', 'TYPE_CHECKING'}))\n"
        "print(*sorted(name for name in globals() if name in pyhash.__all__))\n"
    )
    output = run_python(script)
    assert [line.split() for line in output.splitlines()] == [PUBLIC, PUBLIC]


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'pyhash' has no attribute 'trust_everything'"):
        pyhash.trust_everything  # noqa: B018


def test_import_is_cheap() -> None:
    script = "import sys, pyhash; print(sorted(one for one in sys.modules if 'pyhash' in one))"
    output = run_python(script)
    loaded = ast.literal_eval(output)
    # An editable installation has a finder of its own.
    assert [one for one in loaded if not one.startswith("__editable__")] == ["pyhash"]


def test_version_is_that_of_the_distribution() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'version = "{pyhash.__version__}"' in project


# --- documentation --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_has_a_docstring(name: str) -> None:
    text = inspect.getdoc(getattr(pyhash, name))
    assert text
    # A dataclass without one gets its signature.
    assert not text.startswith(f"{name}(")


@pytest.mark.parametrize("name", public_functions())
def test_every_function_says_what_it_raises(name: str) -> None:
    text = inspect.getdoc(public_functions()[name])
    assert text
    assert "Raises:\n" in text or "Raises nothing" in text or name == "format_root"


@pytest.mark.parametrize("name", public_functions())
def test_every_argument_is_documented(name: str) -> None:
    function = public_functions()[name]
    text = inspect.getdoc(function) or ""
    arguments = [
        one for one in inspect.signature(function).parameters if one not in ("self", "cls")
    ]
    if len(arguments) > 1:
        assert [one for one in sorted(arguments) if f"    {one}: " not in text] == []


@pytest.mark.parametrize(
    "name", [name for name in PUBLIC if dataclasses.is_dataclass(getattr(pyhash, name))]
)
def test_every_attribute_is_documented(name: str) -> None:
    kind = getattr(pyhash, name)
    text = inspect.getdoc(kind) or ""
    missing = [one.name for one in dataclasses.fields(kind) if f"    {one.name}: " not in text]
    assert missing == []


def test_tree_of_exceptions_is_the_one_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    lines = [line for line in drawn.splitlines() if "──" in line]
    parents = {"PyhashError": "Exception"}
    stack = {0: "PyhashError"}
    for line in lines:
        depth = line.index("──") // 4
        name = line.split("──")[1].split()[0]
        parents[name] = stack[depth - 1]
        stack[depth] = name
    real = {
        name.rpartition(".")[2]: value.__mro__[1].__name__
        for name, value in own(errors)
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert parents == real


# --- what the types promise -----------------------------------------------------------------------


def test_some_dataclasses_are_found() -> None:
    assert {"pyhash.manifest._model.Manifest", "pyhash.verify_checkpoint.Verified"} <= set(
        dataclasses_of_the_package()
    )


@pytest.mark.parametrize("name", dataclasses_of_the_package())
def test_every_dataclass_is_frozen(name: str) -> None:
    kind = dataclasses_of_the_package()[name]
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)
    mutable = (list, dict, set, bytearray)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        assert not isinstance(field.default, mutable)
    if name.startswith("pyhash.") and "cli" not in name:
        hints = [str(field.type) for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        assert not any(hint.startswith(("list", "dict", "set")) for hint in hints)


@pytest.mark.parametrize("name", public_functions())
def test_validity_is_no_boolean(name: str) -> None:
    annotation = inspect.signature(public_functions()[name]).return_annotation
    assert annotation is not inspect.Signature.empty
    assert "bool" not in str(annotation)


def test_no_function_of_any_module_answers_with_a_flag() -> None:
    """verify_*, check_* and expect_* raise, wherever they are."""
    flags = []
    checked = 0
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.lstrip("_").startswith(
                ("verify", "check_", "expect_")
            ):
                checked += 1
                returns = ast.unparse(node.returns) if node.returns else ""
                if returns == "bool" and node.name != "expect_boolean":
                    flags.append(f"{path.name}: {node.name}")
    assert flags == []
    assert checked > 20


def test_only_verify_takes_no_shortcuts() -> None:
    """No argument leaves a step of the verification out."""
    assert list(inspect.signature(pyhash.verify).parameters) == [
        "path",
        "keys",
        "policy",
        "signature",
        "tree",
        "cosignatures",
        "ignore",
        "root",
        "links_within",
        "accept_historical",
        "guarantee",
        "options",
    ]
    assert [field.name for field in dataclasses.fields(pyhash.Options)] == [
        "threads",
        "reader",
        "kernel",
        "progress",
        "note",
    ]
    assert [field.name for field in dataclasses.fields(pyhash.Policy)] == [
        "keys",
        "ignore",
        "roots",
        "signatures",
        "min_release",
        "max_age",
        "release_name",
        "guarantee",
        "mode",
        "state",
        "rule",
        "location",
        "files",
        "require_log",
        "log",
        "provenance",
    ]


def test_no_call_order() -> None:
    setters = [
        f"{path.name}: {node.name}"
        for path in sorted(SOURCES.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("set_")
    ]
    assert setters == []
