"""A search in several processes finds what it finds in one, and leaves no process whatever happens."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from conformance.asgi import Moments, StartupError
from conformance.explore import (
    Exploration,
    Searched,
    WorkerEnded,
    asgi_subject,
    history_bytes,
    reference_subject,
    search,
    search_side_by_side,
)
from conformance.explore.crew import Opened, _tried
from conformance.explore.search import Batch, ignored
from conformance.explore.subjects import Running
from conformance.races import RACES
from conformance.specimens.specimen import reference_config
from fault_injection.network import Network

REFERENCE = Exploration(reference_subject(), reference_config())
RACE = {race.name: race for race in RACES}


def racing(name: str, seed: int) -> Exploration:
    return Exploration(asgi_subject(RACE[name].make), RACE[name].config, seed=seed)


@contextmanager
def race(name: str, seed: int) -> Iterator[Exploration]:
    yield racing(name, seed)


@contextmanager
def reference() -> Iterator[Exploration]:
    yield REFERENCE


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def side_by_side(opened: Opened, most: int, exploration: Exploration = REFERENCE) -> Searched:
    return search_side_by_side(exploration, opened, most=most, workers=2)


@pytest.mark.parametrize(("seed", "batch"), [(5, 0), (26, 1), (25, 2)])
def test_what_is_found_does_not_depend_on_who_searches(seed: int, batch: int) -> None:
    exploration = racing("check-then-wait", seed)
    alone = search(exploration, most=400)
    assert alone.found is not None
    assert (alone.until_found - 1) // 100 == batch
    together = side_by_side(partial(race, "check-then-wait", seed), 400, exploration)
    assert together.found is not None
    assert together.found.schedule == alone.found.schedule
    assert together.found.broken == alone.found.broken
    assert (together.until_found, together.tried) == (alone.until_found, alone.tried)


def test_where_nothing_is_wrong_as_many_are_tried() -> None:
    told: list[tuple[int, bool]] = []
    searched = search_side_by_side(
        REFERENCE, reference, most=230, workers=2, told=lambda tried, found: told.append((tried, found))
    )
    assert searched == search(REFERENCE, most=230)
    assert searched.found is None
    counts = [tried for tried, _ in told]
    assert counts == sorted(counts)
    assert counts[-1] == searched.tried
    assert not any(found for _, found in told)


@contextmanager
def warning() -> Iterator[Exploration]:
    """One that breaks a SHOULD in some schedules, and nothing else."""
    yield racing("late-heartbeat", 0)


def test_what_breaks_a_should_is_the_same() -> None:
    alone = search(racing("late-heartbeat", 0), most=200)
    together = side_by_side(warning, 200, racing("late-heartbeat", 0))
    assert (alone.found, together.found) == (None, None)
    assert alone.warned is not None
    assert together.warned is not None
    assert together.warned.schedule == alone.warned.schedule
    assert together.warned.cases == alone.warned.cases
    assert together.tried == alone.tried


@contextmanager
def dying() -> Iterator[Exploration]:
    """One whose process ends in the middle of a schedule."""

    def subject(network: Network, moments: Moments) -> AbstractAsyncContextManager[Running]:
        os._exit(7)

    yield Exploration(subject, reference_config())


def test_a_worker_that_ends_is_told() -> None:
    with pytest.raises(WorkerEnded, match="exit code 7") as ended:
        side_by_side(dying, 300)
    assert ended.value.code == 7


class Unportable(Exception):
    """Cannot go to another process: it holds a lock."""

    def __init__(self) -> None:
        super().__init__("it broke", threading.Lock())


def failing(error: type[Exception], *arguments: str) -> AbstractContextManager[Exploration]:
    raise error(*arguments)


def test_what_a_worker_raises_is_raised_here() -> None:
    with pytest.raises(StartupError, match="no database"):
        side_by_side(partial(failing, StartupError, "no database"), 100)
    with pytest.raises(RuntimeError, match="it broke"):
        side_by_side(partial(failing, Unportable), 100)


@contextmanager
def unlike() -> Iterator[Exploration]:
    """One that is broken only in a worker."""
    yield racing("shared-queue", 0)


def test_what_another_process_saw_stands_although_it_is_not_so_here() -> None:
    race = RACE["shared-queue"]
    searched = side_by_side(unlike, 100, Exploration(asgi_subject(race.twin), race.config))
    there = search(racing("shared-queue", 0), most=100).found
    assert there is not None
    assert searched.found is not None
    assert history_bytes(searched.found) == history_bytes(there)
    assert searched.found.broken == there.broken
    assert searched.unlike is not None
    assert searched.unlike.broken == ()


def test_what_was_found_in_any_batch_is_tried_first_the_next_time(tmp_path: Path) -> None:
    exploration = racing("check-then-wait", 26)
    opened = partial(race, "check-then-wait", 26)
    first, again = (
        search_side_by_side(exploration, opened, most=400, workers=2, database=tmp_path) for _ in range(2)
    )
    assert first.until_found > 100
    assert again.until_found == 1
    assert first.found is not None
    assert again.found is not None
    assert again.found.schedule == first.found.schedule


def test_the_first_batch_does_not_take_what_is_found_beside_it(tmp_path: Path) -> None:
    exploration, first, second = racing("orphaned-producer", 0), Batch(0, 100), Batch(1, 100)
    alone = _tried(exploration, first, tmp_path / "alone", ignored)
    assert _tried(exploration, second, tmp_path / "beside", ignored).found is not None
    assert _tried(exploration, first, tmp_path / "beside", ignored) == alone
