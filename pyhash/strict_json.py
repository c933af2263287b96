# SPDX-License-Identifier: Apache-2.0
"""JSON from untrusted bytes, read in the one way that every careful reader agrees on.

Whatever two readers could understand differently is refused: duplicate keys, NaN, integers above
2**53 - 1, lone surrogates, byte order marks, trailing data. Nothing here writes JSON, and nothing
knows what a text is for; the ``expect_*`` functions only give the callers good messages.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NoReturn, TypeAlias

from pyhash.errors import FormatError, LimitError
from pyhash.limits import MAX_JSON_DEPTH, MAX_JSON_INTEGER, MAX_JSON_VALUES

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_WINDOW_BYTES = 1 << 20  # the nesting scan holds no more than this at once, whatever the text
_SHOWN_CHARS = 80  # how much of an untrusted string a message repeats
_MAX_INTEGER_CHARS = len(str(-MAX_JSON_INTEGER))
_MAX_FLOAT_CHARS = len(str(-int(sys.float_info.max)))

# Byte -> change of depth, after everything but brackets is dropped. Curly and square are one:
# whether they pair up is the parser's business, and it stops at the first pair that does not.
_BRACKETS = b"[{]}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_DEPTH_CHANGE = tuple(1 if byte in b"[{" else -1 for byte in range(256))

# In text whose escaped backslashes are masked: a high half not followed by a low one, or a low
# half not preceded by a high one.
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = re.compile(_HIGH + rb"(?!" + _LOW + rb")|(?<!" + _HIGH + rb")" + _LOW)


def load_json(data: bytes, *, path: str, max_bytes: int, python_numbers: bool = False) -> JsonValue:
    """Parse one JSON text strictly.

    Memory stays within a small multiple of ``max_bytes`` plus MAX_JSON_VALUES objects, and the
    interpreter's recursion limit is never met: size, nesting and number of values are checked
    before anything is built. Safe to call from several threads.

    Args:
        data: The whole text, UTF-8 without a byte order mark.
        path: File that the text came from, for messages.
        max_bytes: Largest size accepted, in bytes.
        python_numbers: Let pass, as floats, what Python's libraries write into configurations:
            larger integers that a float holds exactly (``"model_max_length":
            1000000000000000019884624838656``, which is 1e30), ``NaN`` and ``Infinity``.

    Returns:
        The value. Integers are within +-(2**53 - 1), and floats are finite, but for
        ``python_numbers``; the integer ``-0`` comes back as the float -0.0, as JavaScript and Rust
        readers have it.

    Raises:
        LimitError: The text is larger than ``max_bytes``, nested deeper than MAX_JSON_DEPTH or
            has more values than MAX_JSON_VALUES.
        FormatError: The text is not JSON, or is JSON that readers understand differently
            (duplicate keys after unescaping, NaN, Infinity, integers out of range, floats that
            overflow, lone surrogates, a byte order mark).
    """
    if len(data) > max_bytes:
        raise LimitError(
            f"{path}: JSON text of {len(data)} bytes is above the cap of {max_bytes}", path
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: JSON text is not UTF-8", path, error.start) from None
    if text.startswith("\ufeff"):
        raise FormatError(f"{path}: JSON text begins with a byte order mark", path, 0)
    masked = data.replace(rb"\\", b"..").replace(rb"\"", b"..") if b"\\" in data else data
    _check_structure(masked, path)
    surrogate = _LONE_SURROGATE.search(masked) if rb"\u" in masked else None
    if surrogate is not None:
        message = f"{path}: JSON string has half a surrogate pair"
        raise FormatError(message, path, surrogate.start())
    return _parse(text, path, python_numbers)


def show(text: str) -> str:
    """Quote an untrusted string for a message: escaped, and cut where it is long.

    Args:
        text: Any string.

    Returns:
        A printable form of at most a few hundred characters. Raises nothing.
    """
    return repr(text) if len(text) <= _SHOWN_CHARS else repr(text[:_SHOWN_CHARS]) + "..."


def expect_object(value: JsonValue, where: str, path: str) -> dict[str, JsonValue]:
    """Return ``value`` if it is an object.

    Args:
        value: What was parsed.
        where: Place inside the text, for the message, such as ``"the entry of 'wte'"``.
        path: File that the text came from, for the message.

    Returns:
        The same value.

    Raises:
        FormatError: It is something else.
    """
    if isinstance(value, dict):
        return value
    return _refuse_type(value, "an object", where, path)


def expect_array(value: JsonValue, where: str, path: str) -> list[JsonValue]:
    """Return ``value`` if it is an array; arguments and errors as for `expect_object`.

    Raises:
        FormatError: It is something else.
    """
    if isinstance(value, list):
        return value
    return _refuse_type(value, "an array", where, path)


def expect_string(value: JsonValue, where: str, path: str) -> str:
    """Return ``value`` if it is a string; arguments and errors as for `expect_object`.

    Raises:
        FormatError: It is something else.
    """
    if isinstance(value, str):
        return value
    return _refuse_type(value, "a string", where, path)


def expect_integer(value: JsonValue, where: str, path: str, *, minimum: int = 0) -> int:
    """Return ``value`` if it is an integer of at least ``minimum``.

    Args:
        value: What was parsed. ``true`` is no integer, and neither is ``1.0``.
        where: Place inside the text, for the message.
        path: File that the text came from, for the message.
        minimum: Smallest value accepted.

    Returns:
        The same value.

    Raises:
        FormatError: It is something else, or too small.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < minimum:
            raise FormatError(f"{path}: {where} is {value}, below {minimum}", path)
        return value
    return _refuse_type(value, "an integer", where, path)


