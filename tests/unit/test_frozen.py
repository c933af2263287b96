# SPDX-License-Identifier: Apache-2.0
"""``@frozen`` beside the standard decorator, which says what is right."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import InitVar, dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyhash.frozen import frozen

standard = dataclass(frozen=True, slots=True)


@frozen
class Ours:
    """With everything that a field can have."""

    first: int
    second: str = "two"
    third: tuple[int, ...] = field(default_factory=tuple)
    secret: bytes = field(default=b"", repr=False, compare=False)

    @property
    def doubled(self) -> int:
        """As methods are."""
        return 2 * self.first


@standard
class Theirs:
    """The same."""

    first: int
    second: str = "two"
    third: tuple[int, ...] = field(default_factory=tuple)
    secret: bytes = field(default=b"", repr=False, compare=False)


@frozen
class One:
    """A single field."""

    value: Any


@frozen
class Nothing:
    """No field."""


@frozen
class Checked:
    """Refuses what makes no sense."""

    value: int
    least: int = 0

    def __post_init__(self) -> None:
        if self.value < self.least:
            raise ValueError("too small")


CALLS = st.tuples(
    st.lists(st.integers(), max_size=5),
    st.dictionaries(
        st.sampled_from(["first", "second", "third", "secret", "other"]), st.integers()
    ),
)


def outcome(kind: Any, values: list[int], named: dict[str, int]) -> object:
    """The fields of what is made, or that the call is refused."""
    try:
        made = kind(*values, **named)
    except TypeError:
        return "refused"
    return [getattr(made, one.name) for one in dataclasses.fields(kind)]


@given(CALLS)
def test_is_called_like_the_standard(call: tuple[list[int], dict[str, int]]) -> None:
    assert outcome(Ours, *call) == outcome(Theirs, *call)


@given(st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_compares_and_hashes_like_the_standard(values: list[int]) -> None:
    ours = [Ours(*half) for half in (values[:4], values[4:])]  # type: ignore[arg-type]
    theirs = [Theirs(*half) for half in (values[:4], values[4:])]  # type: ignore[arg-type]
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert [hash(one) for one in ours] == [hash(one) for one in theirs]
    assert repr(ours[0]) == repr(theirs[0]).replace("Theirs", "Ours")


def test_is_equal_to_its_own_kind_only() -> None:
    assert Ours(1) != Theirs(1)
    assert Nothing() == Nothing() != One(1)
    nan = float("nan")
    assert One(nan) == One(nan)  # as tuples of it are
    assert hash(One(1)) == hash((1,))
    assert repr(Nothing()) == "Nothing()"


@pytest.mark.parametrize("name", ["first", "other", "__class__"])
def test_nothing_of_it_can_be_changed(name: str) -> None:
    made = Ours(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(made, name)
    assert made == Ours(1)
    assert not hasattr(made, "__dict__")


def test_is_a_dataclass_to_the_standard_library() -> None:
    made = Ours(1, third=(3,), secret=b"s")
    other = dataclasses.replace(made, first=4)
    assert (other.first, other.secret, other.doubled) == (4, b"s", 8)
    assert dataclasses.asdict(made) == dataclasses.asdict(Theirs(1, "two", (3,), b"s"))
    assert Ours.__match_args__ == Theirs.__match_args__  # type: ignore[attr-defined]
    names = ("init", "repr", "eq", "frozen")
    params = [kind.__dataclass_params__ for kind in (Ours, Theirs)]  # type: ignore[attr-defined]
    assert [getattr(params[0], name) for name in names] == [
        getattr(params[1], name) for name in names
    ]


def test_can_be_copied_and_stored() -> None:
    made = Ours(1, secret=b"s")
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made
        assert again.secret == b"s"


def test_checks_run_on_every_way_of_making_one() -> None:
    assert Checked(1) == Checked(value=1, least=0)
    with pytest.raises(ValueError, match="too small"):
        Checked(-1)
    with pytest.raises(ValueError, match="too small"):
        dataclasses.replace(Checked(1), value=-1)


def test_each_has_its_own_default() -> None:
    @frozen
    class Listed:
        """Of a mutable default."""

        values: list[int] = field(default_factory=list)

    assert Listed().values is not Listed().values


def test_own_methods_stay() -> None:
    @frozen
    class Own:
        """With words of its own."""

        value: int

        def __repr__(self) -> str:
            return "own"

        def __hash__(self) -> int:
            return 7

    assert (repr(Own(1)), hash(Own(1))) == ("own", 7)


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(TypeError, match="make this one with dataclass"):

        @frozen
        class Below(One):
            """A base."""

    with pytest.raises(TypeError, match="make this one with dataclass"):

        @frozen
        class Sealed:
            """An InitVar."""

            seal: InitVar[object]

    for bad in (field(kw_only=True), field(init=False, default=1), field(hash=False)):
        with pytest.raises(TypeError, match="make this one with dataclass"):
            frozen(type("Bad", (), {"__annotations__": {"one": int}, "one": bad}))
    with pytest.raises(TypeError, match="without a default behind"):
        frozen(type("Order", (), {"__annotations__": {"one": int, "two": int}, "one": 1}))
    with pytest.raises(ValueError, match="mutable default"):
        frozen(type("Mutable", (), {"__annotations__": {"one": list}, "one": []}))
