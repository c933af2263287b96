# SPDX-License-Identifier: Apache-2.0
"""Draw every result file: results/NAME.json becomes results/NAME.svg, from the numbers alone.

Every group of rates or seconds of a file becomes one chart: bars are medians, whiskers reach from
the lowest to the highest round. GB/s where the group's bytes are known, else seconds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from pyhash.benchmark.plot import WIDTH, Bar, bars

RESULTS = Path(__file__).parent / "results"
SPREAD = {"median", "min", "max"}
TITLE_HEIGHT = 26
STYLE = """
svg{background:#fff}text{font:12px sans-serif;fill:#1b1f24}.title{font-weight:bold;font-size:14px}
.value{fill:#57606a}rect.ours{fill:#2563a8}rect.peer{fill:#b86e1b}
.whisker{stroke:#1b1f24;fill:none;opacity:.6}
@media(prefers-color-scheme:dark){svg{background:#15191d}text{fill:#e6e9ec}.value{fill:#9aa5b1}
rect.ours{fill:#5a9be0}rect.peer{fill:#dd9a4b}.whisker{stroke:#e6e9ec}}
"""
PEERS = (
    "hashlib",
    "model_signing",
    "openssl",
    "sha256sum",
    "b3sum",
    "cat",
    "curl",
    "obstore",
    "aws",
    "s5cmd",
    "read()",
    "fio",
    "python",
)


def is_spread(value: Any) -> bool:
    """Median, min and max, and nothing else."""
    return isinstance(value, dict) and set(value) == SPREAD


def groups(
    value: Any, path: tuple[str, ...], size: int | None
) -> Iterator[tuple[str, Any, int | None]]:
    """Every (title, name -> spread, bytes) of a result, its own bytes or those around it."""
    if not isinstance(value, dict):
        return
    size = value.get("bytes", size) if isinstance(value.get("bytes", size), int) else size
    spreads = {name: one for name, one in value.items() if is_spread(one)}
    if spreads:
        yield ": ".join(path), spreads, size
    rates = {
        name: one["bytes_per_second"]
        for name, one in value.items()
        if isinstance(one, dict) and is_spread(one.get("bytes_per_second"))
    }
    if rates:
        yield ": ".join((*path, "bytes per second")), rates, None
        return
    for name, one in value.items():
        yield from groups(one, (*path, name), size)


def rows(title: str, spreads: dict[str, Any], size: int | None) -> tuple[list[Bar], str]:
    """Bars, and their unit."""
    top = max(one["max"] for one in spreads.values())
    found, unit = [], "seconds"
    for name, one in spreads.items():
        low, middle, high = one["min"], one["median"], one["max"]
        if top > 1e6:  # bytes per second
            low, middle, high = (value / 1e9 for value in (low, middle, high))
            unit = "GB/s"
        elif "seconds" in title and "cpu" not in title and "system" not in title and size:
            low, middle, high = (size / value / 1e9 for value in (high, middle, low))
            unit = "GB/s"
        elif "faster" in title or "slower" in title or "times" in title:
            unit = "times"
        is_peer = any(word in name for word in PEERS) and "pyhash" not in name
        found.append(Bar(name, middle, low, high, "peer" if is_peer else "ours"))
    return found, unit


def draw(result: dict[str, Any]) -> str:
    """One SVG document with all charts of a result, one below the other."""
    parts, y = [], 0.0
    for title, spreads, size in groups(result, (), None):
        found, unit = rows(title, spreads, size)
        chart = bars(title, found, unit)
        drawing = re.search(r'viewBox="0 0 \d+ ([\d.]+)"[^>]*>(.*)</svg>', chart, re.DOTALL)
        if drawing is None:
            raise ValueError(f"{title}: no drawing in {chart[:80]}")
        parts.append(
            f'<text class="title" x="8" y="{y + 18:g}">{escape(title)} ({unit})</text>'
            f'<g transform="translate(0 {y + TITLE_HEIGHT:g})">{drawing[2]}</g>'
        )
        y += TITLE_HEIGHT + float(drawing[1]) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:g}">'
        f"<style>{STYLE}</style>" + "\n".join(parts) + "</svg>\n"
    )


def main() -> None:
    """Draw all, or the files that are named."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted(RESULTS.glob("*.json"))
    for path in paths:
        drawing = draw(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".svg").write_text(drawing, encoding="utf-8")
        print(f"drew {path.with_suffix('.svg').name}")


if __name__ == "__main__":
    main()
