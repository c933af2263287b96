# SPDX-License-Identifier: Apache-2.0
"""Which roof binds. Pure arithmetic on rates."""

from __future__ import annotations

from dataclasses import dataclass

# Below this share of the lower roof, neither of the two explains what was measured.
NEAR = 0.75


@dataclass(frozen=True, slots=True)
class Verdict:
    """One kind of work, and what holds it back. Rates are bytes per second.

    Attributes:
        mode: ``sign``, ``verify`` or ``whole-file``.
        cache: ``cold`` or ``cached``.
        reading, hashing: The two roofs.
        measured: What the two together reached; None where they cannot be put together.
        binds: ``drive``, ``memory`` (reading out of the page cache), ``hashing``, or ``neither``.
        sentence: All of it for a person.
    """

    mode: str
    cache: str
    reading: float
    hashing: float
    measured: float | None
    binds: str
    sentence: str


def judge(
    mode: str, cache: str, *, reading: float, hashing: float, measured: float | None
) -> Verdict:
    """Return which roof is the lower one, and how near to it the work came. Raises nothing.

    Args:
        mode, cache, reading, hashing, measured: As in ``Verdict``.
    """
    source = "drive" if cache == "cold" else "memory"
    lower = "hashing" if hashing < reading else source
    bound = min(hashing, reading)
    other = f"{'hashing' if lower != 'hashing' else source} would do {_gb(max(hashing, reading))}"
    what = f"{mode}, {cache}"
    if measured is None:
        sentence = f"{what}: would be {lower}-bound at {_gb(bound)} GB/s ({other})"
        return Verdict(mode, cache, reading, hashing, measured, lower, sentence)
    if measured < NEAR * bound:
        sentence = (
            f"{what}: below both roofs: {_gb(measured)} GB/s where the lower one, {lower}, allows"
            f" {_gb(bound)} ({other})"
        )
        return Verdict(mode, cache, reading, hashing, measured, "neither", sentence)
    reached = f"{_gb(measured)} of {_gb(bound)} GB/s"
    sentence = f"{what}: {lower}-bound: {reached} ({other})"
    return Verdict(mode, cache, reading, hashing, measured, lower, sentence)


def _gb(rate: float) -> str:
    return f"{rate / 1e9:.1f}" if rate >= 1e9 else f"{rate / 1e9:.2f}"
