# SPDX-License-Identifier: Apache-2.0
"""Guarantee ``sampled``, by chance: a stated share of all spans, drawn anew each time.

Finds damage with a probability that is stated, and says nothing about what was not drawn. The
probability counts on nobody having known the draw beforehand: a seed that is given is for doing
one run again.
"""

from __future__ import annotations

import math
import random
import re
import secrets
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from pyhash import hashing
from pyhash.errors import UsageError
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees._chosen import compare_runs
from pyhash.guarantees.content import doubts_about
from pyhash.merkle import SPAN_BYTES, span_count
from pyhash.opening import Opened
from pyhash.signed_tree import require_signed_nodes
from pyhash.span_hashing import runs_of

SEED_BITS = 64
# Numbers of bad spans for which the probability of finding one is stated.
STATED_COUNTS = (1, 10, 100)

_UNITS = {"MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(%|[A-Za-z]+)")


def sample(amount: str, *, seed: int | None = None) -> Guarantee:
    """Return the guarantee that a random part of all spans is as signed.

    Args:
        amount: A share such as ``5%``, or a size such as ``20GiB``; rounded up to whole spans of
            1 MiB, and at least one.
        seed: Draw the same spans as the run that reported it, 0 <= seed < 2^64; None: a new one
            from the system's random source.

    Returns:
        For ``verify(..., guarantee=...)``; it needs the tree file.

    Raises:
        UsageError: No such amount or seed.
    """
    share, size = _parse_amount(amount)
    if seed is not None and not 0 <= seed < 1 << SEED_BITS:
        raise UsageError(f"{seed} is no seed; one is at least 0 and below 2^{SEED_BITS}")

    def compare(opened: Opened, options: hashing.Options) -> Compared:
        drawn = secrets.randbits(SEED_BITS) if seed is None else seed
        sizes = [file.identity.size for file in opened.listing.files]
        total = sum(map(span_count, sizes))
        wanted = math.ceil(total * share) if size is None else -(-size // SPAN_BYTES)
        return _compare(opened, options, draw(total, min(total, max(1, wanted)), drawn), drawn)

    return Guarantee("sampled", compare)


def draw(total: int, count: int, seed: int) -> list[int]:
    """Draw ``count`` different numbers below ``total``, each set of them equally likely.

    Floyd's algorithm over the one generator that Python promises to keep as it is, so that a seed
    means the same spans in every version. Pure.

    Args:
        total: How many there are to draw from, below 2^53.
        count: How many to draw, at most ``total``.
        seed: Of the generator.

    Returns:
        The numbers, ascending. Raises nothing.
    """
    generator = random.Random(seed)  # noqa: S311 - seeded from the system's random source
    drawn: set[int] = set()
    for last in range(total - count, total):
        one = int(generator.random() * (last + 1))
        drawn.add(last if one in drawn else one)
    return sorted(drawn)


def catch_probability(total: int, hashed: int, bad: int) -> float:
    """Return how likely at least one of ``bad`` spans is among those hashed.

    Hypergeometric: one minus the share of draws that miss all of them. Pure; raises nothing.

    Args:
        total: All spans.
        hashed: Those drawn.
        bad: Those that differ, at most ``total``.
    """
    missed = 1.0
    for one in range(bad):
        missed *= max(0, total - hashed - one) / (total - one)
    return 1.0 - missed


def _compare(opened: Opened, options: hashing.Options, spans: Sequence[int], seed: int) -> Compared:
    nodes = require_signed_nodes(opened.manifest, opened.tree_path)
    sizes = [file.identity.size for file in opened.listing.files]
    ends = list(accumulate(map(span_count, sizes)))
    of_shard: dict[int, list[int]] = {}
    for span in spans:
        index = bisect_right(ends, span)
        of_shard.setdefault(index, []).append(span - (ends[index - 1] if index else 0))
    chosen = {index: runs_of(own, sizes[index]) for index, own in of_shard.items()}
    wrong = compare_runs(opened, nodes, chosen, options)
    total = ends[-1]
    odds = {bad: catch_probability(total, len(spans), bad) for bad in STATED_COUNTS if bad <= total}
    stated = ", ".join(f"{bad}: {_percent(value)}" for bad, value in odds.items())
    return Compared(
        (*wrong, *doubts_about(opened, wrong)),
        sum(run.size for runs in chosen.values() for run in runs),
        f"{len(spans)} of {total} spans of 1 MiB, drawn with seed {seed}; chance of finding one of"
        f" n bad spans: {stated or 'none to find'}",
        (
            ("sampled_spans", len(spans)),
            ("total_spans", total),
            ("seed", seed),
            ("catch_probability", {str(bad): value for bad, value in odds.items()}),
        ),
    )


def _percent(value: float) -> str:
    """Round down, so that only what is certain reads as 100 %."""
    return f"{math.floor(value * 10_000) / 100:.2f} %"


def _parse_amount(text: str) -> tuple[float, int | None]:
    """Return a share, or a size in bytes."""
    found = _AMOUNT.fullmatch(text.strip())
    number, unit = found.groups() if found else ("0", "")
    if unit == "%" and 0 < float(number) <= 100:
        return float(number) / 100, None
    factor = _UNITS.get(unit.upper(), 0)
    if float(number) * factor >= 1:
        return 1.0, int(float(number) * factor)
    raise UsageError(f"cannot sample {text!r}; give a share such as 5%, or a size such as 20GiB")
