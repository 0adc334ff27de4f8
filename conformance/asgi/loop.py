"""An asyncio loop in trio, quick enough to be driven through thousands of schedules.

trio-asyncio takes one callback at a time, each by way of a channel with a timeout. Here they are taken as
asyncio takes them: all that are ready now, then whoever else is runnable, then again. That is twice as
fast. And asyncio's own C code is told which loop runs: trio-asyncio replaces the functions that ask for it, but
who imported one of them by name before that would hear that there is none.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from sniffio import thread_local as sniffio_library
from trio.testing import MockClock

from conformance.determinism import is_seeded

_TURNS = 4  # of asyncio, at most, before whoever else is runnable in trio
_BUSY = 1000  # calls at one instant without a wait, until a virtual clock goes on by itself
_WAITS = 10  # calls that do wait (for somebody who is busy, too) count as one
_TICK = 0.01  # seconds that it goes on by the first time
_LONGEST_TICK = 1.0


@asynccontextmanager
async def open_loop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """A running asyncio loop on trio's clock. Raises `RuntimeError` where trio-asyncio is not built as expected."""
    import trio_asyncio  # it changes asyncio's policies, so only those who need it shall have it

    _leave_others_alone(trio_asyncio)
    async with trio_asyncio.open_loop() as loop:
        missing = [
            name for name in ("_main_loop_one", "_q_recv", "_timers", "_nursery") if not hasattr(loop, name)
        ]
        if missing:
            raise RuntimeError(
                f"trio-asyncio {trio_asyncio.__version__} has no {missing[0]}: take another version"
            )
        loop._main_loop_one = _Turns(loop, trio_asyncio._handles.AsyncHandle)
        loop.run_in_executor = partial(_run_in_executor, loop, loop.run_in_executor)
        await loop.synchronize()  # the turn that had begun before is trio-asyncio's own
        yield loop


def _leave_others_alone(trio_asyncio: Any) -> None:
    """Outside of trio, loops are asyncio's own again, in all threads: whoever tests an application in this process
    may run other things on asyncio in it. trio-asyncio would give them loops of its kind, unless told of a policy."""
    inner = trio_asyncio._loop
    type(inner._faked_policy).policy = inner._original_policy


def _run_in_executor(
    loop: Any,
    usual: Callable[..., asyncio.Future[Any]],
    executor: Executor | None,
    function: Callable[..., Any],
    *args: Any,
) -> asyncio.Future[Any]:
    """As asyncio's: also with an executor of the application's own (Django has some), which trio-asyncio refuses. In a
    seeded block its work is done in place, as that of all threads."""
    if executor is None or is_seeded():
        return usual(None, function, *args)
    return asyncio.wrap_future(executor.submit(function, *args), loop=loop)


class _Turns:
    """In the place of trio-asyncio's `_main_loop_one`, which it calls until the loop is stopped."""

    def __init__(self, loop: Any, of_trio: type[Any]) -> None:
        self._loop = loop
        self._timers: list[asyncio.TimerHandle] = loop._timers  # a heap
        self._queue: trio.MemoryReceiveChannel[Any] = loop._q_recv
        state = getattr(self._queue, "_state", None)
        self._waiting = getattr(
            state, "data", None
        )  # what `statistics` counts, a hundred times in a short run
        self._of_trio = of_trio  # a handle that starts a task of trio
        self._instant = 0.0
        self._busy = 0.0
        self._tick = _TICK

    async def __call__(self, no_wait: bool = False) -> None:
        """Some turns of asyncio, or a wait. With `no_wait`, raises `trio.WouldBlock` where nothing is ready."""
        for turn in range(_TURNS):
            ready, due = self._ready()
            if not ready and not due:
                if turn:
                    return  # the next call waits
                if no_wait:
                    raise trio.WouldBlock
                await self._wait()
                self._go_on(1 / _WAITS)
                return
            for _ in range(due):
                self._run(heapq.heappop(self._timers))
            for _ in range(ready):
                await self._take(self._queue.receive_nowait())
        if not no_wait:
            self._go_on(1)
            await trio.lowlevel.checkpoint()

    def _go_on(self, weight: float) -> None:
        """A virtual clock stands still as long as somebody is busy: who waits for the time by `sleep(0)` would never
        see it move, and nor would who has given them a time to end."""
        now = self._loop.time()
        if now != self._instant:
            self._instant, self._busy, self._tick = now, 0.0, _TICK
        self._busy += weight
        if self._busy >= _BUSY:
            clock = trio.lowlevel.current_clock()
            if isinstance(clock, MockClock):
                clock.jump(self._tick)
            self._instant, self._busy, self._tick = self._loop.time(), 0.0, min(2 * self._tick, _LONGEST_TICK)

    def _ready(self) -> tuple[int, int]:
        """How many callbacks, and how many timers, are to be run now."""
        now, due = self._loop.time(), 0
        if self._timers and self._timers[0].when() <= now:
            due = sum(timer.when() <= now for timer in self._timers)
        if self._waiting is None:
            return self._queue.statistics().current_buffer_used, due
        return len(self._waiting), due

    async def _wait(self) -> None:
        handle = None
        with trio.move_on_at(self._timers[0].when() if self._timers else float("inf")):
            handle = await self._queue.receive()
        if handle is not None:
            await self._take(handle)
            del handle  # as in `_run`

    async def _take(self, handle: Any) -> None:
        if isinstance(handle, asyncio.TimerHandle):
            if not handle.cancelled():
                heapq.heappush(self._timers, handle)
        elif isinstance(handle, self._of_trio):
            start = self._loop._nursery.start_soon
            handle._context.run(lambda: start(handle._run, name=handle._callback))
            await handle._started.wait()
        else:
            self._run(handle)
            del handle  # as in `_run`

    def _run(self, handle: Any) -> None:
        """What it raises keeps this frame (from Python 3.12 on), so no name of the handle may stay in it: it has the
        task, which has the exception. In such a ring nobody would hear of an exception that nobody awaits."""
        if handle.cancelled():
            return
        before, sniffio_library.name = sniffio_library.name, "asyncio"
        asyncio._set_running_loop(self._loop)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)
            sniffio_library.name = before
            del handle
