# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: what is read, what is refused and why, and that bombs stop at their caps."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyhash import strict_json
from pyhash.errors import FormatError, LimitError
from pyhash.limits import MAX_JSON_DEPTH, MAX_JSON_INTEGER
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_boolean,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)


def load(data: bytes) -> JsonValue:
    return load_json(data, path="some.json", max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"null", None),
        (b" \t\r\n true \n", True),
        (b"0", 0),
        (b"-1", -1),
        (b"9007199254740991", MAX_JSON_INTEGER),
        (b"-9007199254740991", -MAX_JSON_INTEGER),
        (b"1.5e3", 1500.0),
        (b"1e-999", 0.0),
        (b'""', ""),
        (b'"\\u0077\\/\\"\\\\\\n\\u0000"', 'w/"\\\n\0'),
        (b'"\\ud83d\\ude00\\uD83D\\uDE00"', "\U0001f600\U0001f600"),
        (b'"\\\\ud800"', "\\ud800"),
        ('"é\U0001f600"'.encode(), "é\U0001f600"),
        (b"[]", []),
        (b"{}", {}),
        (b'{"a":[1,{"a":2}],"":{}}', {"a": [1, {"a": 2}], "": {}}),
        (b'["]]]","{\\"","\\\\",[]]', ["]]]", '{"', "\\", []]),
    ],
)
def test_reads(data: bytes, expected: JsonValue) -> None:
    value = load(data)
    assert value == expected
    assert type(value) is type(expected)


def test_minus_zero_is_no_integer() -> None:
    value = load(b"[-0]")
    assert json.dumps(value) == "[-0.0]"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"{", "not JSON"),
        (b"[1,]", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"{a:1}", "not JSON"),
        (b"[1] 2", "not JSON"),
        (b"[1]\0", "not JSON"),
        (b"/**/1", "not JSON"),
        (b"01", "not JSON"),
        (b"+1", "not JSON"),
        (b".5", "not JSON"),
        (b"1.", "not JSON"),
        (b"0x10", "not JSON"),
        (b"True", "not JSON"),
        (b"\x0b1", "not JSON"),
        ("\u00a01".encode(), "not JSON"),
        ("\u0661".encode(), "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b'"\\x41"', "not JSON"),
        (b'"\\u12"', "not JSON"),
        (b'"open', "not JSON"),
        (b'"\\"', "not JSON"),
        (b"NaN", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b"9007199254740992", "out of range"),
        (b"-9007199254740992", "out of range"),
        (b"1" * 5000, "out of range"),
        (b"1e999", "out of range"),
        (b"-1" + b"0" * 400 + b".0", "out of range"),
        (b'{"a":1,"a":1}', "key 'a' twice"),
        (b'{"x":1,"a":1,"\\u0061":2}', "key 'a' twice"),
        (b'[{"b":{"":1,"":1}}]', "key '' twice"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\uDC00"', "surrogate"),
        (b'"\\ud800\\ud800\\udc00"', "surrogate"),
        (b'"\\ud800\\udc00\\udc00"', "surrogate"),
        (b'"\\ud800x\\udc00"', "surrogate"),
        (b'"\\ud800\\\\udc00"', "surrogate"),
        (b'{"\\ud800":1}', "surrogate"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xc0\x80"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "not JSON"),
    ],
)
def test_refuses(data: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says) as caught:
        load(data)
    assert caught.value.path == "some.json"
    assert str(caught.value).startswith("some.json: ")
    assert not isinstance(caught.value, LimitError)


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b'["\xc3\xa9",x]', 6),
        (b'["\xff"]', 2),
        (b'["\\\\ \\" \\ud800"]', 8),
        (b"\xef\xbb\xbf{}", 0),
    ],
)
def test_offset_counts_bytes(data: bytes, offset: int) -> None:
    with pytest.raises(FormatError) as caught:
        load(data)
    assert caught.value.offset == offset


def test_numbers_of_python() -> None:
    data = b"[1000000000000000019884624838656, -9007199254740992, Infinity, -Infinity, 5, NaN]"
    *numbers, last = load_json(data, path="x", max_bytes=100, python_numbers=True)  # type: ignore[misc]
    assert numbers == [1e30, -(2.0**53), math.inf, -math.inf, 5]
    assert math.isnan(last)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data", [b"9007199254740993", b"1e999", b"1" + b"0" * 308, b"1" + b"0" * 5000, b'{"a":1,"a":1}']
)
def test_python_too_does_not_write_that(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"out of range|twice"):
        load_json(data, path="x", max_bytes=1 << 20, python_numbers=True)


