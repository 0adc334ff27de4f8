"""Hashes that count up for an application's own classes: what it keeps in a set has no order by address.

It takes part where a class is made: one that is derived from nothing, or only from `ABC`, `Generic` or a protocol, in a
file of the application's, is derived from one of ours, too. So it is told from its first object on, and what Python, or
`dataclass`, makes of its `__eq__` and `__hash__` is what it was.
"""

import builtins
import itertools
import weakref
from abc import ABC, ABCMeta
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, get_origin

from conformance.changes import Change
from conformance.sites import owner_of


class _Counted:
    # The base of such a class. No docstring: `inspect.getdoc` would take it for theirs.

    __slots__ = ()

    def __hash__(self) -> int:
        other: Any = super(
            _Counted, type(self)
        ).__hash__  # where another base comes after, a mixin before `str`, say
        if other is _BY_ADDRESS:
            return _numbers.of(self)
        if other is None:
            raise TypeError(f"unhashable type: {type(self).__name__!r}")
        return int(other(self))


_BY_ADDRESS: Final[object] = object.__hash__


class _Numbers:
    """The numbers of the objects that are alive and were ever asked for a hash, each the same for all its life."""

    def __init__(self) -> None:
        self.count = itertools.count()
        self._given: dict[int, tuple[int, object]] = {}  # by address

    def of(self, thing: object) -> int:
        key = id(thing)
        if key not in self._given:
            try:
                alive = weakref.ref(thing, lambda _: self._given.pop(key, None))
            except TypeError:  # it has `__slots__`, and no place for that
                return object.__hash__(thing)
            self._given[key] = next(self.count), alive
        return self._given[key][0]


_numbers = _Numbers()


def counted_classes() -> list[Change]:
    """What is to be changed so that the application's classes that are made meanwhile have such hashes."""
    usual: Callable[..., Any] = builtins.__build_class__

    def build(body: Any, name: str, *bases: Any, **options: Any) -> Any:
        if _says_nothing(bases, options) and owner_of(body.__code__.co_filename) == "":
            bases = (*(base for base in bases if base is not object), _Counted)
        return usual(body, name, *bases, **options)

    return [(builtins, "__build_class__", build)]


def _says_nothing(bases: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """None of the bases, nor the metaclass, has more to say than how the class is checked."""
    return options in ({}, {"metaclass": ABCMeta}) and all(map(_is_for_checks, bases))


def _is_for_checks(base: Any) -> bool:
    if base in (object, ABC) or get_origin(base) is Generic:
        return True
    kind = get_origin(base) or base
    if not isinstance(kind, type) or kind.__name__ == Protocol.__name__:  # typing_extensions has one, too
        return False  # a protocol has only protocols for bases
    return vars(kind).get("_is_protocol") is True


def from_zero() -> list[Change]:
    """What is to be changed so that the numbers of the objects that come from now on begin at 0."""
    return [(_numbers, "count", itertools.count())]
