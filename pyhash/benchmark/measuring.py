# SPDX-License-Identifier: Apache-2.0
"""Rounds in which everything that is compared takes turns; median and spread of what they gave.

A shared machine's speed changes from second to second, so two rates are only worth comparing when
they were taken side by side.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

SEED = 20261125  # the same order in every run; what matters is that it differs by round

Tell = Callable[[str], None]


class Variant(Protocol):
    """Something that is measured: its name in results, and what does the work once."""

    @property
    def name(self) -> str:
        """Unique within one run. Raises nothing."""

    def __call__(self) -> float:
        """Do the work and return bytes per second. Raises what the work raises."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave, in bytes per second.

    Attributes:
        median, min, max: Of the rounds.
    """

    median: float
    min: float
    max: float


V = TypeVar("V", bound=Variant)


def by_name(variants: Iterable[V]) -> dict[str, V]:
    """Return variants by their names. Raises nothing."""
    return {one.name: one for one in variants}


def spread(values: Sequence[float]) -> Spread:
    """Return median, minimum and maximum of at least one value. Raises nothing else."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Phase:
    """Part of a round: what takes turns under the same conditions.

    Attributes:
        prepare: Brings the conditions about, such as a cold page cache; not measured.
        variants: By their names.
    """

    prepare: Callable[[], object]
    variants: Mapping[str, Variant]


def interleave(phases: Sequence[Phase], rounds: int, tell: Tell) -> dict[str, Spread]:
    """Run every variant of every phase once a round, in a new random order each time.

    Args:
        phases: The phases of a round, in their order; names are unique among all of them.
        rounds: How often, at least 1.
        tell: Is told which round it is.

    Returns:
        The spread of each variant.

    Raises:
        What a variant, or a phase's ``prepare``, raises.
    """
    order = random.Random(SEED)  # noqa: S311 - shuffles, protects nothing
    rates: dict[str, list[float]] = {name: [] for phase in phases for name in phase.variants}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for phase in phases:
            phase.prepare()
            names = list(phase.variants)
            order.shuffle(names)
            for name in names:
                rates[name].append(phase.variants[name]())
    return {name: spread(values) for name, values in rates.items()}
