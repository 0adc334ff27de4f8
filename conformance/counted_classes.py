"""Hashes that count up for an application's own classes: what it keeps in a set has no order by address.

It takes part where a class is made: one that is derived from nothing, in a file of the application's, is derived from
one of ours. So it is told from its first object on, and what Python, or `dataclass`, makes of its `__eq__` and
`__hash__` is what it was.
"""

import builtins
import itertools
import weakref
from collections.abc import Callable
from typing import Any, Final

from conformance.changes import Change
from conformance.sites import owner_of


class Counted:
    # The base of such a class. No docstring: `inspect.getdoc` would take it for theirs.

    __slots__ = ()

    def __hash__(self) -> int:
        other: Any = super(
            Counted, type(self)
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
        if bases in ((), (object,)) and not options and owner_of(body.__code__.co_filename) == "":
            bases = (Counted,)
        return usual(body, name, *bases, **options)

    return [(builtins, "__build_class__", build)]


def from_zero() -> list[Change]:
    """What is to be changed so that the numbers of the objects that come from now on begin at 0."""
    return [(_numbers, "count", itertools.count())]
