"""The two kinds of event loop that an application may need, behind one seam.

`asyncio` runs on trio's own clock by way of trio-asyncio: its sleeps are virtual where trio's are. What is
called on the application's side (`sleep`, `pass_by`, the events) is awaited by the application's tasks; what
is called on the server's side (`start`, `close`) by trio's.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any, Literal, Protocol, TypeAlias

import trio

from conformance.asgi.generators import Generators, watch_generators
from conformance.asgi.left_behind import LeftBehind
from conformance.asgi.loop import open_loop
from conformance.sites import creation_site

FlavourName: TypeAlias = Literal["asyncio", "trio"]
Work: TypeAlias = Callable[[], Awaitable[None]]


class AnyEvent(Protocol):
    """`asyncio.Event` or `trio.Event`."""

    def set(self) -> None: ...
    def is_set(self) -> bool: ...
    async def wait(self) -> object: ...


class Running(Protocol):
    """A task of the application's flavour."""

    done: trio.Event

    def cancel(self) -> None:
        """Ask it to end."""
        ...


class Flavour(Protocol):
    """An event loop to run an application on."""

    generators: Generators

    def event(self) -> AnyEvent: ...
    async def sleep(self, seconds: float) -> None: ...
    async def pass_by(self) -> None:
        """What `send` and `receive` do where nothing has to be waited for."""
        ...

    def start(self, work: Work, name: str) -> Running:
        """Run it in a task of its own. It must not raise."""
        ...

    def left(self) -> tuple[tuple[LeftBehind, trio.Event], ...]:
        """The application's tasks that run, in the order of their creation, and what is set when one ends."""
        ...


class TrioFlavour:
    """Runs the application in a nursery."""

    def __init__(self, nursery: trio.Nursery, generators: Generators) -> None:
        self.generators = generators
        self._nursery = nursery
        self._watch = _SystemTasks(generators)
        trio.lowlevel.add_instrument(self._watch)

    def event(self) -> AnyEvent:
        return trio.Event()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def pass_by(self) -> None:
        await trio.lowlevel.checkpoint()

    def start(self, work: Work, name: str) -> Running:
        running = _TrioTask(work)
        context = self.generators.inside(copy_context())
        context.run(lambda: self._nursery.start_soon(running.run, name=name))
        return running

    def left(self) -> tuple[tuple[LeftBehind, trio.Event], ...]:
        return self._watch.left()

    def close(self) -> None:
        trio.lowlevel.remove_instrument(self._watch)


class _TrioTask:
    def __init__(self, work: Work) -> None:
        self.done = trio.Event()
        self._work = work
        self._scope = trio.CancelScope()

    def cancel(self) -> None:
        self._scope.cancel()

    async def run(self) -> None:
        try:
            with self._scope:
                await self._work()
        finally:
            self.done.set()


class _SystemTasks(trio.abc.Instrument):
    """trio's own structure leaves one door open: a task in the system nursery outlives who started it."""

    def __init__(self, generators: Generators) -> None:
        self._generators = generators
        self._alive: dict[trio.lowlevel.Task, tuple[LeftBehind, trio.Event]] = {}

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        nursery = task.parent_nursery
        is_system = nursery is not None and nursery.parent_task is trio.lowlevel.current_root_task()
        if is_system and self._generators.is_inside():
            found = LeftBehind("task", task.name, *creation_site(), "a system task of trio")
            self._alive[task] = found, trio.Event()

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        if task in self._alive:
            self._alive.pop(task)[1].set()

    def left(self) -> tuple[tuple[LeftBehind, trio.Event], ...]:
        return tuple(self._alive.values())


