# SPDX-License-Identifier: Apache-2.0
"""What the tests of the checkpoint formats share: a reader that watches, and layouts as data."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyhash.formats import FORMATS, Format, Layout

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "formats"
if str(VECTORS) not in sys.path:
    sys.path.insert(0, str(VECTORS))

import _build as build  # noqa: E402, F401  (the tests take it from here)

BY_NAME: dict[str, Format] = {one.NAME: one for one in FORMATS}


class Reader:
    """``read_at`` over bytes that fails when asked for anything outside, and keeps a record."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def __call__(self, offset: int, length: int) -> bytes:
        if not 0 <= offset <= offset + length <= len(self.data):
            raise AssertionError(f"[{offset}, {offset + length}) of {len(self.data)} bytes")
        self.reads.append((offset, length))
        return self.data[offset : offset + length]


def parse(name: str, data: bytes, path: str = "model.bin") -> Layout:
    """Parse bytes by the format of that name."""
    return BY_NAME[name].parse(Reader(data), len(data), path)


def as_data(layout: Layout) -> dict[str, Any]:
    """A layout as ``samples.json`` writes it."""
    return {
        "header_end": layout.header_end,
        "metadata": [list(pair) for pair in layout.metadata],
        "tensors": [asdict(one) | {"shape": list(one.shape)} for one in layout.tensors],
    }


def samples(name: str, kind: str) -> dict[str, Any]:
    """File name -> what is expected of it."""
    found: dict[str, Any] = json.loads((VECTORS / name / "samples.json").read_text("utf-8"))[kind]
    return found
