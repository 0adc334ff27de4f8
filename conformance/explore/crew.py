"""The batches of a search side by side, each worker a process of its own.

What is found is what `search` finds: of the batches that find something it is the first one by its number that counts.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final, TypeAlias

from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase

from conformance.errors import described
from conformance.explore.play import Exploration, Played, history_bytes, play_schedule, played_elsewhere
from conformance.explore.schedule import Schedule
from conformance.explore.search import (
    BATCH,
    Batch,
    Searched,
    Told,
    batches,
    ignored,
    kept_in,
    nothing_found,
    search_batch,
)

Opened: TypeAlias = Callable[[], AbstractContextManager[Exploration]]

_SPAWN: Final = get_context("spawn")  # a fork would take this process's threads for its own


class WorkerEnded(Exception):
    """A worker ended by itself, with the exit code `code` (negative: by a signal)."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"a process that explored ended with exit code {code}")
        self.code = code


@dataclass(frozen=True)
class _Progress:
    """What a worker says while it tries a batch."""

    tried: int
    found: bool


@dataclass(frozen=True)
class _Seen:
    """A schedule, and the history that it gave."""

    schedule: Schedule
    history: bytes

    def played(self, exploration: Exploration) -> Played:
        return played_elsewhere(exploration, self.schedule, self.history)


@dataclass(frozen=True)
class _Done:
    """What came of a batch: the fields of `Searched`, and in `kept` what is to be found in the database the next
    time."""

    until_found: int
    tried: int
    found: _Seen | None = None
    unlike: _Seen | None = None
    warned: _Seen | None = None
    kept: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class _Failed:
    """What was raised over it."""

    error: Exception


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: "connection.Connection"
    batch: Batch | None = None  # that it is trying
    progress: _Progress = field(default=_Progress(0, False))

    def give(self, batch: Batch) -> None:
        self.batch, self.progress = batch, _Progress(0, False)
        self.pipe.send(batch)

    def hear(self) -> _Progress | _Done | _Failed:
        """What it says next. Raises `WorkerEnded`."""
        try:
            said: _Progress | _Done | _Failed = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            raise WorkerEnded(self.process.exitcode) from None
        return said

    def end(self) -> None:
        """End it, whatever it is doing. What it keeps it writes in one step."""
        self.batch = None
        self.process.kill()
        self.process.join()
        self.pipe.close()


def search_side_by_side(
    exploration: Exploration,
    opened: Opened,
    *,
    most: int,
    workers: int,
    database: Path | None = None,
    told: Told = ignored,
) -> Searched:
    """`search` with so many workers. `opened` is called in each of them, and gives the same exploration there; so
    it can be pickled. `exploration` plays what was found again in this process.

    Raises `WorkerEnded`, and what a worker raised.
    """
    waiting, done = batches(most), dict[int, _Done]()
    crew_size = min(workers, -(-most // BATCH))
    with _crew(crew_size, opened, database) as crew:
        for worker in crew:
            worker.give(next(waiting))
        while busy := {worker.pipe: worker for worker in crew if worker.batch is not None}:
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # it is one of those that were asked for
                batch = worker.batch
                if batch is None:  # another one has just found something before it
                    continue
                match worker.hear():
                    case _Failed(error):
                        raise error
                    case _Done() as result:
                        done[batch.number], worker.batch = result, None
                        if result.found is not None:
                            waiting = iter(())
                            _end_after(batch, crew)
                        elif (another := next(waiting, None)) is not None:
                            worker.give(another)
                    case progress:
                        worker.progress = progress
            told(*_so_far(crew, done))
    return _put_together(exploration, done, kept_in(database))


def _end_after(found: Batch, crew: list[_Worker]) -> None:
    """Nothing that comes after it matters any more."""
    for worker in crew:
        if worker.batch is not None and worker.batch.number > found.number:
            worker.end()


def _so_far(crew: list[_Worker], done: dict[int, _Done]) -> tuple[int, bool]:
    """How many schedules were tried, and whether one was found that breaks a rule."""
    trying = [worker.progress for worker in crew if worker.batch is not None]
    tried = sum(each.tried for each in done.values()) + sum(each.tried for each in trying)
    return tried, any(each.found for each in trying) or any(each.found for each in done.values())


def _put_together(
    exploration: Exploration, done: dict[int, _Done], database: ExampleDatabase | None
) -> Searched:
    """The results of all batches, as if they had been tried one after the other."""
    tried = 0
    results = [result for _, result in sorted(done.items())]
    for result in results:
        if result.found is not None:
            if database is not None:
                for key, value in result.kept:
                    database.save(key, value)
            return _found(exploration, result, result.found).after(tried)
        tried += result.tried
    warned = [result.warned.played(exploration) for result in results if result.warned is not None]
    return nothing_found(exploration, tried, warned)


def _found(exploration: Exploration, result: _Done, found: _Seen) -> Searched:
    """What a worker has found, as it is here. Where it gives another history here, what was seen there stands."""
    here = play_schedule(exploration, found.schedule)
    if history_bytes(here) == found.history and result.unlike is None:
        return Searched(result.until_found, result.tried, here)
    other = here if result.unlike is None else result.unlike.played(exploration)
    return Searched(result.until_found, result.tried, found.played(exploration), other)


@contextmanager
def _crew(size: int, opened: Opened, database: Path | None) -> Iterator[list[_Worker]]:
    crew: list[_Worker] = []
    try:
        for _ in range(size):
            ours, theirs = _SPAWN.Pipe()
            with closing(theirs):  # so that its end is seen here when the worker ends
                process = _SPAWN.Process(target=_work, args=(theirs, opened, database), daemon=True)
                with _deaf_to_ctrl_c():
                    process.start()
            crew.append(_Worker(process, ours))
        yield crew
    finally:
        for worker in crew:
            worker.end()


def _work(pipe: "connection.Connection", opened: Opened, database: Path | None) -> None:
    """A worker's process: try the batches that come, until it is ended."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()

    def told(tried: int, found: bool) -> None:
        pipe.send(_Progress(tried, found))

    try:
        with opened() as exploration:
            while True:
                pipe.send(_tried(exploration, pipe.recv(), database, told))
    except (EOFError, ConnectionError):  # nobody is there any more
        return
    except Exception as error:  # noqa: BLE001  (it is raised there)
        pipe.send(_Failed(_portable(error)))


def _tried(exploration: Exploration, batch: Batch, database: Path | None, told: Told) -> _Done:
    """Try a batch. What is found in another than the first is kept by itself at first: the first one, which looks for
    what was found before, shall not find what is being found beside it."""
    aside = InMemoryExampleDatabase()
    searched = search_batch(
        exploration, batch, database=aside if batch.number else kept_in(database), told=told
    )
    found, unlike, warned = map(_seen, (searched.found, searched.unlike, searched.warned))
    kept = tuple((key, value) for key, values in aside.data.items() for value in sorted(values))
    return _Done(searched.until_found, searched.tried, found, unlike, warned, kept if found else ())


def _seen(played: Played | None) -> _Seen | None:
    return None if played is None else _Seen(played.schedule, history_bytes(played))


def _end_with_parent() -> None:
    """Whatever the application is doing: nobody is there any more whom it could be told."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started meanwhile hears of no Ctrl-C from its first moment on: it is for who started it, and ends it.
    One that comes meanwhile comes here when this is over."""
    resource_tracker.ensure_running()  # which would let them through again, if it began only now
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _portable(error: Exception) -> Exception:
    """The error, or where another process could not have it, what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  (anything can be in an exception of an application's)
        return RuntimeError(described(error))
    return error