def test_size_at_cap_and_above() -> None:
    assert load_json(b"[1]", path="x", max_bytes=3) == [1]
    with pytest.raises(LimitError, match="cap of 2"):
        load_json(b"[1]", path="x", max_bytes=2)


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_at_cap_and_above(begin: bytes, end: bytes) -> None:
    def nested(depth: int) -> bytes:
        return begin * (depth - 1) + begin.replace(b":", b":0") + end * depth

    value = load(nested(MAX_JSON_DEPTH))
    for _ in range(MAX_JSON_DEPTH - 1):
        assert isinstance(value, list | dict)
        value = value[0] if isinstance(value, list) else value["a"]
    with pytest.raises(LimitError, match="deeper than 64"):
        load(nested(MAX_JSON_DEPTH + 1))


def test_depth_is_checked_before_recursion() -> None:
    for data in (b"[" * 1_000_000, b'{"a":' * 200_000, b'"a"' + b"[{" * sys.getrecursionlimit()):
        with pytest.raises(LimitError, match="deeper"):
            load(data)


def test_brackets_in_strings_do_not_nest() -> None:
    text = "[" * 500 + '"' + "\\" + "{" * 500
    assert load(json.dumps([text, {text: text}]).encode()) == [text, {text: text}]


def test_values_at_cap_and_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "MAX_JSON_VALUES", 8)
    assert load(b'[1,"a,b,[",{"k":1,"l":[2]},4]') is not None  # 8 values and 2 keys
    with pytest.raises(LimitError, match="more than 8 values"):
        load(b'[1,"a",{"k":1,"l":[2]},4,5]')


def depth_of(value: JsonValue) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\[]{},:'), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_JSON_INTEGER, MAX_JSON_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(derandomize=True, max_examples=150)
@given(value=VALUES, ascii_only=st.booleans(), window=st.integers(1, 40))
def test_reads_what_the_standard_library_writes(
    value: JsonValue, ascii_only: bool, window: int
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=window % 3 or None).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_WINDOW_BYTES", window)
        assert load(data) == value
        depth = depth_of(value)
        patch.setattr(strict_json, "MAX_JSON_DEPTH", depth)
        assert load(data) == value
        if depth:
            patch.setattr(strict_json, "MAX_JSON_DEPTH", depth - 1)
            with pytest.raises(LimitError):
                load(data)


@settings(derandomize=True, max_examples=300)
@given(
    data=st.lists(
        st.sampled_from(
            [
                b"[",
                b"]",
                b"{",
                b"}",
                b",",
                b":",
                b'"',
                b"\\",
                b"\\u",
                b"d800",
                b"dc00",
                b"1",
                b"-0",
                b".5",
                b"e9",
                b"NaN",
                b"null",
                b" ",
                b"\n",
                b"\x00",
                b'"a":',
                b"\xc3\xa9",
                b"\xff",
            ]
        ),
        max_size=12,
    )
)
def test_accepts_nothing_that_the_standard_library_refuses(data: list[bytes]) -> None:
    text = b"".join(data)
    try:
        value = load(text)
    except FormatError:
        return
    assert json.loads(text) == value


def test_show_escapes_and_cuts() -> None:
    assert show("wte") == "'wte'"
    assert show("a\n\x1b[31m\u202e") == "'a\\n\\x1b[31m\\u202e'"
    assert show("x" * 80) == repr("x" * 80)
    assert show("x" * 81) == repr("x" * 80) + "..."


@pytest.mark.parametrize(
    ("expect", "good", "article"),
    [
        (expect_object, {"a": 1}, "an object"),
        (expect_array, [1], "an array"),
        (expect_string, "s", "a string"),
        (expect_integer, 7, "an integer"),
        (expect_boolean, False, "true or false"),
    ],
)
def test_expect(expect: Callable[..., Any], good: JsonValue, article: str) -> None:
    assert expect(good, "here", "p") is good
    others: list[JsonValue] = [None, True, 1, 1.0, "s", [], {}]
    for other in others:
        if type(other) is type(good):
            continue
        with pytest.raises(FormatError, match=rf"^p: here is .*, not {article}$") as caught:
            expect(other, "here", "p")
        assert caught.value.path == "p"


def test_expect_integer_minimum() -> None:
    assert expect_integer(0, "n", "p") == 0
    assert expect_integer(-3, "n", "p", minimum=-3) == -3
    with pytest.raises(FormatError, match="n is -1, below 0"):
        expect_integer(-1, "n", "p")


def test_expect_fields() -> None:
    value: JsonValue = {"a": 1, "b": 2}
    assert expect_fields(value, "it", "p", required=("a",), optional=("b", "c")) is value
    with pytest.raises(FormatError, match="it has no field 'c'"):
        expect_fields(value, "it", "p", required=("a", "c"), optional=("b",))
    with pytest.raises(FormatError, match="it has the unknown field 'b'"):
        expect_fields(value, "it", "p", required=("a",))
    with pytest.raises(FormatError, match="it is an array, not an object"):
        expect_fields([], "it", "p", required=())
