"""The same seed gives the same run: what Python leaves to chance is taken from a seed.

`with seeded(7): trio.run(main, clock=MockClock(autojump_threshold=0))`. What has to be held:

* trio shuffles each batch of runnable tasks. Sorted by age first and shuffled by the seed, one seed is one
  order and another seed is another. (asyncio's own queue is in order.)
* anyio keeps cancel scopes in sets, whose order is that of addresses. They get hashes that count up. So do
  asyncio's tasks, in `conformance.asgi`.
* Worker threads take real time, over which a virtual clock jumps. Their work is done at once, in place.
* Unfinished generators end when the garbage collector finds them, which depends on what ran before. It
  does not run meanwhile; what reference counts free is freed at once.
* The application's own chance: `random`, `os.urandom` (so `uuid` and `secrets`), and the time that it reads:
  `time.time`, `time.monotonic` and `datetime.now` follow trio's clock.

Still the application's: sets of strings (`PYTHONHASHSEED`, which Python reads at its start), sets of plain
objects, `datetime` under another name, and threads that it starts itself.
"""

import datetime
import gc
import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import trio

EPOCH = 1_700_000_000.0  # what the wall clock says when trio's says 0: 14 November 2023, 22:13:20 UTC

_alone = threading.Lock()


@contextmanager
def seeded(seed: int, *, epoch: float | None = EPOCH) -> Iterator[random.Random]:
    """Everything that runs in this block takes its chances from `seed`; what it yields is a source for more.

    Put it around `trio.run`. `epoch`: seconds since 1970 that the wall clock shows when trio's shows 0; None
    leaves the wall clock alone. It changes the process while it lasts: raises `RuntimeError` where another
    block is active, and where the installed trio, or anyio, is not built as this expects.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("seeded() goes around trio.run, not into it")
    if not _alone.acquire(blocking=False):
        raise RuntimeError("another seeded block is active in this process")
    try:
        with ExitStack() as stack:
            rng = random.Random(seed)
            stack.enter_context(_no_garbage_collection())
            stack.enter_context(_trio_order(rng.randbytes(8)))
            stack.enter_context(_inline_threads())
            stack.enter_context(_anyio())
            stack.enter_context(_chance(rng.randbytes(8)))
            if epoch is not None:
                stack.enter_context(_wall_clock(epoch))
            yield rng
    finally:
        _alone.release()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _trio_order(seed: bytes) -> Iterator[None]:
    """The two knobs that pytest-trio turns as well; nothing public does it."""
    inner = import_module("trio._core._run")
    source = _known(inner, "_r", "trio")
    _known(inner, "_ALLOW_DETERMINISTIC_SCHEDULING", "trio")
    before = source.getstate()
    source.seed(seed)
    try:
        with patch.object(inner, "_ALLOW_DETERMINISTIC_SCHEDULING", True):
            yield
    finally:
        source.setstate(before)


@contextmanager
def _inline_threads() -> Iterator[None]:
    async def run_sync(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return copy_context().run(function, *args)

    with patch.object(trio.to_thread, "run_sync", run_sync):
        yield


@contextmanager
def _anyio() -> Iterator[None]:
    """Its scopes in order, its threads in place. Nothing where it is not installed."""
    if find_spec("anyio") is None:
        yield
        return
    on_asyncio = import_module("anyio._backends._asyncio")
    on_trio = import_module("anyio._backends._trio")
    with ExitStack() as stack:
        scope = _known(on_asyncio, "CancelScope", "anyio")
        stack.enter_context(patch.object(on_asyncio, "CancelScope", _counted(scope)))
        for module, name in ((on_asyncio, "AsyncIOBackend"), (on_trio, "TrioBackend")):
            backend = _known(module, name, "anyio")
            _known(backend, "run_sync_in_worker_thread", "anyio")
            stack.enter_context(patch.object(backend, "run_sync_in_worker_thread", classmethod(_in_place)))
        yield


async def _in_place(
    backend: Any, function: Callable[..., Any], args: tuple[Any, ...], *_: Any, **__: Any
) -> Any:
    await backend.checkpoint()
    return copy_context().run(function, *args)


def _counted(scope: type[Any]) -> type[Any]:
    """This class, with hashes that count up."""
    numbers = itertools.count()

    class CancelScope(scope):  # type: ignore[misc]  # a base that is known when it runs
        __slots__ = ("_number",)

        def __new__(cls, *args: Any, **options: Any) -> Any:
            new = scope.__new__(cls, *args, **options)
            new._number = next(numbers)
            return new

        def __hash__(self) -> int:
            return int(self._number)

        def __eq__(self, other: object) -> bool:
            return self is other

    return CancelScope


@contextmanager
def _chance(seed: bytes) -> Iterator[None]:
    source = random.Random(seed)
    before = random.getstate()
    random.seed(seed)
    try:
        with (
            patch.object(os, "urandom", source.randbytes),  # what uuid calls
            patch.object(random, "_urandom", source.randbytes),  # what secrets calls
        ):
            yield
    finally:
        random.setstate(before)


@contextmanager
def _wall_clock(epoch: float) -> Iterator[None]:
    def now() -> float:
        return epoch + (trio.current_time() if trio.lowlevel.in_trio_run() else 0.0)

    def now_ns() -> int:
        return round(now() * 1e6) * 1000  # a float has no more digits

    with ExitStack() as stack:
        for name, function in {
            "time": now,
            "time_ns": now_ns,
            "monotonic": now,
            "monotonic_ns": now_ns,
        }.items():
            stack.enter_context(patch.object(time, name, function))
        stack.enter_context(_datetime(now))
        yield


@contextmanager
def _datetime(now: Callable[[], float]) -> Iterator[None]:
    """Put a class in the place of `datetime.datetime` wherever it goes by that name: C keeps its own clock."""
    real = datetime.datetime
    virtual = _virtual(real, now)
    _replace(real, virtual)
    try:
        yield
    finally:
        _replace(virtual, real)  # also where it was imported meanwhile


def _replace(old: type[Any], new: type[Any]) -> None:
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if names.get("datetime") is old:
            names["datetime"] = new


def _virtual(real: type[datetime.datetime], now: Callable[[], float]) -> type[datetime.datetime]:
    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class Datetime(real, metaclass=Meta):  # type: ignore[valid-type,misc]  # the class that is there when it runs
        def __new__(cls, *args: Any, **options: Any) -> Any:
            return real(*args, **options)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return real.fromtimestamp(now(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return real.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return real.fromtimestamp(now())

    Datetime.__name__ = Datetime.__qualname__ = real.__name__
    return Datetime


def _known(owner: Any, name: str, library: str) -> Any:
    """What this library does not promise. Raises `RuntimeError` where it is not as it was."""
    try:
        return getattr(owner, name)
    except AttributeError:
        raise RuntimeError(
            f"{library} {version(library)} has no {name} in {owner.__name__}: this version cannot be run from a seed"
        ) from None
