"""The same seed gives the same run: what Python leaves to chance is taken from a seed.

`with seeded(7): trio.run(main, clock=MockClock(autojump_threshold=0))`. What has to be held:

* trio shuffles each batch of runnable tasks. Sorted by age first and shuffled by the seed, one seed is one
  order and another seed is another. (asyncio's own queue is in order.)
* anyio keeps cancel scopes in sets, whose order is that of addresses, and applications keep queues, events and
  futures in sets, or objects of their own classes. They get hashes that count up (`counted.py`, `counted_classes.py`).
  So do asyncio's tasks, in `conformance.asgi`.
* Worker threads take real time, over which a virtual clock jumps. Their work is done at once, in place.
* Unfinished generators end when the garbage collector finds them, which depends on what ran before. It
  does not run meanwhile; what reference counts free is freed at once.
* The application's own chance (`chance.py`), and the time that it reads: `time.time`, `monotonic`, `perf_counter`,
  `strftime` and their like, and `datetime.now` (`datetimes.py`) follow trio's clock.

Still the application's: sets of strings (`PYTHONHASHSEED`, which Python reads at its start); sets of functions, of
bound methods, of objects with `__slots__` but without `__weakref__`, and of those whose classes were made before or are
derived from a library's; functions of `time` under another name; the time of the processor; and threads that it starts
itself.
"""

import gc
import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import trio
from trio.testing import MockClock

from conformance.chance import seeded_chance
from conformance.changes import Change, changed
from conformance.counted import counted_hashes
from conformance.counted_classes import counted_classes, from_zero
from conformance.datetimes import datetime_by_time

EPOCH = 1_700_000_000.0  # what the wall clock says when trio's says 0: 14 November 2023, 22:13:20 UTC

_AGES = 999_999_999.0  # seconds: trio then waits for what else may come, and jumps itself

