# SPDX-License-Identifier: Apache-2.0
"""``@frozen``: what ``@dataclass(frozen=True, slots=True)`` gives, made in a tenth of the time.

The standard decorator compiles six methods of every class from text, and a start of the command
makes forty classes: that was a third of its time. Here nothing is compiled; the methods are the
same for all classes and go by the fields. The result is a dataclass for ``dataclasses.fields``,
``replace`` and ``asdict``. What this does not understand it refuses. Making an object takes a
fifth longer.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")

_USE_THE_OTHER = "make this one with dataclass(frozen=True, slots=True)"


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class one of immutable values with slots.

    Args:
        cls: A class with annotated fields, whose only base is ``object``.

    Returns:
        Another class of the same name, as ``dataclass(frozen=True, slots=True)`` would return.

    Raises:
        TypeError: A base, an ``InitVar``, a field with other arguments than ``default``,
            ``default_factory``, ``repr`` and ``compare``, or what ``dataclass`` refuses, too.
    """
    kinds = map(str, inspect.get_annotations(cls).values())
    if cls.__bases__ != (object,) or any("InitVar" in kind for kind in kinds):
        raise TypeError(f"{cls.__name__}: {_USE_THE_OTHER}")
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields: tuple[Field[Any], ...] = dataclasses.fields(made)
    if any(one.kw_only or not one.init or one.hash is not None for one in fields):
        raise TypeError(f"{cls.__name__}: {_USE_THE_OTHER}")
    made.__frozen_shown__ = tuple(one.name for one in fields if one.repr)
    made.__frozen_values__ = staticmethod(_values_of([one.name for one in fields if one.compare]))
    for name, method in (("__init__", _init(made, fields)), *_METHODS):
        if name not in cls.__dict__:
            setattr(made, name, method)
    for promise in ("init", "repr", "eq", "frozen"):  # to those who ask the class what it is
        setattr(made.__dataclass_params__, promise, True)
    found: type[T] = made
    return found


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the values of some fields as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _init(made: Any, fields: Sequence[Field[Any]]) -> Callable[..., None]:
    """Return the constructor: it takes what the parameters of a compiled one would."""
    names = [one.name for one in fields]
    setters = [made.__dict__[name].__set__ for name in names]
    defaults = [one.default_factory if one.default is MISSING else _always(one) for one in fields]
    finish = getattr(made, "__post_init__", None)
    needed = [one is not MISSING for one in defaults]
    if sorted(needed) != needed:
        raise TypeError(f"{made.__name__}: a field without a default behind one that has one")

    def __init__(self: Any, *values: Any, **named: Any) -> None:  # noqa: N807 - what it is
        if named or len(values) != len(setters):
            values = _complete(made.__name__, names, defaults, values, named)
        for put, value in zip(setters, values, strict=True):
            put(self, value)
        if finish is not None:
            finish(self)

    return __init__


def _always(field: Field[Any]) -> Callable[[], Any]:
    return lambda: field.default


def _complete(
    what: str,
    names: Sequence[str],
    defaults: Sequence[Any],
    values: tuple[Any, ...],
    named: dict[str, Any],
) -> tuple[Any, ...]:
    """Put the arguments of a call in the order of the fields, or refuse the call."""
    if len(values) > len(names):
        raise TypeError(f"{what} takes {len(names)} arguments, not {len(values)}")
    completed = list(values)
    for name, default in zip(names[len(values) :], defaults[len(values) :], strict=True):
        if name in named:
            completed.append(named.pop(name))
        elif default is MISSING:
            raise TypeError(f"{what} needs the argument {name!r}")
        else:
            completed.append(default())
    if named:
        twice = "two values for" if next(iter(named)) in names else "no"
        raise TypeError(f"{what} takes {twice} argument {next(iter(named))!r}")
    return tuple(completed)


class _Frozen:
    """The methods that are the same for all classes."""

    __frozen_shown__: ClassVar[tuple[str, ...]]
    __frozen_values__: ClassVar[Any]  # takes an object, and is bound to none

    def __repr__(self) -> str:
        pairs = ", ".join([f"{name}={getattr(self, name)!r}" for name in self.__frozen_shown__])
        return f"{type(self).__qualname__}({pairs})"

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(self.__frozen_values__(self) == self.__frozen_values__(other))

    def __hash__(self) -> int:
        return hash(self.__frozen_values__(self))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self) -> list[Any]:
        return [getattr(self, one.name) for one in dataclasses.fields(self)]  # type: ignore[arg-type]

    def __setstate__(self, state: Sequence[Any]) -> None:
        for one, value in zip(dataclasses.fields(self), state, strict=True):  # type: ignore[arg-type]
            object.__setattr__(self, one.name, value)


_METHODS = [(name, one) for name, one in vars(_Frozen).items() if inspect.isfunction(one)]
