# SPDX-License-Identifier: Apache-2.0
"""Names of files: what is canonical, what is capped, what cannot stand in one list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.paths import (
    DEFAULT_IGNORED,
    check_ignored_path,
    check_listing,
    check_path,
    check_text,
)

ODD_BUT_ALLOWED = [
    "a",
    "a/b/c",
    ".hidden",
    "...",
    "..a/b..",
    "a b",
    "a\nb",
    "a:0:5",
    "C:\\windows",
    "caf\u00e9",  # composed
    "cafe\u0301",  # decomposed: another name
    "\u6a21\u578b/\U0001f600",
    "-rf",
    "~",
    "a*b",
    "con",
    "\x7f\x1b",
]
REFUSED = [
    "",
    ".",
    "..",
    "/",
    "/a",
    "a/",
    "a//b",
    "./a",
    "a/.",
    "a/./b",
    "../a",
    "a/..",
    "a/../b",
    "a\0b",
    "\0",
    "a\udc80",
    "\ud83d/x",
]


@pytest.mark.parametrize("path", ODD_BUT_ALLOWED)
def test_allowed(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize("path", REFUSED)
def test_refused(path: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_path(path)
    assert caught.value.path is None
    with pytest.raises(FormatError, match=r"^the file: ") as caught:
        check_path(path, source="the file")
    assert caught.value.path == "the file"


def test_caps() -> None:
    check_path("x" * limits.MAX_PATH_BYTES)
    check_path("\u00e9" * (limits.MAX_PATH_BYTES // 2))
    for path in ("x" * (limits.MAX_PATH_BYTES + 1), "\u00e9" * (limits.MAX_PATH_BYTES // 2) + "x"):
        with pytest.raises(LimitError, match="longer than 4096 bytes") as caught:
            check_path(path, source="m")
        assert len(str(caught.value)) < 1000
    check_path("/".join("x" * limits.MAX_PATH_DEPTH))
    with pytest.raises(LimitError, match="more than 64 components"):
        check_path("/".join("x" * (limits.MAX_PATH_DEPTH + 1)))


@given(st.text())
def test_what_is_allowed_stays_below_the_checkpoint(path: str) -> None:
    try:
        check_path(path)
    except FormatError:
        return
    depth = 0
    for component in path.split("/"):
        assert component not in ("", ".", "..")
        assert "\0" not in component
        depth += 1
    assert depth >= 1
    path.encode("utf-8")


@pytest.mark.parametrize("path", [*DEFAULT_IGNORED, "cache/huggingface", "model.sig"])
def test_ignored_path(path: str) -> None:
    check_ignored_path(path)


@pytest.mark.parametrize("path", ["*", "*.bin", "a?", "a/[b]", "../a", "/a", "", ".", "a/"])
def test_ignored_path_refused(path: str) -> None:
    with pytest.raises(FormatError):
        check_ignored_path(path)


def test_defaults_are_those_of_oms() -> None:
    assert set(DEFAULT_IGNORED) == {".git", ".gitignore", ".gitattributes", ".github"}


def test_text() -> None:
    check_text("caf\u00e9", "the name")
    with pytest.raises(FormatError, match=r"^f: the name is not valid UTF-8: 'a\\udcff'"):
        check_text("a\udcff", "the name", source="f")
    with pytest.raises(FormatError, match=r"^the name is"):
        check_text("a\udcff", "the name")


def test_listing() -> None:
    check_listing([], [])
    check_listing(["a", "a-b", "a.b/c", "ab", "b/a", "b/ac"], ["b/a.", "c", "a/b", "b/a/c"])


@pytest.mark.parametrize(
    ("paths", "ignored", "message"),
    [
        (["a", "b", "b"], [], "'b' is listed twice"),
        (["a", "a-b", "a/b"], [], "'a/b' lies below a file"),
        (["a", "a/b/c/d"], [], "'a/b/c/d' lies below a file"),
        (["a", "b"], ["b"], "'b' is both signed and ignored"),
        (["a/b/c"], ["a"], "'a/b/c' is both"),
        (["a/b/c"], ["a/b"], "'a/b/c' is both"),
    ],
)
def test_listing_refused(paths: list[str], ignored: list[str], message: str) -> None:
    with pytest.raises(FormatError, match=f"^{message}"):
        check_listing(paths, ignored)
    with pytest.raises(FormatError, match=f"^source: {message}") as caught:
        check_listing(paths, ignored, source="source")
    assert caught.value.path == "source"
