# SPDX-License-Identifier: Apache-2.0
"""Names of a package that are imported when they are first used: most processes use none."""

from __future__ import annotations

# As in the package itself: what only type checkers read costs a start nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def on_use(
    package: str, names: dict[str, object], homes: Mapping[str, str]
) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package. Raises nothing.

    Args:
        package: Its ``__name__``.
        names: Its ``globals()``: what has been imported is found there from then on.
        homes: Name -> module in the package that has it.

    Returns:
        What Python calls for a name that the package has not (PEP 562). It raises AttributeError
        for one that ``homes`` has not either, and whatever importing raises. Thread-safe.
    """

    def __getattr__(name: str) -> object:  # noqa: N807 - what it is
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        value: object = getattr(importlib.import_module(f"{package}.{home}"), name)
        names[name] = value
        return value

    return __getattr__
