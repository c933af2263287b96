# SPDX-License-Identifier: Apache-2.0
"""What a target that releases are published to must be able to do.

A target stores bytes under names; that readers see a whole release or none is the business of
``main``, which stores the bundle last and the pointer after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyhash.fetch import Network


class Target(Protocol):
    """One place that releases can be published to. Safe to call from any thread."""

    @property
    def name(self) -> str:
        """What it is called in messages, without credentials. Raises nothing."""

    def size_of(self, path: str) -> int | None:
        """Return the size of an object that is there, or None.

        Args:
            path: Below the home, ``/``-separated.

        Raises:
            PushError: It cannot be found out.
        """

    def read_small(self, path: str, limit: int) -> bytes | None:
        """Return a small object, or None when there is none.

        Raises:
            PushError: It cannot be had, or is larger.
        """

    def put_file(self, path: str, local: str) -> None:
        """Store a file; the target checks what arrives where it can.

        Args:
            path: Below the home.
            local: The file.

        Raises:
            PushError: It was not stored.
        """

    def put_new(self, path: str, data: bytes) -> bool:
        """Store a small object unless there is one; returns False when there is.

        Raises:
            PushError: It was not stored.
        """

    def put_over(self, path: str, data: bytes) -> None:
        """Store a small object, in place of one that may be there.

        Raises:
            PushError: It was not stored.
        """


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One line of the table in ``pyhash.push``.

    Attributes:
        schemes: What stands before ``://`` in its references; "" for a path.
        open_target: (reference, network) -> target; raises UsageError or DependencyError.
    """

    schemes: tuple[str, ...]
    open_target: Callable[[str, Network], Target]
