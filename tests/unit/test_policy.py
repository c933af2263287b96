# SPDX-License-Identifier: Apache-2.0
"""Whom a policy trusts and what it lets be ignored; what it must not let through."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pyhash.errors import KeyFileError, UsageError
from pyhash.policy import Policy
from pyhash.signing.ecdsa import PrivateKey, generate_key, write_key_pair


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    key = generate_key()
    write_key_pair(key, tmp_path / "key", tmp_path / "key.pub")
    return key


def test_from_key_files(key: PrivateKey, tmp_path: Path) -> None:
    other = generate_key("P-384")
    write_key_pair(other, tmp_path / "other", tmp_path / "other.pub")
    policy = Policy.from_key_files(
        [str(tmp_path / "key.pub"), tmp_path / "other.pub"], ignore=iter(["model.log", "a/b"])
    )
    assert policy.keys == (key.public_key, other.public_key)
    assert policy.ignore == ("model.log", "a/b")


def test_nothing_is_ignored_unless_asked(key: PrivateKey) -> None:
    assert Policy((key.public_key,)).ignore == ()


def test_no_key() -> None:
    with pytest.raises(UsageError, match="at least one trusted key"):
        Policy(())
    with pytest.raises(UsageError, match="at least one trusted key"):
        Policy.from_key_files([])


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/etc", "a/../b", "a/", "*", "*.bin", "a\0", "\ud800"]
)
def test_bad_ignored_path(path: str, key: PrivateKey) -> None:
    with pytest.raises(UsageError, match="cannot ignore this path"):
        Policy((key.public_key,), ("fine", path))


def test_one_string_is_not_a_list(key: PrivateKey, tmp_path: Path) -> None:
    for key_files in (str(tmp_path / "key.pub"), tmp_path / "key.pub"):
        with pytest.raises(UsageError, match="as lists"):
            Policy.from_key_files(key_files)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="as lists"):
        Policy.from_key_files([tmp_path / "key.pub"], ignore="abc")


def test_one_bad_key_is_enough(key: PrivateKey, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="private key"):
        Policy.from_key_files([tmp_path / "key.pub", tmp_path / "key"])
    with pytest.raises(KeyFileError, match="No such file"):
        Policy.from_key_files([tmp_path / "key.pub", tmp_path / "missing"])


def test_frozen(key: PrivateKey) -> None:
    policy = Policy((key.public_key,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.keys = ()  # type: ignore[misc]
