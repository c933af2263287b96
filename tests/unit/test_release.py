# SPDX-License-Identifier: Apache-2.0
"""Releases: times in one spelling, what cannot be said, and where they stand in a statement."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from _statements import ENTRIES, OURS, OWN

from pyhash.errors import FormatError
from pyhash.manifest import (
    Release,
    build_manifest,
    dump_statement,
    format_time,
    load_statement,
    parse_time,
)

# `date --utc --date=TEXT +%s`
TIMES = {
    "1970-01-01T00:00:00Z": 0,
    "2000-02-29T12:00:01Z": 951825601,
    "2026-11-25T08:30:00Z": 1795595400,
    "9999-12-31T23:59:59Z": 253402300799,
}
NOT_TIMES = [
    "",
    "now",
    "2026-11-25",
    "2026-11-25T08:30:00",
    "2026-11-25T08:30:00+00:00",
    "2026-11-25T08:30:60Z",
    "2026-11-25T24:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    " 2026-11-25T08:30:00Z",
    "2026-11-25T08:30:00Z\n",
    "26-11-25T08:30:00Z",
    "\u0662026-11-25T08:30:00Z",
]


@pytest.mark.parametrize(("text", "seconds"), TIMES.items())
def test_times(text: str, seconds: int) -> None:
    assert parse_time(text, "x") == seconds
    assert format_time(seconds) == text


@pytest.mark.parametrize("text", NOT_TIMES)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(FormatError, match=r"^x: .* is (no time like 2026-|before 1970)"):
        parse_time(text, "x")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"created": -1}, "created is beyond the years"),
        ({"created": 253402300800}, "created is beyond the years"),
        ({"expires": 253402300800}, "expires is beyond the years"),
        ({"expires": 100}, "expires is not later than created"),
        ({"expires": 99}, "expires is not later than created"),
        ({"counter": -1}, "counter is not from 0"),
        ({"counter": 1 << 53}, "counter is not from 0"),
        ({"name": ""}, "name is empty or longer"),
        ({"name": "x" * 257}, "name is empty or longer"),
        ({"name": "\u65e5" * 86}, "name is empty or longer"),
        ({"name": "\udc80"}, "name is not valid UTF-8"),
    ],
)
def test_what_no_release_can_say(fields: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Release(**{"created": 100, **fields})  # type: ignore[arg-type]


def test_what_a_release_can_just_say() -> None:
    edges = Release(253402300798, (1 << 53) - 1, 253402300799, "x" * 256)
    for release in (edges, Release(0), Release(100, 0, 101, "x")):
        made = build_manifest("m", ENTRIES, release=release)
        assert load_statement(dump_statement(made), path="x").release == release


def test_where_it_stands() -> None:
    for manifest in (OURS, OWN):
        plain = json.loads(dump_statement(manifest))
        assert load_statement(dump_statement(manifest), path="x").release is None
        release = Release(1795595400, 12, 1795595401, "acme/tiny")
        statement = json.loads(dump_statement(replace(manifest, release=release)))
        assert statement["subject"][0].pop("annotations") == {
            "pyhash-release": {
                "created": "2026-11-25T08:30:00Z",
                "expires": "2026-11-25T08:30:01Z",
                "counter": 12,
                "name": "acme/tiny",
            }
        }
        assert statement == plain  # nothing else differs, the roots included


def test_message_names_the_file() -> None:
    good = dump_statement(replace(OURS, release=Release(1795595400)))
    bad = good.replace(b'"created":"2026-11-25T08:30:00Z"', b'"created":1795595400')
    with pytest.raises(FormatError, match=r"^x\.sig: .*created is an integer, not a string"):
        load_statement(bad, path="x.sig")
    later = good.replace(b'00Z"}', b'00Z","expires":"2026-11-25T08:30:00Z"}')
    with pytest.raises(FormatError, match=r"^x\.sig: .*expires is not later"):
        load_statement(later, path="x.sig")
