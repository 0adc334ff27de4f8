"""Hashes that count up, in the place of those by address.

Who keeps queues or futures in a set walks through it in the order of their hashes. By address that is another order
in each process, and often at each run in one.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import trio

from conformance.changes import Change


def counted_hashes() -> list[Change]:
    """What is to be changed so that what is made from now on has hashes that count up from 0.

    Those are asyncio's queues, events, locks, conditions, semaphores, barriers and futures, trio's channels, and
    anyio's streams in memory. What was made before keeps its hash, and so does, when the changes have
    been taken back, what was made meanwhile: an object in a set must.
    """
    numbers: dict[int, int] = {}  # by address
    count = itertools.count()
    variants: dict[type[Any], type[Any] | None] = {}

    def number(self: object) -> int:
        if id(self) not in numbers:  # a copy: it was not made by `__init__`
            numbers[id(self)] = next(count)
        return numbers[id(self)]

    def made(original: Callable[..., None]) -> Callable[..., None]:
        """Its `__init__`, which makes each object one of a variant of its class. (A class whose `__new__` was changed
        and changed back does not take arguments any more.)"""

        @wraps(original)
        def init(self: Any, *args: Any, **options: Any) -> None:
            own = type(self)
            if own not in variants:
                variants[own] = _variant(own, number)
            if (variant := variants[own]) is not None:
                numbers[id(self)] = next(count)
                self.__class__ = variant
            original(self, *args, **options)

        return init

    future = _future(count)
    return [
        *((kind, "__init__", made(vars(kind)["__init__"])) for kind in _kinds()),
        (asyncio, "Future", future),
        (asyncio.futures, "Future", future),  # what a loop's `create_future` takes
    ]


def _kinds() -> Iterable[type[Any]]:
    """The classes; what is derived from them is of their kind."""
    yield from (asyncio.Queue, asyncio.Event, asyncio.Lock, asyncio.Condition, asyncio.Semaphore)
    yield asyncio.Barrier
    yield from (trio.MemorySendChannel, trio.MemoryReceiveChannel)
    if find_spec("anyio") is not None:
        memory = import_module("anyio.streams.memory")
        yield from (memory.MemoryObjectSendStream, memory.MemoryObjectReceiveStream)


def _variant(own: type[Any], number: Callable[[object], int]) -> type[Any] | None:
    """This class with other hashes, by the same name; None where it has hashes of its own, or none."""
    plain: object = object.__hash__
    if own.__hash__ is not plain:
        return None
    names = {
        "__slots__": (),
        "__module__": own.__module__,
        "__qualname__": own.__qualname__,
        "__hash__": number,
    }
    with _unheard(own):  # nor does its metaclass, which may refuse a second one of this name
        variant: type[Any] = type.__new__(type(own), own.__name__, (own,), names)
    return variant


@contextmanager
def _unheard(own: type[Any]) -> Iterator[None]:
    """It hears of no class that is derived from it: it may keep a register of them, or, in trio, refuse them."""
    before = vars(own).get("__init_subclass__")
    own.__init_subclass__ = classmethod(lambda _: None)  # type: ignore[assignment]  # as in a class's body
    try:
        yield
    finally:
        if before is None:
            del own.__init_subclass__
        else:
            own.__init_subclass__ = before


def _future(count: "itertools.count[int]") -> type[asyncio.Future[Any]]:
    """asyncio's future, which is written in C. All futures and tasks are taken for instances of it, as they were."""
    real = asyncio.Future

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real) if cls is Future else super().__instancecheck__(instance)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real) if cls is Future else super().__subclasscheck__(subclass)

    class Future(real, metaclass=Meta):  # type: ignore[valid-type,misc]  # the class that is there when it runs
        _number: int | None = None

        def __hash__(self) -> int:
            if self._number is None:  # few are ever in a set
                self._number = next(count)
            return self._number

    Future.__module__, Future.__qualname__ = real.__module__, real.__qualname__
    return Future