def expect_boolean(value: JsonValue, where: str, path: str) -> bool:
    """Return ``value`` if it is true or false; arguments and errors as for `expect_object`.

    Raises:
        FormatError: It is something else.
    """
    if isinstance(value, bool):
        return value
    return _refuse_type(value, "true or false", where, path)


def expect_fields(
    value: JsonValue,
    where: str,
    path: str,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
) -> dict[str, JsonValue]:
    """Return ``value`` if it is an object with these fields and no others.

    Args:
        value: What was parsed.
        where: Place inside the text, for the message.
        path: File that the text came from, for the message.
        required: Fields that must be there.
        optional: Fields that may be there.

    Returns:
        The same value.

    Raises:
        FormatError: It is no object, a field is missing, or there is one that nobody asked for.
    """
    fields = expect_object(value, where, path)
    for name in required:
        if name not in fields:
            raise FormatError(f"{path}: {where} has no field {show(name)}", path)
    for name in fields:
        if name not in required and name not in optional:
            raise FormatError(f"{path}: {where} has the unknown field {show(name)}", path)
    return fields


def _check_structure(masked: bytes, path: str) -> None:
    """Refuse deep nesting and too many values before the parser recurses or builds anything.

    ``masked`` is the text with every escaped backslash and quote replaced by dots, so that a
    quote always begins or ends a string. Where the text is not JSON this reading may be wrong,
    but only behind the first mistake, which the parser does not get past.
    """
    depth = 0
    values = 1  # all but the first follow a comma or an opening bracket; [] and {} count twice
    inside_string = 0
    for start in range(0, len(masked), _WINDOW_BYTES):
        runs = masked[start : start + _WINDOW_BYTES].split(b'"')
        outside = b" ".join(runs[inside_string::2])
        inside_string ^= (len(runs) - 1) & 1
        brackets = outside.translate(None, _NOT_BRACKETS)
        depths = list(accumulate(map(_DEPTH_CHANGE.__getitem__, brackets), initial=depth))
        depth = depths[-1]
        values += outside.count(b",") + brackets.count(b"[") + brackets.count(b"{")
        if max(depths) > MAX_JSON_DEPTH:
            raise LimitError(f"{path}: JSON nested deeper than {MAX_JSON_DEPTH}", path)
        if values > MAX_JSON_VALUES:
            raise LimitError(f"{path}: JSON text of more than {MAX_JSON_VALUES} values", path)


def _parse(text: str, path: str, python_numbers: bool) -> JsonValue:
    """Run the standard parser with hooks for everything that it would let pass."""

    def load_integer(digits: str) -> int | float:
        if digits == "-0":
            return -0.0
        if len(digits) > _MAX_INTEGER_CHARS or abs(int(digits)) > MAX_JSON_INTEGER:
            if python_numbers and _is_float(digits):
                return float(digits)
            raise FormatError(f"{path}: JSON integer {show(digits)} is out of range", path)
        return int(digits)

    def load_float(digits: str) -> float:
        number = float(digits)
        if not math.isfinite(number):
            raise FormatError(f"{path}: JSON number {show(digits)} is out of range", path)
        return number

    def load_constant(name: str) -> float:
        if python_numbers:
            return float(name)
        raise FormatError(f"{path}: {name} is not JSON", path)

    def load_object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise FormatError(f"{path}: JSON object has the key {show(twice)} twice", path)
        return fields

    try:
        value: JsonValue = json.loads(
            text,
            parse_int=load_integer,
            parse_float=load_float,
            parse_constant=load_constant,
            object_pairs_hook=load_object,
        )
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode("utf-8"))
        raise FormatError(f"{path}: not JSON: {error.msg}", path, offset) from None
    return value


def _is_float(digits: str) -> bool:
    """Does a float hold this integer exactly, so that all readers have the same value?"""
    if len(digits) > _MAX_FLOAT_CHARS or not math.isfinite(float(digits)):
        return False
    return int(float(digits)) == int(digits)


def _refuse_type(value: JsonValue, expected: str, where: str, path: str) -> NoReturn:
    """Raise FormatError naming what was expected and what is there instead."""
    names = {
        type(None): "null",
        bool: "true or false",
        int: "an integer",
        float: "a number with a fraction or exponent",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    raise FormatError(f"{path}: {where} is {names[type(value)]}, not {expected}", path)
