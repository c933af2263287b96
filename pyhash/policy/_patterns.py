# SPDX-License-Identifier: Apache-2.0
"""Which rule a checkpoint's name falls under. The name is the path that the caller gave.

Not the name in the signature, which an attacker may choose, and not where links on the path lead:
who asks for ``/models/prod/llama`` gets the rule for that, whatever somebody made it point to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fnmatch import translate

from pyhash.errors import FormatError, PolicyError

ANY_DEPTH = "**"
MAX_COMPONENTS = 64  # of one pattern


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that could never match, or not what it seems to. Pure, thread-safe.

    Args:
        pattern: Components between ``/``. In one, ``*``, ``?`` and ``[...]`` mean what they mean
            to a shell; ``**`` alone stands for any number of components. With a ``/`` in front it
            must match the whole absolute path, without one the end of it.

    Raises:
        FormatError: Empty, an empty component, ``.`` or ``..``, or ``**`` beside other characters.
    """
    parts = pattern.removeprefix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise FormatError("an empty component, '.' or '..'")
    if any(ANY_DEPTH in part and part != ANY_DEPTH for part in parts):
        raise FormatError("'**' must be a component of its own")
    if len(parts) > MAX_COMPONENTS or parts.count(ANY_DEPTH) > 2:
        raise FormatError(f"more than {MAX_COMPONENTS} components, or more than two '**'")


def is_match(pattern: str, location: str) -> bool:
    """Whether a pattern that ``check_pattern`` passed matches an absolute path. Raises nothing."""
    parts = pattern.removeprefix("/").split("/")
    if not pattern.startswith("/"):
        parts = [ANY_DEPTH, *parts]
    return _matches(parts, location.strip("/").split("/"))


def name_of(location: str | os.PathLike[str]) -> str:
    """Return the absolute path that rules are matched against.

    Raises:
        PolicyError: It leads through a link and back by ``..``: what it is called, and what it is,
            are two things.
    """
    text = os.fspath(location)
    name = os.path.abspath(text)
    if os.path.realpath(text) != os.path.realpath(name):
        raise PolicyError(
            f"{text}: leads back through a link, so that no rule can be chosen by its name; give"
            " the path without '..'"
        )
    return name


def _matches(parts: Sequence[str], names: Sequence[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == ANY_DEPTH:
        return any(_matches(parts[1:], names[start:]) for start in range(len(names) + 1))
    if not names or re.match(translate(parts[0]), names[0]) is None:
        return False
    return _matches(parts[1:], names[1:])
