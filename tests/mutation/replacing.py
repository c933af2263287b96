# SPDX-License-Identifier: Apache-2.0
"""Puts a mutant in the place of what it was made from: of one function, or of a whole module."""

from __future__ import annotations

import importlib.abc
import inspect
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any


def replace_function(module: ModuleType, name: str, source: str) -> None:
    """Give a function, wherever it was imported to, the code that it has in other source.

    Args:
        module: The module, imported.
        name: The function's or method's qualified name.
        source: The whole module with the change.
    """
    codes = dict(_codes(compile(source, module.__file__ or "", "exec", dont_inherit=True)))
    _function(module, name).__code__ = codes[name]


def lines_of(module: ModuleType, name: str) -> range:
    """Return the lines of a function or method."""
    lines, first = inspect.getsourcelines(_function(module, name))
    return range(first, first + len(lines))


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant.co_qualname, constant
            yield from _codes(constant)


def _function(module: ModuleType, name: str) -> FunctionType:
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    function = inspect.unwrap(found)
    if not isinstance(function, FunctionType):
        raise TypeError(f"{name} is no function")
    return function


class MutatedModule(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module with other source."""

    def __init__(self, name: str, source: str, path: Path) -> None:
        self._name, self._path = name, path
        self._code = compile(source, str(path), "exec", dont_inherit=True)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load the module; None for every other one."""
        if name != self._name:
            return None
        inside = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        spec = ModuleSpec(name, self, origin=str(self._path), is_package=inside is not None)
        spec.submodule_search_locations = inside
        spec.has_location = True
        return spec

    def get_code(self, fullname: str) -> CodeType:
        """Return the code with the change."""
        return self._code

    def get_source(self, fullname: str) -> str:
        """Return the source without it, for tracebacks."""
        return self._path.read_text("utf-8")
