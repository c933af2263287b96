# SPDX-License-Identifier: Apache-2.0
"""A difference as one HTML page: a map of what changed, drawn in SVG. No script, nothing loaded.

Names in it are untrusted text and escaped.
"""

from __future__ import annotations

from html import escape

from pyhash.difference._model import Difference, FileDifference, SideSummary
from pyhash.merkle import format_root

WIDTH = 960  # of the map, in pixels: no finer detail is drawn
SHOWN_FILES = 1000
SHOWN_TENSORS = 200  # of one file

_STYLE = """\
:root{color-scheme:light dark;--same:#d8dee6;--added:#2f9e44;--removed:#d6336c;--changed:#f08c00}
@media(prefers-color-scheme:dark){:root{--same:#39424e}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin-bottom:.3rem}h2{font-size:1rem;margin:1.6rem 0 .2rem;
overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;
vertical-align:top;overflow-wrap:anywhere}
th{white-space:nowrap}
.big{font-size:1.15rem}.dim{opacity:.75}.key i{display:inline-block;width:.9em;height:.9em;
margin:0 .3em 0 1em;vertical-align:-.1em}
svg{display:block;width:100%;height:22px}details{margin:.2rem 0}
.same{fill:var(--same)}.added{fill:var(--added)}.removed{fill:var(--removed)}
.changed{fill:var(--changed)}"""
_KINDS = ("added", "removed", "changed")


def render_page(difference: Difference) -> str:
    """Return the page. Pure, thread-safe.

    Args:
        difference: What to show.

    Returns:
        HTML, ASCII but for names. Raises nothing.
    """
    shown = difference.files[:SHOWN_FILES]
    more = len(difference.files) - len(shown)
    notes = "".join(f"<li>{escape(note)}</li>" for note in difference.notes)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>pyhash diff</title><style>{_STYLE}</style></head><body>",
        "<h1>What changed</h1>",
        f'<p class="big">{escape(_headline(difference))}</p>',
        "<table><tr><th></th><th>checkpoint</th><th>root</th><th>basis</th></tr>",
        _side_row("before", difference.before),
        _side_row("after", difference.after),
        "</table>",
        '<p class="key dim">Each bar is one file from its first byte to its last:',
        *(f'<i style="background:var(--{kind})"></i>{kind}' for kind in _KINDS),
        '<i style="background:var(--same)"></i>same</p>',
        *map(_file, shown),
        f"<p>and {more} more files</p>" if more else "",
        f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def amount(size: int) -> str:
    """Return a size for people, in binary units. Raises nothing."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _headline(difference: Difference) -> str:
    if not difference.files:
        return f"Nothing: all {difference.unchanged} files are the same."
    counts = {kind: sum(one.kind == kind for one in difference.files) for kind in _KINDS}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return (
        f"{said}, {difference.unchanged} unchanged files;"
        f" {amount(difference.changed)} of {amount(difference.size)},"
        f" {100 * difference.share:.2f} %"
    )


def _side_row(label: str, side: SideSummary) -> str:
    root = "none" if side.root is None else format_root(side.root)
    said = {
        "verified": f"signed by the trusted key {side.key_hint}",
        "unverified": "signed, but the signature was not checked",
        "none": "hashed now, not signed",
    }[side.signature]
    return (
        f"<tr><th>{label}</th><td>{escape(side.location)}</td>"
        f"<td><code>{root}</code></td><td>{escape(said)}</td></tr>"
    )


def _file(file: FileDifference) -> str:
    sizes = [amount(size) for size in (file.before, file.after) if size is not None]
    if file.before == file.after:
        sizes = sizes[:1]
    where = "" if file.is_located else "; it is not known where"
    said = f"{file.kind}, {' to '.join(sizes) or 'size not known'}{where}"
    tensors = file.tensors[:SHOWN_TENSORS]
    more = len(file.tensors) - len(tensors)
    rows = "".join(f"<tr><td>{escape(one.name)}</td><td>{one.kind}</td></tr>" for one in tensors)
    listed = (
        f"<details><summary>{len(file.tensors)} tensors</summary><table>{rows}</table>"
        f"{f'<p>and {more} more</p>' if more else ''}</details>"
        if rows
        else ""
    )
    return f'<h2>{escape(file.path)} <span class="dim">{said}</span></h2>{_bar(file)}{listed}'


def _bar(file: FileDifference) -> str:
    """The map of one file; ranges that fall into the same pixels are drawn as one."""
    if not file.size:
        return ""
    rects = [f'<rect class="same" width="{WIDTH}" height="22"/>']
    last = -1
    for one in file.ranges:
        first = min(one.start * WIDTH // file.size, WIDTH - 1)
        end = max(first + 1, -(-one.end * WIDTH // file.size))
        if end <= last:
            continue
        last = end
        title = escape(f"bytes [{one.start}, {one.end}) {', '.join(one.tensors[:4])}".strip())
        rects.append(
            f'<rect class="{file.kind}" x="{first}" width="{end - first}" height="22">'
            f"<title>{title}</title></rect>"
        )
    drawn = "".join(rects)
    return (
        f'<svg viewBox="0 0 {WIDTH} 22" preserveAspectRatio="none" role="img"'
        f' aria-label="{file.changed} of {file.size} bytes differ">{drawn}</svg>'
    )
