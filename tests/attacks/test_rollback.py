# SPDX-License-Identifier: Apache-2.0
"""Older releases, expired ones, other checkpoints by the same key, turned-back clocks: everything
here is validly signed by a trusted key, and must be refused all the same.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from unittest.mock import patch

import pytest

import pyhash
from pyhash import errors
from tests.attacks._stage import Stage

NOW = int(time.time())
DAY = 86_400


def sign(
    stage: Stage, counter: int, *, name: str | None = None, expires: int | None = None
) -> None:
    release = pyhash.Release(NOW - 10 * DAY, counter, expires, name)
    pyhash.sign(stage.model, stage.key, release=release)


def make_policy(stage: Stage, *lines: str) -> tuple[str, Path]:
    """Write a policy; returns it as options of the command line."""
    (stage.home / "state").mkdir(mode=0o700, exist_ok=True)
    path = stage.home / "policy.toml"
    head = 'version = 1\nstate = "state"\n[[rule]]\nname = "model"\nkeys = ["publisher.pub"]'
    path.write_text("\n".join([head, *lines]))
    return "--policy", path


def refused(stage: Stage, message: str, *lines: str) -> None:
    """Refused by the library and by ``pyhash run``, which starts nothing; nothing is written."""
    options = make_policy(stage, *lines)
    before = written(stage)
    rules = pyhash.PolicyFile.read(options[1])
    with pytest.raises(errors.PolicyError, match=message):
        pyhash.verify(stage.model, policy=rules)
    finished, started = stage.run_under(*options)
    assert (finished.code, started) == (1, False), finished
    assert "was not started" in finished.stderr
    assert finished.stdout == ""
    assert written(stage) == before


def accepted(stage: Stage, *lines: str) -> None:
    """Verified by the library and started by ``pyhash run``."""
    options = make_policy(stage, *lines)
    pyhash.verify(stage.model, policy=pyhash.PolicyFile.read(options[1]))
    finished, started = stage.run_under(*options)
    assert (finished.code, started) == (0, True), finished


def written(stage: Stage) -> dict[str, bytes]:
    state = stage.home / "state"
    return {path.name: path.read_bytes() for path in state.iterdir()} if state.exists() else {}


def test_older_release_below_the_least(stage: Stage) -> None:
    sign(stage, 5)
    accepted(stage, "min-release = 5")
    refused(stage, "it is release 5, and at least 6 is accepted", "min-release = 6")


def test_release_without_a_number(stage: Stage) -> None:
    """As it was signed before numbers were given: that is old by definition."""
    refused(stage, "it has no release counter", "min-release = 0")
    refused(stage, "it has no release counter", "remember = true")
    refused(stage, "it does not say when it was signed", 'max-age = "1y"')


def test_older_release_replayed_where_a_newer_one_was(stage: Stage) -> None:
    sign(stage, 4)
    old = stage.home / "old"
    shutil.copytree(stage.model, old)
    (stage.model / "config.json").write_text('{"model_type": "llama", "vocab_size": 7}')
    sign(stage, 5)
    accepted(stage, "remember = true")
    shutil.rmtree(stage.model)
    old.rename(stage.model)
    refused(stage, "it is release 4, and release 5 was accepted here before", "remember = true")


def test_two_releases_with_one_number(stage: Stage) -> None:
    """Mix-and-match: the publisher's numbers must tell releases apart."""
    sign(stage, 5)
    accepted(stage, "remember = true")
    (stage.model / "config.json").write_text('{"model_type": "bert"}')
    sign(stage, 5)
    refused(stage, "release 5 was accepted here before, with another root", "remember = true")


def test_another_checkpoint_by_the_same_key(stage: Stage) -> None:
    """With a number that is high enough: names are signed so that numbers can be compared."""
    sign(stage, 50, name="acme/other")
    refused(stage, "released under the name 'acme/other'", 'release-name = "acme/llama"')
    sign(stage, 50)
    refused(stage, "released under no name", 'release-name = "acme/llama"')
    sign(stage, 50, name="acme/llama")
    accepted(stage, 'release-name = "acme/llama"')


def test_another_root_by_the_same_key(stage: Stage) -> None:
    root = pyhash.format_root(pyhash.hash_checkpoint(stage.model).root)
    refused(stage, "only pyhash-v1:00", f'roots = ["pyhash-v1:{"00" * 32}"]')
    accepted(stage, f'roots = ["{root.replace(root, pyhash.format_root(signed_root(stage)))}"]')


def signed_root(stage: Stage) -> bytes:
    root = stage.verify().root
    assert root is not None
    return root


def test_expired(stage: Stage) -> None:
    """Without any policy too: the publisher has said so."""
    sign(stage, 5, expires=NOW - 1)
    refused(stage, "it expires at")
    stage.expect_refused(errors.PolicyError)


def test_frozen_at_an_old_release(stage: Stage) -> None:
    """A mirror that never shows anything newer is found out by age."""
    sign(stage, 5)
    accepted(stage, 'max-age = "11d"')
    refused(stage, "at most 9 d are accepted", 'max-age = "9d"')


def test_clock_turned_back_before_the_signing(stage: Stage) -> None:
    sign(stage, 5, expires=NOW + DAY)
    with (
        patch.object(time, "time", lambda: float(NOW - 20 * DAY)),
        pytest.raises(errors.PolicyError, match="this host's clock says"),
    ):
        stage.verify()


def test_clock_turned_back_after_a_start(stage: Stage) -> None:
    """An expired release cannot come back by turning the clock to when it was good."""
    sign(stage, 5, expires=NOW + DAY)
    accepted(stage, "remember = true")
    rules = pyhash.PolicyFile.read(stage.home / "policy.toml")
    with (
        patch.object(time, "time", lambda: float(NOW - DAY)),
        pytest.raises(errors.PolicyError, match=r"it said .* when a release was last accepted"),
    ):
        pyhash.verify(stage.model, policy=rules)


def test_memory_that_was_tampered_with(stage: Stage) -> None:
    """Whoever can write there as this user can also remove it; everybody else is noticed."""
    sign(stage, 5)
    accepted(stage, "remember = true")
    (file,) = (stage.home / "state").iterdir()
    good = file.read_bytes()
    options = make_policy(stage, "remember = true")
    for damage in (b"", good[:-3], good.replace(b"5", b"-5", 1), good.replace(b"path:", b"name:")):
        file.write_bytes(damage)
        finished, started = stage.run_under(*options)
        assert (finished.code, started) == (3, False), finished
        assert file.read_bytes() == damage
    file.write_bytes(good)
    file.chmod(0o666)
    finished, started = stage.run_under(*options)
    assert (finished.code, started) == (3, False), finished
    file.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
        finished, started = stage.run_under(*options)
        assert (finished.code, started) == (3, False), finished
