# SPDX-License-Identifier: Apache-2.0
"""``@frozen``: what ``@dataclass(frozen=True, slots=True)`` gives, made in a third of the time.

The standard decorator compiles six methods of every class from text, and a start of the command
makes forty classes: that was a third of its time. Here only ``__init__`` is compiled; the other
methods are the same for all classes and go by the fields. The result is a dataclass for
``dataclasses.fields``, ``replace`` and ``asdict``. What this does not understand it refuses.
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
    found: type[T] = made
    return found


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the values of some fields as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _init(made: type, fields: Sequence[Field[Any]]) -> Callable[..., None]:
    """Compile the constructor: real parameters, so that a wrong call is refused as always."""
    known: dict[str, Any] = {"_UNSET": MISSING}
    parameters: list[str] = []
    body: list[str] = []
    for number, one in enumerate(fields):
        known[f"_set{number}"] = made.__dict__[one.name].__set__
        value = one.name
        parameter = one.name
        if one.default is not MISSING:
            known[f"_default{number}"] = one.default
            parameter = f"{one.name}=_default{number}"
        elif one.default_factory is not MISSING:
            known[f"_make{number}"] = one.default_factory
            parameter = f"{one.name}=_UNSET"
            value = f"_make{number}() if {one.name} is _UNSET else {one.name}"
        elif parameters and "=" in parameters[-1]:
            raise TypeError(f"non-default argument {one.name!r} follows default argument")
        parameters.append(parameter)
        body.append(f" _set{number}(self, {value})")
    if hasattr(made, "__post_init__"):
        body.append(" self.__post_init__()")
    text = f"def __init__(self, {', '.join(parameters)}):\n" + ("\n".join(body) or " pass")
    exec(text, known)  # noqa: S102 - of the names of fields, which are identifiers
    init: Callable[..., None] = known["__init__"]
    init.__annotations__ = {**{one.name: one.type for one in fields}, "return": None}
    return init


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
