# SPDX-License-Identifier: Apache-2.0
"""The parameters inside a key reference: ``name=value`` pairs between semicolons.

    certificate:root=ca.pem;identity=release@example.org

In a value ``%``, ``;`` and whatever else one likes are written as in a URI, ``%3B``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pyhash.errors import UsageError
from pyhash.strict_json import show

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def parse_parameters(text: str, names: Sequence[str], *, scheme: str) -> dict[str, tuple[str, ...]]:
    """Read the parameters of a reference. Pure, thread-safe.

    Args:
        text: What stands behind the colon.
        names: Every name that may be there; each may be there several times.
        scheme: What stands before the colon, for messages.

    Returns:
        For each name its values in their order, () where there is none.

    Raises:
        UsageError: Another name, no ``=``, an empty value, or an escape that is none.
    """
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    for pair in filter(None, text.split(";")):
        name, equals, value = pair.partition("=")
        if name not in found:
            known = ", ".join(names)
            raise UsageError(f"{scheme}: no such parameter: {show(name)} (one of {known})")
        if not equals or not value:
            raise UsageError(f"{scheme}: the parameter {name} has no value")
        found[name] += (unescape(value, scheme).decode("utf-8", "surrogateescape"),)
    return found


def format_reference(scheme: str, parameters: Mapping[str, Sequence[str]]) -> str:
    """Write a reference that ``parse_parameters`` reads back. Raises nothing.

    Args:
        scheme: What stands before the colon.
        parameters: For each name its values.
    """
    pairs = (
        f"{name}={value.replace('%', '%25').replace(';', '%3B')}"
        for name, values in parameters.items()
        for value in values
    )
    return f"{scheme}:{';'.join(pairs)}"


def one_value(parameters: Mapping[str, Sequence[str]], name: str, *, scheme: str) -> str | None:
    """Return the only value of a parameter, or None.

    Args:
        parameters: What ``parse_parameters`` returned.
        name: The parameter.
        scheme: For the message.

    Raises:
        UsageError: There are several.
    """
    values = parameters[name]
    if len(values) > 1:
        raise UsageError(f"{scheme}: the parameter {name} is there {len(values)} times")
    return values[0] if values else None


def needed_value(parameters: Mapping[str, Sequence[str]], name: str, *, scheme: str) -> str:
    """Return the only value of a parameter; arguments as for ``one_value``.

    Raises:
        UsageError: There is none, or several.
    """
    value = one_value(parameters, name, scheme=scheme)
    if value is None:
        raise UsageError(f"{scheme}: the parameter {name} is missing")
    return value


def unescape(value: str, scheme: str) -> bytes:
    """Replace the escapes of a URI by the bytes that they stand for.

    Args:
        value: The text.
        scheme: For the message.

    Raises:
        UsageError: There is a ``%`` that begins no escape.
    """
    data = value.encode("utf-8", "surrogateescape")
    if data.count(b"%") != len(_ESCAPE.findall(data)):
        raise UsageError(f"{scheme}: {show(value)} has a % that begins no escape; write it %25")
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), data)
