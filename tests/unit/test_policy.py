# SPDX-License-Identifier: Apache-2.0
"""Whom a policy trusts and what it lets be ignored; what it must not let through."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pyhash import guarantees, limits
from pyhash.errors import KeyFileError, PolicyError, UsageError
from pyhash.policy import GUARANTEES, MODES, Policy, Waiver
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
        [str(tmp_path / "key.pub"), tmp_path / "other.pub"],
        ignore=iter(["model.log", "a/b"]),
        root="pyhash-v1:" + "ab" * 32,
        state=tmp_path / "state",
    )
    assert policy.keys == (key.public_key, other.public_key)
    assert policy.ignore == ("model.log", "a/b")
    assert policy.roots == (b"\xab" * 32,)
    assert policy.state == str(tmp_path / "state")


def test_nothing_is_let_pass_unless_asked(key: PrivateKey, tmp_path: Path) -> None:
    for policy in (Policy((key.public_key,)), Policy.from_key_files([tmp_path / "key.pub"])):
        assert policy.ignore == policy.roots == policy.files == ()
        assert (policy.mode, policy.signatures, policy.state) == ("enforce", 1, None)
        assert (policy.rule, policy.location) == ("", "")
        assert policy.min_release is policy.max_age is policy.release_name is None


def test_no_key() -> None:
    with pytest.raises(UsageError, match="at least one trusted key"):
        Policy(())
    with pytest.raises(UsageError, match="at least one trusted key"):
        Policy((), mode="warn")
    with pytest.raises(UsageError, match="at least one trusted key"):
        Policy.from_key_files([])
    assert Policy((), mode="off").keys == ()


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/etc", "a/../b", "a/", "*", "*.bin", "a\0", "\ud800"]
)
def test_bad_ignored_path(path: str, key: PrivateKey) -> None:
    with pytest.raises(UsageError, match="cannot ignore this path"):
        Policy((key.public_key,), ("fine", path))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "permissive"}, "mode is one of enforce, warn, off, not 'permissive'"),
        ({"mode": ""}, "mode is one of"),
        ({"signatures": 0}, "signatures is a number of at least 1, not 0"),
        ({"signatures": -1}, "signatures is a number"),
        ({"signatures": True}, "signatures is a number"),
        ({"signatures": 1.0}, "signatures is a number"),
        ({"signatures": 2}, "2 signatures are needed, but only 1 signers are trusted"),
        ({"roots": (bytes(31),)}, "a checkpoint root has 32 bytes"),
        ({"roots": (bytes(32), b"")}, "a checkpoint root has 32 bytes"),
        ({"guarantee": "none"}, "the guarantee is one of receipt, sampled, content"),
        ({"min_release": -1}, "min-release is a number from 0 to 9007199254740991"),
        ({"min_release": 1 << 53}, "min-release is a number"),
        ({"min_release": True}, "min-release is a number"),
        ({"min_release": "1"}, "min-release is a number"),
        ({"max_age": 0}, r"max-age \(seconds\) is a number from 1"),
        ({"max_age": limits.MAX_AGE_SECONDS + 1}, "max-age"),
    ],
)
def test_what_means_nothing(fields: dict[str, Any], message: str, key: PrivateKey) -> None:
    with pytest.raises(UsageError, match=message):
        Policy((key.public_key,), **fields)


def test_what_just_means_something(key: PrivateKey) -> None:
    Policy((key.public_key,), min_release=0, max_age=1)
    Policy((key.public_key,), min_release=(1 << 53) - 1, max_age=limits.MAX_AGE_SECONDS)
    Policy((key.public_key, generate_key().public_key), signatures=2)


def test_a_key_counts_once_however_often_it_is_given(key: PrivateKey) -> None:
    with pytest.raises(UsageError, match="2 signatures are needed, but only 1 signers"):
        Policy((key.public_key, key.public_key), signatures=2)


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


# --- guarantees -----------------------------------------------------------------------------------


def test_the_order_is_the_same_as_that_of_the_table() -> None:
    known = [name for name in guarantees.MEANINGS if name in GUARANTEES]
    assert known == [name for name in GUARANTEES if name in guarantees.MEANINGS]
    assert "content" in known


@pytest.mark.parametrize("least", GUARANTEES)
def test_least_guarantee(least: str, key: PrivateKey) -> None:
    order = ["receipt", "sampled", "content", "kernel", "loaded"]  # docs/policy.md
    policy = Policy((key.public_key,), guarantee=least)
    for given in order:
        if order.index(given) >= order.index(least):
            policy.check_guarantee(given)
        else:
            with pytest.raises(PolicyError, match=f"would be '{given}', .* than '{least}'"):
                policy.check_guarantee(given)
    with pytest.raises(PolicyError):
        policy.check_guarantee("unheard-of")


def test_without_a_least_guarantee_the_caller_decides(key: PrivateKey) -> None:
    for given in (*GUARANTEES, "unheard-of"):
        Policy((key.public_key,)).check_guarantee(given)


# --- places ---------------------------------------------------------------------------------------


def test_located(key: PrivateKey) -> None:
    policy = Policy((key.public_key,), rule="rule 1 of p")
    assert policy.located("/m").location == "/m"
    assert policy.located("/m").state is None
    assert policy.located("/m", "/s").state == "/s"
    remembering = dataclasses.replace(policy, state="/s")
    assert remembering.located("/m").state == "/s"
    assert remembering.located("/m", "/s").state == "/s"
    with pytest.raises(UsageError, match="remembered in /s, as rule 1 of p says, not in /t"):
        remembering.located("/m", "/t")


# --- waivers --------------------------------------------------------------------------------------


def test_only_a_rule_that_says_so_waives(key: PrivateKey) -> None:
    assert MODES == ("enforce", "warn", "off")
    policy = Policy((key.public_key,), rule="rule 1 of p")
    with pytest.raises(UsageError, match="mode warn or off"):
        policy.waive()
    for mode in ("warn", "off"):
        waiver = dataclasses.replace(policy, mode=mode).waive()
        assert (waiver.mode, waiver.rule) == (mode, "rule 1 of p")
        with pytest.raises(UsageError, match="mode warn or off"):
            dataclasses.replace(policy, mode=mode, rule="").waive()


def test_nobody_else_makes_a_waiver() -> None:
    with pytest.raises(UsageError, match="only a policy's rule"):
        Waiver("warn", "rule 1 of p", object())