_READING = 1_000  # nanoseconds that reading the clock of `time.perf_counter` takes

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
        rng = random.Random(seed)
        order, chance = rng.randbytes(8), rng.randbytes(8)
        scheduler: random.Random = _known(_trio(), "_r", "trio")
        changes = [
            (_trio(), "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            (trio.to_thread, "run_sync", _run_in_place),
            *_anyio(),
            *counted_hashes(),
            *counted_classes(),
            *from_zero(),
            *seeded_chance(random.Random(chance)),
            *(() if epoch is None else _wall_clock(epoch)),
        ]
        before = scheduler.getstate(), random.getstate()
        collects = gc.isenabled()
        with changed(changes), nullcontext() if epoch is None else datetime_by_time():
            gc.disable()
            scheduler.seed(order)
            random.seed(chance)
            try:
                yield rng
            finally:
                scheduler.setstate(before[0])
                random.setstate(before[1])
                if collects:
                    gc.enable()
    finally:
        _alone.release()


def is_seeded() -> bool:
    """Such a block is active in this process."""
    return _alone.locked()


def virtual_clock() -> MockClock:
    """A clock at 0 that jumps whenever nothing else is to be done: for runs in memory, without sockets.

    trio's own looks for sockets first, at every jump, and counts all that it has to know how far; a short run asks
    it for the time hundreds of times. Where it is built as it was, the same answers are had without that.
    """
    clock = MockClock(autojump_threshold=0)
    state = vars(clock)
    if "_virtual_base" not in state:
        return clock
    context = _known(_trio(), "GLOBAL_RUN_CONTEXT", "trio")

    def current_time() -> float:
        now: float = state["_virtual_base"]
        return now

    def deadline_to_sleep_time(deadline: float) -> float:
        now, runner = state["_virtual_base"], context.runner
        if deadline <= now:
            return 0.0
        if deadline == math.inf or runner.waiting_for_idle or runner.entry_queue.size():
            return _AGES
        state["_virtual_base"] = now + (deadline - now)  # as `MockClock.jump` reckons
        return 0.0

    state.update(current_time=current_time, deadline_to_sleep_time=deadline_to_sleep_time)
    return clock


@cache
def _trio() -> Any:
    """The module with the two knobs that pytest-trio turns as well; nothing public does it."""
    inner = import_module("trio._core._run")
    _known(inner, "_ALLOW_DETERMINISTIC_SCHEDULING", "trio")
    return inner


async def _run_in_place(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return copy_context().run(function, *args)


def _anyio() -> list[Change]:
    """Its scopes in order, its threads in place. Nothing where it is not installed."""
    found = _anyio_parts()
    if found is None:
        return []
    on_asyncio, scope, backends = found
    in_place = classmethod(_in_place)
    return [
        (on_asyncio, "CancelScope", _counted(scope)),
        *((backend, "run_sync_in_worker_thread", in_place) for backend in backends),
    ]


@cache
def _anyio_parts() -> tuple[Any, type[Any], tuple[Any, ...]] | None:
    if find_spec("anyio") is None:
        return None
    on_asyncio = import_module("anyio._backends._asyncio")
    on_trio = import_module("anyio._backends._trio")
    backends = (
        _known(on_asyncio, "AsyncIOBackend", "anyio"),
        _known(on_trio, "TrioBackend", "anyio"),
    )
    for backend in backends:
        _known(backend, "run_sync_in_worker_thread", "anyio")
    return on_asyncio, _known(on_asyncio, "CancelScope", "anyio"), backends


async def _in_place(
    backend: Any, function: Callable[..., Any], args: tuple[Any, ...], *_: Any, **__: Any
) -> Any:
    await backend.checkpoint()
    return copy_context().run(function, *args)


def _counted(scope: Any) -> Any:
    """This class, with hashes that count up from 0."""
    counted: Any = _counting(scope)
    counted.numbers = itertools.count()
    return counted


@cache
def _counting(scope: Any) -> Any:
    class CancelScope(scope):  # type: ignore[misc]  # a base that is known when it runs
        __slots__ = ("_number",)
        numbers = itertools.count()

        def __new__(cls, *args: Any, **options: Any) -> Any:
            new = scope.__new__(cls, *args, **options)
            new._number = next(cls.numbers)
            return new

        def __hash__(self) -> int:
            return int(self._number)

        def __eq__(self, other: object) -> bool:
            return self is other

    return CancelScope


def _wall_clock(epoch: float) -> list[Change]:
    """The clocks, and what reads one itself where it is given no time."""
    perf_counter_ns, readings, asked = time.perf_counter_ns, itertools.count(1), False

    def since() -> float:
        return trio.current_time() if trio.lowlevel.in_trio_run() else 0.0

    def now() -> float:
        return epoch + since()

    def now_ns() -> int:
        return round(now() * 1e6) * 1000  # a float has no more digits

    def reading_ns() -> int:
        """Nobody sees this clock stand still: who divides by what has passed may do so. trio's clocks are built on it,
        so to them it is what it was."""
        nonlocal asked
        if asked or not trio.lowlevel.in_trio_run():
            return perf_counter_ns()
        asked = True
        try:
            return round(since() * 1e9) + next(readings) * _READING
        finally:
            asked = False

    def reading() -> float:
        return reading_ns() / 1e9

    return [
        (time, "time", now),
        (time, "time_ns", now_ns),
        (time, "monotonic", now),
        (time, "monotonic_ns", now_ns),
        (time, "perf_counter", reading),
        (time, "perf_counter_ns", reading_ns),
        *_calendar(now),
    ]


def _calendar(now: Callable[[], float]) -> list[Change]:
    gmtime, localtime, strftime = time.gmtime, time.localtime, time.strftime
    asctime, ctime = time.asctime, time.ctime

    def at(seconds: float | None) -> float:
        return now() if seconds is None else seconds

    def moment(t: Any) -> Any:
        return localtime(now()) if t is None else t

    return [
        (time, "gmtime", lambda seconds=None: gmtime(at(seconds))),
        (time, "localtime", lambda seconds=None: localtime(at(seconds))),
        (time, "ctime", lambda seconds=None: ctime(at(seconds))),
        (time, "asctime", lambda t=None: asctime(moment(t))),
        (time, "strftime", lambda format, t=None: strftime(format, moment(t))),
    ]


def _known(owner: Any, name: str, library: str) -> Any:
    """What this library does not promise. Raises `RuntimeError` where it is not as it was."""
    try:
        return getattr(owner, name)
    except AttributeError:
        raise RuntimeError(
            f"{library} {version(library)} has no {name} in {owner.__name__}: this version cannot be run from a seed"
        ) from None
