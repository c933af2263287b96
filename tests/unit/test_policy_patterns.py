# SPDX-License-Identifier: Apache-2.0
"""Which names a pattern stands for, and patterns that would not stand for what they seem to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyhash.errors import FormatError, PolicyError
from pyhash.policy._patterns import check_pattern, is_match, name_of

MATCHES = [
    ("llama", "/srv/models/llama"),
    ("llama-*", "/srv/llama-3-8b"),
    ("*", "/srv/x"),
    ("*", "/"),
    ("prod/*", "/srv/prod/llama"),
    ("prod/*", "/prod/llama"),
    ("/srv/models/*", "/srv/models/llama"),
    ("/srv/**", "/srv/a"),
    ("/srv/**", "/srv/a/b/c"),
    ("/srv/**", "/srv"),
    ("/**/prod/*", "/prod/x"),
    ("/**/prod/*", "/a/b/prod/x"),
    ("/srv/**/x", "/srv/x"),
    ("/srv/**/x", "/srv/a/b/x"),
    ("release-[0-9]", "/srv/release-7"),
    ("release-?", "/srv/release-7"),
    ("mod*.safetensors", "/srv/model.safetensors"),
    ("new\nline", "/srv/new\nline"),
]
MISSES = [
    ("llama", "/srv/llama-2"),
    ("llama", "/srv/Llama"),
    ("llama", "/srv/llama/checkpoint"),
    ("llama", "/srv/my-llama"),
    ("llama", "/srv/llama\n"),
    ("llama-*", "/srv/llama-2/x"),  # a star does not cross a slash
    ("prod/*", "/srv/prod/llama/v2"),
    ("prod/*", "/srv/notprod/llama"),
    ("/srv/*", "/mnt/srv/x"),
    ("/srv/*", "/srv/a/b"),
    ("/srv/**", "/srvx/a"),
    ("/srv/**/x", "/srv/a/y"),
    ("release-[0-9]", "/srv/release-x"),
    ("a/b", "/b"),
    ("/a", "/"),
]


@pytest.mark.parametrize(("pattern", "name"), MATCHES)
def test_match(pattern: str, name: str) -> None:
    check_pattern(pattern)
    assert is_match(pattern, name)


@pytest.mark.parametrize(("pattern", "name"), MISSES)
def test_no_match(pattern: str, name: str) -> None:
    check_pattern(pattern)
    assert not is_match(pattern, name)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/",
        "a/",
        "//a",
        "a//b",
        "./a",
        "a/..",
        "..",
        "a**",
        "**a/b",
        "/".join("a" * 65),
        "**/a/**/b/**/c",
    ],
)
def test_bad_pattern(pattern: str) -> None:
    with pytest.raises(FormatError):
        check_pattern(pattern)


def test_longest_pattern() -> None:
    check_pattern("/".join("a" * 64))
    check_pattern("**/a/**")


def test_name_is_that_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a link on the path leads does not choose the rule."""
    (tmp_path / "dev/model").mkdir(parents=True)
    (tmp_path / "prod").mkdir()
    (tmp_path / "prod/model").symlink_to("../dev/model")
    assert name_of(tmp_path / "prod/model") == str(tmp_path / "prod/model")
    monkeypatch.chdir(tmp_path / "prod")
    assert name_of("model") == str(tmp_path / "prod/model")
    assert name_of("../dev/./model/") == str(tmp_path / "dev/model")
    assert name_of("not/there/yet") == str(tmp_path / "prod/not/there/yet")


def test_name_that_means_two_things(tmp_path: Path) -> None:
    """/a/link/../x is /elsewhere/x to the system and /a/x to a reader."""
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/model").mkdir()
    (tmp_path / "prod/model").mkdir(parents=True)
    (tmp_path / "prod/link").symlink_to("../elsewhere/deep")
    with pytest.raises(PolicyError, match="leads back through a link"):
        name_of(f"{tmp_path}/prod/link/../model")
    assert os.path.realpath(f"{tmp_path}/prod/link/../model") == str(tmp_path / "elsewhere/model")
