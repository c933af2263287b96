# SPDX-License-Identifier: Apache-2.0
"""Count what a rank of a tensor-parallel group reads with `pyhash.load(..., only=...)`. No clock.

    python benchmarks/count_rank_bytes.py

A part is verified by whole spans of 1 MiB, so what is read is the spans that its bytes touch.
They are counted here from the shapes alone, for models whose shapes are public, in two ways:

    rows       an eighth of every matrix along its first dimension
    runtime    as tensor-parallel runtimes cut: columns of the two matrices that end a block
               (attention output, MLP down), rows of all others, small vectors whole

Beside the spans stand the wanted bytes, and those rounded out to pages of 4 KiB, which is
the least that any loader of these files reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SPAN, PAGE = 1 << 20, 4096
ELEMENT = 2  # bf16
RANKS = 8
HEADER = 1  # spans of each file's header that are read in any case
SHARD_BYTES = 5 * 10**9  # as the usual writer cuts


@dataclass(frozen=True)
class Model:
    """Shapes of one model: layers, and sizes of their matrices."""

    name: str
    layers: int
    hidden: int
    intermediate: int
    key_value: int
    vocabulary: int

    def tensors(self) -> Iterator[tuple[str, int, int]]:
        """(kind, rows, columns) of every tensor in the order of its files."""
        yield "row", self.vocabulary, self.hidden
        for _ in range(self.layers):
            yield "whole", 1, self.hidden
            yield "column", self.hidden, self.intermediate
            yield "row", self.intermediate, self.hidden
            yield "row", self.intermediate, self.hidden
            yield "whole", 1, self.hidden
            yield "row", self.key_value, self.hidden
            yield "column", self.hidden, self.hidden
            yield "row", self.hidden, self.hidden
            yield "row", self.key_value, self.hidden
        yield "whole", 1, self.hidden
        yield "row", self.vocabulary, self.hidden


MODELS = (
    Model("8B", 32, 4096, 14336, 1024, 128256),
    Model("70B", 80, 8192, 28672, 1024, 128256),
    Model("405B", 126, 16384, 53248, 1024, 128256),
)


def runs_of(kind: str, start: int, rows: int, columns: int, rank: int) -> list[tuple[int, int]]:
    """The runs of bytes that the rank wants of a tensor at `start`."""
    width = columns * ELEMENT
    if kind == "whole":
        return [(start, start + rows * width)]
    if kind == "row":
        first, last = rows * rank // RANKS, rows * (rank + 1) // RANKS
        return [(start + first * width, start + last * width)]
    first, last = columns * rank // RANKS * ELEMENT, columns * (rank + 1) // RANKS * ELEMENT
    return [(start + row * width + first, start + row * width + last) for row in range(rows)]


def touched(runs: list[tuple[int, int]], unit: int, end: int) -> int:
    """Bytes of the units that the runs, in order, touch; each unit once."""
    total, done = 0, -1
    for start, stop in runs:
        first, last = max(start // unit, done + 1), (stop - 1) // unit
        if first <= last:
            total += min((last + 1) * unit, end) - first * unit
            done = last
    return total


def count(model: Model, rank: int, *, columns: bool) -> dict[str, float]:
    """Shares of the model's bytes."""
    wanted = pages = spans = size = 0
    at, runs = SPAN // 8, list[tuple[int, int]]()  # behind a header of a usual size
    for kind, rows, width in model.tensors():
        length = rows * width * ELEMENT
        mine = runs_of(kind if columns or kind == "whole" else "row", at, rows, width, rank)
        wanted += sum(stop - start for start, stop in mine)
        runs += mine
        at, size = at + length, size + length
        if at > SHARD_BYTES:
            pages += touched(runs, PAGE, at)
            spans += touched(runs, SPAN, at) + HEADER * SPAN
            at, runs = SPAN // 8, []
    pages += touched(runs, PAGE, at)
    spans += touched(runs, SPAN, at) + HEADER * SPAN
    return {"wanted": wanted / size, "pages": pages / size, "spans": spans / size}


def main() -> None:
    from _measure import environment, spread, write_result

    shares: dict[str, dict[str, dict[str, float]]] = {}
    for model in MODELS:
        for way in ("rows", "runtime"):
            counts = [count(model, rank, columns=way == "runtime") for rank in range(RANKS)]
            found = {name: spread([one[name] for one in counts]) for name in counts[0]}
            shares[f"{model.name}, {way}"] = found
            text = "   ".join(f"{name} {one['median']:.4f}" for name, one in found.items())
            print(f"{model.name:5} {way:8} {text}", flush=True)
    root = Path(__file__).resolve().parents[1]
    result = {
        "environment": environment(root),
        "ranks": RANKS,
        "span": SPAN,
        "times_all_bytes": shares,
    }
    write_result("load-rank-bytes", result)


if __name__ == "__main__":
    main()
