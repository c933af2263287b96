# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG text: bars, and lines over a logarithmic axis. Colours are classes of the page's.

Knows no benchmark: names and values in, markup out. Names are escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

WIDTH = 720
LABEL_WIDTH, VALUE_WIDTH = 230, 150
BAR_HEIGHT, GAP = 18, 8
PLOT_HEIGHT, MARGIN = 220, 46
COLOURS = 5  # classes line0 to line4


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: Before it.
        value, low, high: Its length, and the ends of its whisker.
        kind: Class of its colour: ``ours``, ``roof`` or ``peer``.
    """

    label: str
    value: float
    low: float
    high: float
    kind: str = "ours"


def bars(title: str, rows: Sequence[Bar], unit: str) -> str:
    """Return horizontal bars with whiskers from the lowest to the highest round. Raises nothing."""
    top = max((bar.high for bar in rows), default=0) or 1
    width = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    height = len(rows) * (BAR_HEIGHT + GAP) + GAP
    parts = []
    for number, bar in enumerate(rows):
        y = GAP + number * (BAR_HEIGHT + GAP)
        middle = y + BAR_HEIGHT / 2
        length = width * bar.value / top
        low, high = (LABEL_WIDTH + width * one / top for one in (bar.low, bar.high))
        parts += [
            f'<text x="{LABEL_WIDTH - 8}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{escape(bar.label)}</text>",
            f'<rect class="{bar.kind}" x="{LABEL_WIDTH}" y="{y}" width="{length:.1f}"'
            f' height="{BAR_HEIGHT}" rx="2"/>',
            f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}'
            f'M{low:.1f} {middle - 4:.1f}v8M{high:.1f} {middle - 4:.1f}v8"/>',
            f'<text class="value" x="{high + 8:.1f}" y="{middle + 4:.1f}">'
            f"{bar.value:.2f} [{bar.low:.2f} – {bar.high:.2f}]</text>",
        ]
    return _figure(title, unit, height, parts)


def lines(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], unit: str, across: str
) -> str:
    """Return one line for each series over a logarithmic axis, from zero up. Raises nothing.

    Args:
        title: What is shown.
        series: Name -> points (x, y), x above zero; at least one.
        unit: Of y.
        across: What x is.
    """
    xs = sorted({x for points in series.values() for x, _ in points})
    top = 1.15 * max(y for points in series.values() for _, y in points)
    left, right, bottom = MARGIN, WIDTH - VALUE_WIDTH, PLOT_HEIGHT - MARGIN
    span = log10(xs[-1] / xs[0]) if len(xs) > 1 else 1

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * log10(x / xs[0]) / span, bottom - (bottom - 12) * y / top

    parts = [
        f'<path class="axis" d="M{left} 8V{bottom}H{right}"/>',
        _text((left + right) / 2, bottom + 38, "middle", across),
        *(_text(place(x, 0)[0], bottom + 18, "middle", f"{x:g}") for x in xs),
        *(_text(left - 6, place(xs[0], y)[1] + 4, "end", f"{y:.1f}") for y in (0, top / 2, top)),
    ]
    for number, (name, points) in enumerate(series.items()):
        kind = f"line{number % COLOURS}"
        path = [place(x, y) for x, y in points]
        key = 20 + 20 * number
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        parts += [
            f'<polyline class="{kind}" points="{corners}"/>',
            *(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in path),
            f'<path class="{kind}" d="M{right + 14} {key - 4}h18"/>',
            _text(right + 38, key, "start", name),
        ]
    return _figure(title, unit, max(PLOT_HEIGHT, 30 + 20 * len(series)), parts)


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _figure(title: str, unit: str, height: float, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f"<figure><figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{inside}</svg></figure>"
    )
