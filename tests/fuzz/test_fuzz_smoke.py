# SPDX-License-Identifier: Apache-2.0
"""Every fuzz target over its seeds and a fixed number of mutations; the same ones at every run.

Finds crashes that came in since the last long run, not new ones in old code: for those run the
targets under atheris.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

_FOLDER = Path(__file__).resolve().parent
if str(_FOLDER) not in sys.path:
    sys.path.insert(0, str(_FOLDER))

import _harness  # noqa: E402

_TARGETS = sorted(path.stem for path in _FOLDER.glob("fuzz_*.py"))


@pytest.fixture(params=_TARGETS)
def target(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_there_are_targets() -> None:
    assert len(_TARGETS) >= 3


def test_seeds(target: ModuleType) -> None:
    seeds = target.seeds()
    assert seeds
    for data in seeds:
        _harness.run_one(target.one_input, data)


def test_some_seed_is_accepted(target: ModuleType) -> None:
    """A target that refuses everything at the door would test nothing."""
    accepted = 0
    for data in target.seeds():
        try:
            target.one_input(data)
        except _harness.ALLOWED:
            continue
        accepted += 1
    assert accepted


def test_mutations(target: ModuleType) -> None:
    count = getattr(target, "MUTATIONS", _harness.DEFAULT_MUTATIONS)
    dictionary = getattr(target, "DICTIONARY", ())
    for data in _harness.mutations(target.seeds(), dictionary, count=count):
        _harness.run_one(target.one_input, data)


def test_mutations_are_the_same_at_every_run() -> None:
    first, second = (list(_harness.mutations([b"abc", b"{}"], [b"x"], count=50)) for _ in range(2))
    assert first == second
    assert len(set(first)) > 25


def test_what_is_not_allowed_is_not_swallowed() -> None:
    def broken(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError) as caught:
        _harness.run_one(broken, b"\0input")
    assert "\\x00input" in caught.value.__notes__[0]
