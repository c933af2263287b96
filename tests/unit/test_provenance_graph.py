# SPDX-License-Identifier: Apache-2.0
"""Drawings of lineages: what is in them, and that no statement can break out of the page."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

from pyhash.provenance.graph import draw_page, draw_text
from pyhash.provenance.lineage import Statement
from pyhash.provenance.statement import Material, Step
from tests.support import lineages as do
from tests.support.lineages import BASE, SMALL, TESTED, TUNED


def stated(*steps: Step) -> list[Statement]:
    return [Statement(one, "k" * 64, b"") for one in steps]


def boxes(page: str) -> list[str]:
    """Bold text of each box; the drawing must be well-formed XML."""
    (svg,) = re.findall(r"<svg.*</svg>", page, re.S)
    tree = ElementTree.fromstring(svg)
    return [one.text or "" for one in tree.iter("text") if one.get("class") == "bold"]


def test_text() -> None:
    lines = draw_text(stated(TESTED, SMALL, TUNED, BASE), SMALL.root)
    assert [line.split("|")[0].rstrip() for line in lines] == [
        "small",
        "└─ tuned".rjust(len("└─ tuned") + 3),
        "      └─ base",
        "         └─ corpus",
        "      └─ feedback",
    ]
    assert "evaluated at an unknown time" in lines[0]


def test_page() -> None:
    page = draw_page(stated(SMALL, TUNED, BASE), SMALL.root, note="Verified.")
    assert sorted(boxes(page)) == ["base", "corpus", "feedback", "small", "tuned"]
    assert page.count("<path") == 4
    assert "Verified." in page
    assert "script" not in page


def test_unknown_is_drawn() -> None:
    lost = dataclasses.replace(SMALL, unknown=(*SMALL.unknown, "parents", "datasets"))
    lost = dataclasses.replace(lost, materials=())
    lines = draw_text(stated(lost), SMALL.root)
    assert lines[1].strip() == "└─ unknown | parents and datasets"
    named = dataclasses.replace(SMALL, materials=(Material("dataset", "d"), do.parent("tuned")))
    lines = draw_text(stated(named), SMALL.root)
    assert "known by name only" in lines[1]
    assert "parent, nobody states how" in lines[2]
    assert draw_text([], SMALL.root) == ["the checkpoint | nobody states how"]
    assert boxes(draw_page(stated(TESTED), SMALL.root, note="")) == ["the checkpoint"]


def test_circles_end() -> None:
    circle = stated(do.step("prune", "tuned", do.parent("small")), SMALL)
    assert draw_text(circle, SMALL.root)[-1].strip() == "(its own ancestor)"
    assert len(boxes(draw_page(circle, SMALL.root, note=""))) == 2


def test_hostile_names() -> None:
    evil = '</svg><script>alert(1)</script>"&\x1b\u202e'
    step = do.step("train", evil, Material("dataset", evil))
    page = draw_page(stated(step), step.root, note=evil)
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert len(boxes(page)) == 2
