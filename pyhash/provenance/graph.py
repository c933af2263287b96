# SPDX-License-Identifier: Apache-2.0
"""Draws a lineage: as text, and as SVG in one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from pyhash.provenance.lineage import Statement
from pyhash.provenance.statement import Material

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 250, 86, 70, 26, 24
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #1c2733; background: #fff; }
h1 { font-size: 1.3rem; } p { max-width: 46rem; color: #4a5866; }
.scroll { overflow-x: auto; }
svg text { font: 13px system-ui, sans-serif; fill: #1c2733; }
svg .small { font-size: 11px; fill: #4a5866; } svg .bold { font-weight: 600; }
.made { fill: #eaf2fb; stroke: #2f6fb3; } .data { fill: #f2f7ec; stroke: #5c8a34; }
.lost { fill: #fdf1ea; stroke: #b3592f; stroke-dasharray: 5 3; }
path { fill: none; stroke: #6b7a89; stroke-width: 1.4; }
"""


@dataclass(frozen=True, slots=True)
class _Node:
    """A box: what stands in it, what kind it is, and what it was made from."""

    name: str
    lines: tuple[str, str, str]
    kind: str
    sources: tuple[str, ...]


def draw_text(statements: Sequence[Statement], root: str) -> list[str]:
    """Return a lineage as an indented tree, the checkpoint first. Raises nothing.

    Args:
        statements: What is stated.
        root: The checkpoint, 64 hex digits.
    """
    nodes = _nodes(statements, root)
    lines: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        node = nodes[name]
        lines.append(
            f"{'   ' * len(above)}{'└─ ' if above else ''}{' | '.join(filter(None, node.lines))}"
        )
        if name in above:
            lines.append(f"{'   ' * len(above)}   (its own ancestor)")
            return
        for source in node.sources:
            visit(source, (*above, name))

    visit(root, ())
    return lines


def draw_page(statements: Sequence[Statement], root: str, *, note: str) -> str:
    """Return a page with the drawing, origins on the left. Raises nothing.

    Args:
        statements: What is stated.
        root: The checkpoint, 64 hex digits.
        note: A sentence about whether this was verified.
    """
    nodes = _nodes(statements, root)
    places = _places(nodes, root)
    columns = max(column for column, _ in places.values())
    rows = 1 + max(row for _, row in places.values())
    width = (columns + 1) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = rows * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    corners = {
        name: (
            _MARGIN + (columns - column) * (_WIDTH + _GAP_X),
            _MARGIN + row * (_HEIGHT + _GAP_Y),
        )
        for name, (column, row) in places.items()
    }
    edges = "".join(
        _edge(corners[source], corners[name])
        for name, node in nodes.items()
        for source in node.sources
        if name in corners and source in corners
    )
    boxes = "".join(_box(nodes[name], corner) for name, corner in corners.items())
    title = f"Lineage of {nodes[root].lines[0]}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(title)}'
        f"</title><style>{_STYLE}</style></head>\n<body><h1>{_safe(title)}</h1>\n"
        f'<p>{_safe(note)}</p>\n<div class="scroll"><svg width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img" aria-label="{_safe(title)}">\n'
        f"{edges}{boxes}</svg></div>\n<pre>"
        + "\n".join(_safe(line) for line in draw_text(statements, root))
        + "</pre></body></html>\n"
    )


def _nodes(statements: Sequence[Statement], root: str) -> dict[str, _Node]:
    """Boxes by name: a root's digits, or of other materials their role and name."""
    nodes: dict[str, _Node] = {}
    evaluated: dict[str, list[str]] = {}
    for one in statements:
        step = one.step
        if step.step == "evaluate":
            evaluated.setdefault(step.root, []).append(step.finished or "at an unknown time")
            continue
        sources = tuple(_name(material) for material in step.materials)
        if "parents" in step.unknown or "datasets" in step.unknown:
            lost = [word for word in ("parents", "datasets") if word in step.unknown]
            name = f"unknown {step.root}"
            nodes[name] = _Node(name, ("unknown", " and ".join(lost), ""), "lost", ())
            sources = (*sources, name)
        when = step.finished or "at an unknown time"
        lines = (step.name, f"{step.step}, {when}", f"key {(one.key or 'not checked')[:16]}")
        nodes[step.root] = _Node(step.root, lines, "made", sources)
        for material in step.materials:
            nodes.setdefault(_name(material), _of_material(material))
    nodes.setdefault(root, _Node(root, ("the checkpoint", "nobody states how", ""), "lost", ()))
    for name, times in evaluated.items():
        if name in nodes:
            node = nodes[name]
            text = f"{node.lines[2]}; evaluated {times[-1]}"
            nodes[name] = _Node(name, (node.lines[0], node.lines[1], text), node.kind, node.sources)
    return nodes


def _name(material: Material) -> str:
    return (
        material.root
        if material.root and material.role == "parent"
        else (f"{material.role} {material.name} {material.digests}")
    )


def _of_material(material: Material) -> _Node:
    digest = ":".join(material.digests[0])[:32] if material.digests else "known by name only"
    is_parent = material.role == "parent"
    kind = "lost" if is_parent or not material.digests else "data"
    role = "parent, nobody states how" if is_parent else material.role
    return _Node(_name(material), (material.name, role, digest), kind, ())


def _places(nodes: dict[str, _Node], root: str) -> dict[str, tuple[int, int]]:
    """(column, row) of each box: columns by the longest way from the checkpoint."""
    depth: dict[str, int] = {}

    def visit(name: str, level: int, above: tuple[str, ...]) -> None:
        if name in above or level <= depth.get(name, -1):
            return
        depth[name] = level
        for source in nodes[name].sources:
            visit(source, level + 1, (*above, name))

    visit(root, 0, ())
    taken: dict[int, int] = {}
    places = {}
    for name, level in depth.items():
        places[name] = (level, taken.get(level, 0))
        taken[level] = taken.get(level, 0) + 1
    return places


def _edge(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + _WIDTH, source[1] + _HEIGHT // 2
    x2, y2 = target[0], target[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f'<path d="M {x1} {y1} C {middle} {y1}, {middle} {y2}, {x2} {y2}"/>\n'


def _box(node: _Node, corner: tuple[int, int]) -> str:
    x, y = corner
    first, second, third = (_cut(line) for line in node.lines)
    return (
        f'<g><title>{_safe(node.name)}</title><rect class="{node.kind}" x="{x}" y="{y}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
        f'<text class="bold" x="{x + 14}" y="{y + 27}">{first}</text>'
        f'<text x="{x + 14}" y="{y + 48}">{second}</text>'
        f'<text class="small" x="{x + 14}" y="{y + 68}">{third}</text></g>\n'
    )


def _cut(line: str) -> str:
    return _safe(line if len(line) <= 36 else f"{line[:35]}…")


def _safe(text: str) -> str:
    """Text that cannot leave its place in the page, whatever a statement says."""
    shown = "".join(one if one.isprintable() else "�" for one in text)
    return html.escape(shown, quote=True)
