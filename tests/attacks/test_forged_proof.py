# SPDX-License-Identifier: Apache-2.0
"""A ``Verified`` that ``verify`` did not make: refused by the gate, however it came about.

What cannot be stopped, and is not promised: code in the same process that wants to lie. It could
as well replace ``verify``.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import pyhash
from pyhash import gate
from pyhash.errors import ChangedWhileReadError, UsageError
from tests.attacks._stage import Stage
from tests.support import mutations as do


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Programs that were started; nothing is, really."""
    calls: list[object] = []
    monkeypatch.setattr(gate.os, "execv", lambda *arguments: calls.append(arguments))
    return calls


def _fields(proof: pyhash.Verified) -> dict[str, Any]:
    return {field.name: getattr(proof, field.name) for field in dataclasses.fields(proof)}


def _filled_by_hand(proof: pyhash.Verified) -> object:
    forged = object.__new__(pyhash.Verified)
    for name, value in _fields(proof).items():
        object.__setattr__(forged, name, value)
    return forged


def _by_set_state(proof: pyhash.Verified) -> object:
    forged = object.__new__(pyhash.Verified)
    forged.__setstate__(proof.__getstate__())  # type: ignore[attr-defined]
    return forged


def _unpickled(proof: pyhash.Verified) -> object:
    class Stand:
        def __reduce__(self) -> object:
            # Public keys cannot be pickled; whatever else stands there, it is no proof.
            names = [field.name for field in dataclasses.fields(proof)]
            state = [None if name == "policy" else getattr(proof, name) for name in names]
            return object.__new__, (pyhash.Verified,), state

    return pickle.loads(pickle.dumps(Stand()))


class _Child(pyhash.Verified):
    pass


def _as_a_child(proof: pyhash.Verified) -> object:
    forged = object.__new__(_Child)
    for name, value in _fields(proof).items():
        object.__setattr__(forged, name, value)
    return forged


FORGERIES: dict[str, Callable[[pyhash.Verified], object]] = {
    "bare": lambda proof: object.__new__(pyhash.Verified),
    "filled_by_hand": _filled_by_hand,
    "by_set_state": _by_set_state,
    "unpickled": _unpickled,
    "subclass": _as_a_child,
    "look_alike": lambda proof: SimpleNamespace(**_fields(proof)),
    "true": lambda proof: True,
    "none": lambda proof: None,
    "manifest": lambda proof: proof.manifest,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_gate_refuses(
    forge: Callable[[pyhash.Verified], Any], stage: Stage, started: list[object]
) -> None:
    proof = stage.verify()
    forged = forge(proof)
    with pytest.raises(UsageError):
        gate.start(forged, ["true"])
    with pytest.raises(UsageError):
        gate.check_unchanged(forged)
    assert started == []
    # The proof itself starts it. (It only comes back here because nothing was started, really.)
    with pytest.raises(UsageError, match="did not start"):
        gate.start(proof, ["true"])
    assert len(started) == 1


@pytest.mark.parametrize(
    "work",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda proof: pickle.dumps(proof, protocol=0),
        lambda proof: pyhash.Verified(**_fields(proof), _seal=None),
        lambda proof: pyhash.Verified(*_fields(proof).values(), object()),
    ],
    ids=["copy", "deepcopy", "pickle", "old_pickle", "constructor", "constructor_by_position"],
)
def test_no_second_one(work: Callable[[pyhash.Verified], object], stage: Stage) -> None:
    with pytest.raises(UsageError):
        work(stage.verify())


def test_no_altered_one(stage: Stage) -> None:
    proof = stage.verify()
    with pytest.raises(ValueError, match="_seal"):
        dataclasses.replace(proof, location="/")
    with pytest.raises(dataclasses.FrozenInstanceError):
        proof.location = "/"  # type: ignore[misc]
    with pytest.raises(TypeError):
        pyhash.Verified(**_fields(proof))  # type: ignore[call-arg]


def test_proof_for_another_directory(stage: Stage, started: list[object]) -> None:
    proof = stage.verify()
    elsewhere = stage.home / "elsewhere"
    do.shutil.copytree(stage.model, elsewhere)
    object.__setattr__(proof, "location", str(elsewhere))
    with pytest.raises(ChangedWhileReadError):
        gate.start(proof, ["true"])
    assert started == []


def test_proofs_are_equal_to_themselves_only(stage: Stage) -> None:
    one, other = stage.verify(), stage.verify()
    assert one == one
    assert one != other
    assert len({one, other}) == 2
