# SPDX-License-Identifier: Apache-2.0
"""Every attack of the table in tests/support/attacks.py: bytes, sizes, names, kinds of files."""

from __future__ import annotations

import os

import pytest

import pyhash
from pyhash import errors
from tests.attacks._stage import Stage, sign_blindly
from tests.support.attacks import AFTER, ATTACKS, BEFORE, Attack


@pytest.fixture
def stage(large_stage: Stage) -> Stage:
    """Spans matter here."""
    return large_stage


def _cases(when: str) -> list[object]:
    return [
        pytest.param(attack, id=name) for name, attack in ATTACKS.items() if attack.when == when
    ]


def _act(attack: Attack, stage: Stage) -> type[errors.PyhashError]:
    if attack.needs_root and os.geteuid() != 0:
        pytest.skip("only root can make devices")
    attack.act(stage.model)
    error: type[errors.PyhashError] = getattr(errors, attack.error)
    return error


@pytest.mark.parametrize("attack", _cases(AFTER))
def test_refused(attack: Attack, stage: Stage) -> None:
    error = _act(attack, stage)
    stage.expect_refused(error, code=attack.code)


@pytest.mark.parametrize("attack", _cases(BEFORE))
def test_publisher_refused(attack: Attack, stage: Stage) -> None:
    error = _act(attack, stage)
    before = stage.bundle.read_bytes()
    with pytest.raises(error) as caught:
        pyhash.sign(stage.model, stage.key)
    assert attack.code in {one.code for one in getattr(caught.value, "findings", ())}
    assert stage.bundle.read_bytes() == before
    sign_blindly(stage)
    stage.expect_refused(error, code=attack.code)