class AppTask(asyncio.Task[Any]):
    """A task of the application: knows where it was made, and has a place in every set that is not its address.

    anyio keeps tasks in sets and cancels them in the set's order, so that a hash by address would make
    another order in each process.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self.number = number  # first: what follows puts the task into a set
        self.site = creation_site()
        self.ours = False
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class AsyncioFlavour:
    """Runs the application on an asyncio loop that runs in trio."""

    def __init__(self, loop: asyncio.AbstractEventLoop, generators: Generators) -> None:
        self.generators = generators
        self._loop = loop
        self._made = 0
        self._known: weakref.WeakSet[AppTask] = weakref.WeakSet()
        loop.set_task_factory(self._make)

    def event(self) -> AnyEvent:
        return asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def pass_by(self) -> None:
        pass

    def start(self, work: Work, name: str) -> Running:
        context = self.generators.inside(copy_context())
        task = self._loop.create_task(_awaited(work), name=name, context=context)
        assert isinstance(task, AppTask)
        task.ours = True
        return _AsyncioTask(task)

    def left(self) -> tuple[tuple[LeftBehind, trio.Event], ...]:
        return tuple((_described(task), _AsyncioTask(task).done) for task in self.tasks() if not task.ours)

    def tasks(self) -> list[AppTask]:
        """All that run, the oldest first."""
        alive = [task for task in asyncio.all_tasks(self._loop) if isinstance(task, AppTask)]
        return sorted(alive, key=lambda task: task.number)

    def unheard(self) -> list[AppTask]:
        """Those that have raised what nobody has asked for, the oldest first. asyncio itself tells of a task only when
        the last who knows it forgets it; whoever keeps its tasks hears nothing."""
        unheard = [task for task in self._known if task.done() and getattr(task, "_log_traceback", False)]
        return sorted(unheard, key=lambda task: task.number)

    async def close(self, limit: float) -> None:
        """Cancel what still runs; what ignores that for so many seconds is abandoned to its fate."""
        with trio.move_on_after(limit, shield=True):
            while tasks := self.tasks():
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    await _AsyncioTask(task).done.wait()
        for task in self.tasks():
            asyncio.tasks._unregister_task(task)  # so that nobody waits for it (a documented function)

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> AppTask:
        self._made += 1
        task = AppTask(coro, number=self._made, loop=loop, **options)
        self._known.add(task)
        return task


class _AsyncioTask:
    def __init__(self, task: AppTask) -> None:
        self.done = trio.Event()
        self._task = task
        task.add_done_callback(lambda _: self.done.set())

    def cancel(self) -> None:
        self._task.cancel()


async def _awaited(work: Work) -> None:
    await work()


def _described(task: AppTask) -> LeftBehind:
    coroutine = task.get_coro()
    qualified = getattr(coroutine, "__qualname__", type(coroutine).__name__)
    name = task.get_name()
    if name.startswith("Task-") or name == "None":  # asyncio's own numbering, or no name at all (Python 3.13)
        name = qualified
    frames = task.get_stack(limit=1)
    detail = f"runs {qualified}"
    if frames:
        detail += f", which waits at {frames[0].f_code.co_filename}:{frames[0].f_lineno}"
    return LeftBehind("task", name, *task.site, detail)


@asynccontextmanager
async def open_flavour(
    name: FlavourName, *, failed: Callable[[BaseException | None, str], None], limit: float
) -> AsyncIterator[Flavour]:
    """A loop of this flavour; leaving ends what still runs on it, within about `limit` seconds.

    `failed` is told what nobody else was: an exception of a task that nobody awaits, of a callback, of a
    generator's end.
    """
    if name == "trio":
        async with trio.open_nursery() as nursery:
            with watch_generators() as generators:
                flavour = TrioFlavour(nursery, generators)
                try:
                    yield flavour
                finally:
                    flavour.close()
                    nursery.cancel_scope.cancel()
        return
    async with open_loop() as loop:

        def heard(_: object, context: dict[str, Any]) -> None:
            failed(context.get("exception"), context["message"].replace(AppTask.__name__, "Task"))

        loop.set_exception_handler(heard)
        with watch_generators() as generators:
            on_asyncio = AsyncioFlavour(loop, generators)
            try:
                yield on_asyncio
            finally:
                for task in on_asyncio.unheard():
                    failed(task.exception(), "Task exception was never retrieved")
                await on_asyncio.close(limit)
