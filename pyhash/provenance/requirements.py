# SPDX-License-Identifier: Apache-2.0
"""What is required of a checkpoint's lineage. Data only; ``lineage.py`` holds statements to it."""

from __future__ import annotations

from dataclasses import dataclass

from pyhash.errors import UsageError
from pyhash.log.checkpoint import TrustedLog
from pyhash.provenance.schema import STEPS
from pyhash.signing import Verifier


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a lineage is held against. Immutable, thread-safe.

    Attributes:
        keys: Whoever may sign a statement; never empty.
        step_keys: (step, who alone may sign it), for steps that not all of ``keys`` may sign.
        known_parents: Roots, 64 hex digits, that need no statement: where a lineage may begin.
        allow_unknown_parents: Let a lineage begin with a checkpoint of which nothing is known.
        datasets: The only data sets to accept, ``algorithm:hex``; None: any, also unknown ones.
        required_steps: Steps that must have taken place, such as ``evaluate``.
        log: Where every statement must be logged, with witnesses; None: nowhere.

    Raises:
        UsageError: No key, or a step that there is not.
    """

    keys: tuple[Verifier, ...]
    step_keys: tuple[tuple[str, tuple[Verifier, ...]], ...] = ()
    known_parents: tuple[str, ...] = ()
    allow_unknown_parents: bool = False
    datasets: tuple[str, ...] | None = None
    required_steps: tuple[str, ...] = ()
    log: TrustedLog | None = None

    def __post_init__(self) -> None:
        named = [step for step, _ in self.step_keys]
        if not self.keys or not all(keys for _, keys in self.step_keys):
            raise UsageError("a lineage needs at least one trusted key for every step")
        for step in (*named, *self.required_steps):
            if step not in STEPS:
                raise UsageError(f"no step {step!r}; there are {', '.join(STEPS)}")
        if len(set(named)) != len(named):
            raise UsageError("one step has its keys twice")

    def keys_of(self, step: str) -> tuple[Verifier, ...]:
        """Return who may sign a step. Raises nothing."""
        return dict(self.step_keys).get(step, self.keys)

    def all_keys(self) -> tuple[Verifier, ...]:
        """Return everybody who may sign any step. Raises nothing."""
        return (*self.keys, *(key for _, keys in self.step_keys for key in keys))
