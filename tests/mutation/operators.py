# SPDX-License-Identifier: Apache-2.0
"""Small wrong changes to a Python module, each of which some test must notice.

Every mutant changes one place of the syntax tree: a comparison, a connective, a constant, a call
that only raises, a raise, a return. Text, annotations and docstrings are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# Calls whose only effect is to raise: without one of them a check is gone.
_CHECKING = ("check", "_check", "expect", "_expect", "raise_findings", "refuse", "remember")

Apply = Callable[[ast.AST], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    Attributes:
        line: Where it is.
        change: What it is, in words.
        source: The whole module with it.
        function: Qualified name of the function or method whose body it is in; empty elsewhere.
    """

    line: int
    change: str
    source: str
    function: str


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    places = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    skipped, functions = _skipped(tree), dict(_functions(tree, ""))
    found = []
    for index, node in enumerate(places):
        if id(node) in skipped:
            continue
        for change, apply in _changes(node):
            changed = copy.deepcopy(tree)
            target = [one for one in ast.walk(changed) if hasattr(one, "lineno")][index]
            apply(target)
            text = ast.unparse(ast.fix_missing_locations(changed))
            where = functions.get(id(node), "")
            found.append(Mutant(node.lineno, change, text, where))  # type: ignore[attr-defined]
    yield from sorted(found, key=lambda mutant: mutant.line)


def _functions(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[int, str]]:
    """Yield each node of a body with the name of the outermost function that it belongs to."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                yield from ((id(one), f"{prefix}{node.name}") for one in ast.walk(statement))


def _skipped(tree: ast.Module) -> set[int]:
    """Nodes that say nothing at run time: annotations, docstrings, exports and the like."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(
            node
        ):
            roots.append(node.body[0])
        if isinstance(node, ast.FunctionDef):
            roots += [node.returns] if node.returns else []
        if isinstance(node, ast.arg) and node.annotation:
            roots.append(node.annotation)
        if isinstance(node, ast.AnnAssign):
            roots.append(node.annotation)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            roots.append(node)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            roots.append(node)
        if isinstance(node, ast.JoinedStr):  # messages
            roots.append(node)
    return {id(node) for root in roots for node in ast.walk(root)}


def _changes(node: ast.AST) -> Iterator[tuple[str, Apply]]:
    if isinstance(node, ast.Compare):
        yield from _of_comparison(node)
    elif isinstance(node, ast.BoolOp):
        yield from _of_connective(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"not {_short(node.operand)} -> {_short(node.operand)}", _drop_not
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        new = _ARITHMETIC[type(node.op)]
        yield f"{_short(node)}: {type(node.op).__name__} -> {new.__name__}", _set("op", new())
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, (ast.If, ast.IfExp)):
        for value in (True, False):
            yield f"if {_short(node.test)} -> if {value}", _set("test", ast.Constant(value))
    elif isinstance(node, ast.Raise) and node.exc is not None:
        yield f"raise {_short(node.exc)} -> pass", _to_pass
    elif isinstance(node, ast.Expr) and _is_check(node.value):
        yield f"{_short(node.value)} -> pass", _to_pass
    elif isinstance(node, ast.Return) and node.value is not None:
        if not isinstance(node.value, ast.Constant):
            yield f"return {_short(node.value)} -> return None", _set("value", None)
    elif isinstance(node, ast.GeneratorExp | ast.ListComp):
        for number, generator in enumerate(node.generators):
            if generator.ifs:
                yield f"{_short(node)}: without its if", _drop_filter(number)


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, Apply]]:
    for number, operator in enumerate(node.ops):
        for new in _COMPARISONS.get(type(operator), ()):

            def apply(target: ast.AST, number: int = number, new: type[ast.cmpop] = new) -> None:
                target.ops[number] = new()  # type: ignore[attr-defined]

            yield f"{_short(node)}: {type(operator).__name__} -> {new.__name__}", apply


def _of_connective(node: ast.BoolOp) -> Iterator[tuple[str, Apply]]:
    new = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield f"{_short(node)}: {type(node.op).__name__} -> {type(new).__name__}", _set("op", new)
    for number in range(len(node.values)):

        def apply(target: ast.AST, number: int = number) -> None:
            del target.values[number]  # type: ignore[attr-defined]

        if len(node.values) > 1:
            yield f"{_short(node)}: without operand {number + 1}", apply


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, Apply]]:
    if isinstance(node.value, bool):
        yield f"{node.value} -> {not node.value}", _set("value", not node.value)
    elif isinstance(node.value, int):
        yield f"{node.value} -> {node.value + 1}", _set("value", node.value + 1)
    elif node.value is None:
        return
    elif isinstance(node.value, str) and node.value and len(node.value) < 25:
        yield f"{node.value!r} -> {node.value + 'x'!r}", _set("value", node.value + "x")


def _is_check(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func).rpartition(".")[2]
    return name.startswith(_CHECKING)


def _set(field: str, value: object) -> Apply:
    return lambda target: setattr(target, field, value)


def _drop_not(target: ast.AST) -> None:
    operand = target.operand  # type: ignore[attr-defined]
    target.__class__ = ast.IfExp
    target.__dict__.update(test=operand, body=ast.Constant(True), orelse=ast.Constant(False))


def _to_pass(target: ast.AST) -> None:
    target.__class__ = ast.Pass


def _drop_filter(number: int) -> Apply:
    def apply(target: ast.AST) -> None:
        target.generators[number].ifs = []  # type: ignore[attr-defined]

    return apply


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 70 else f"{text[:67]}..."
