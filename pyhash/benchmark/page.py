# SPDX-License-Identifier: Apache-2.0
"""One HTML page out of a result: verdicts, plots, every number. It loads nothing from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from pyhash.benchmark.plot import Bar, bars, lines

GB = 1e9
# How names of readings begin, by what the page cache holds.
READING = {"cold": ("direct ", "cold ", "fio "), "cached": ("cached ",)}
UNIT = "GB/s, median [lowest – highest round]"

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;
--ours:#2563a8;--roof:#9aa5b1;--peer:#b86e1b;--c0:#2563a8;--c1:#b86e1b;--c2:#3a7d44;--c3:#8250a4;
--c4:#a83232}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--line:#3a424b;--paper:#15191d;
--ours:#5a9be0;--roof:#5c6873;--peer:#dd9a4b;--c0:#5a9be0;--c1:#dd9a4b;--c2:#6cb878;--c3:#b98ad8;
--c4:#e07b7b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:760px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}small,.soft{color:var(--soft)}
ul.verdicts{list-style:none;padding:0}ul.verdicts li{border-left:4px solid var(--ours);
padding:.2rem .8rem;margin:.4rem 0}
li.drive,li.memory{border-color:var(--peer)!important}li.neither{border-color:var(--c4)!important}
figure{margin:1rem 0;overflow-x:auto}figcaption{font-weight:600}svg{width:100%;min-width:560px}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .value{fill:var(--soft)}
rect.ours{fill:var(--ours)}rect.roof{fill:var(--roof)}rect.peer{fill:var(--peer)}
.whisker,.axis{stroke:var(--ink);fill:none;opacity:.6}
polyline,path[class^=line]{fill:none;stroke-width:2}circle{stroke:none}
.line0{stroke:var(--c0)}circle.line0{fill:var(--c0)}.line1{stroke:var(--c1)}
circle.line1{fill:var(--c1)}.line2{stroke:var(--c2)}circle.line2{fill:var(--c2)}
.line3{stroke:var(--c3)}circle.line3{fill:var(--c3)}.line4{stroke:var(--c4)}
circle.line4{fill:var(--c4)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
td,th{border-bottom:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
"""


def dump_page(result: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        result: What ``run_benchmark`` returned, or the same read from JSON.

    Raises:
        KeyError: It is something else.
    """
    sample = result["sample"]
    heading = (
        f"{sample['kind']}, {sample['bytes'] / GB:.2f} GB in {sample['files']} files,"
        f" {sample['threads']} threads, reader {sample['reader']}, {sample['rounds']} rounds,"
        f" {result['taken']}, pyhash {result['pyhash']}"
    )
    notes = [f"<li>{escape(note)}</li>" for note in result["notes"]]
    body = [
        "<h1>How fast this host verifies</h1>",
        f'<p class="soft">{escape(heading)}</p>',
        '<ul class="verdicts">',
        *(
            f'<li class="{escape(one["binds"])}">{escape(one["sentence"])}</li>'
            for one in result["verdicts"]
        ),
        "</ul>",
        *(["<h2>To know</h2><ul>", *notes, "</ul>"] if notes else []),
        "<h2>Work against its roofs</h2>",
        *(_verdict_plot(result, cache) for cache in ("cold", "cached")),
        "<h2>Roof of reading</h2>",
        _reading_plot(result["reading"]),
        "<h2>Roof of hashing</h2>",
        _hashing_plot(result["hashing"]),
        *(_peer_plot(name, rates) for name, rates in result["peers"].items()),
        "<h2>Every number</h2>",
        _table(result),
        "<h2>The machine</h2>",
        _environment(result["environment"]),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>pyhash bench</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _bar(label: str, rate: Mapping[str, float], kind: str) -> Bar:
    return Bar(label, rate["median"] / GB, rate["min"] / GB, rate["max"] / GB, kind)


def _roof(rates: Mapping[str, Mapping[str, float]], *prefixes: str) -> Mapping[str, float]:
    """The best of some rates."""
    return max(
        (rate for name, rate in rates.items() if name.startswith(prefixes)),
        key=lambda rate: rate["median"],
    )


def _verdict_plot(result: Mapping[str, Any], cache: str) -> str:
    rows = []
    for one in result["verdicts"]:
        if one["cache"] == cache:
            mode = one["mode"]
            if both := result["together"].get(f"{mode} {cache}"):
                rows.append(_bar(mode, both, "ours"))
            hashing = _roof(result["hashing"], f"memory {mode} ")
            rows.append(_bar(f"{mode}: roof of hashing", hashing, "roof"))
    rows.append(_bar("roof of reading", _roof(result["reading"], *READING[cache]), "roof"))
    return bars(f"{cache.capitalize()}: reading and hashing together", rows, UNIT)


def _reading_plot(rates: Mapping[str, Mapping[str, float]]) -> str:
    return lines(
        "Reading alone",
        _series(rates, r"(.+) x(\d+)"),
        "GB/s, median",
        "reads under way at once",
    )


def _hashing_plot(rates: Mapping[str, Mapping[str, float]]) -> str:
    plot = lines(
        "Chunks and tree (verify), from memory",
        _series(rates, r"memory verify (.+) x(\d+)"),
        "GB/s, median",
        "threads",
    )
    others = [
        _bar(name.removeprefix("memory "), one, "roof")
        for name, one in rates.items()
        if not name.startswith("memory verify")
    ]
    return plot + bars("With whole-file digests, from memory", others, UNIT)


def _series(
    rates: Mapping[str, Mapping[str, float]], pattern: str
) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for name, rate in rates.items():
        parts = re.fullmatch(pattern, name)
        if parts:
            found.setdefault(parts[1], []).append((int(parts[2]), rate["median"] / GB))
    return found


def _peer_plot(name: str, rates: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        _bar(key, one, "ours" if key.startswith("pyhash ") else "peer")
        for key, one in rates.items()
    ]
    plot = bars(f"Whole processes, files in the page cache: {name}", rows, UNIT)
    return f"<h2>Beside other tools</h2>{plot}"


def _table(result: Mapping[str, Any]) -> str:
    groups = [result["reading"], result["hashing"], result["together"], *result["peers"].values()]
    rows = [
        f"<tr><td>{escape(name)}</td>"
        + "".join(
            f'<td class="number">{rate[key] / GB:.3f}</td>' for key in ("median", "min", "max")
        )
        + "</tr>"
        for group in groups
        for name, rate in group.items()
    ]
    columns = "".join(f'<th class="number">{one}</th>' for one in ("median", "lowest", "highest"))
    head = f"<tr><th>GB/s</th>{columns}</tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _environment(found: Mapping[str, Any]) -> str:
    rows = []
    for name, value in found.items():
        shown = (
            ", ".join(f"{key}: {one}" for key, one in value.items())
            if isinstance(value, Mapping)
            else "not known"
            if value is None
            else str(value)
        )
        rows.append(f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(shown)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"
