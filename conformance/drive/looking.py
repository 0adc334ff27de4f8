"""Looks again and again whether something is over: the work, or the server's knowledge of a subscriber."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from conformance.config import placeholders
from conformance.drive.stage import Skipped, Stage
from conformance.history import ACTIVE, SUBSCRIBERS
from conformance.pointer import resolve
from conformance.probes import read_json

Look: TypeAlias = Callable[[], Awaitable[bool | None]]
"""Asks the server: True, it is over; False, not yet; None, that could not be seen."""

_EVERY = 0.1  # seconds
_FINE = 0.05  # seconds: near the limit, that a look falls between it and what is not much later
_NEAR = 0.4  # seconds around the limit
_AT_ONCE = 6  # looks: the next one does not wait for an answer that is slow to come
_LONGER = 2.0  # seconds past the limit, until a server that does not answer is given up
_GONE = frozenset({404, 410})


async def look_until_over(look: Look, *, limit: float) -> None:
    """Look until it is over, or was not over yet at a look that began later than `limit` (seconds) from now.

    A look that has not been answered does not hold up the next one: on a busy machine answers are slow, and what
    counts is when the questions were asked.
    """
    looking = _Looking(look, began=trio.current_time(), limit=limit)
    async with (
        trio.open_nursery() as nursery
    ):  # looks that are under way are waited for: each has its own limit
        while (
            not looking.settled.is_set() and (passed := trio.current_time() - looking.began) < limit + _LONGER
        ):
            await looking.room.acquire()
            nursery.start_soon(looking.once)
            with trio.move_on_after(_FINE if abs(passed - limit) < _NEAR else _EVERY):
                await looking.settled.wait()


@dataclass
class _Looking:
    look: Look
    began: float
    limit: float
    settled: trio.Event = field(default_factory=trio.Event)
    room: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(_AT_ONCE))

    async def once(self) -> None:
        asked = trio.current_time()
        try:
            answer = await self.look()
        finally:
            self.room.release()
        if answer is True or (answer is False and asked - self.began > self.limit):
            self.settled.set()


class Subscribers:
    """Looks at the count of subscribers: the status's where `target.status.subscribers` is configured, else the gauge
    of that name. Raises `Skipped` where there is neither."""

    def __init__(self, stage: Stage) -> None:
        status, probe = stage.config.target.status, stage.config.target.probe
        self._pointer = None if status is None else status.subscribers
        if self._pointer is None and (probe is None or SUBSCRIBERS not in probe.gauges):
            raise Skipped(
                "needs target.status.subscribers or target.probe.gauges.subscribers in the configuration: how many "
                "subscribers the server knows of"
            )
        asked = [] if status is None or self._pointer is None else [status.path, status.json, status.body]
        self.of_each_work = any(name in stage.captured for name in placeholders(asked))
        """Whether each work has a count of its own, which other works' subscribers do not change."""

    async def count(self, stage: Stage, names: Mapping[str, str]) -> float | None:
        """How many there are; None where that cannot be seen."""
        if self._pointer is None:
            return (await stage.sample()).get(SUBSCRIBERS)
        answer = await stage.status(names)
        if answer is None or answer.status is None or answer.status >= 300:
            return None
        return read_json(answer.json, {SUBSCRIBERS: self._pointer})[0].value

    def gone(self, stage: Stage, names: Mapping[str, str], before: float | None) -> Look:
        """A look whether there are no more than `before`."""

        async def look() -> bool | None:
            now = await self.count(stage, names)
            return None if now is None or before is None else now <= before

        return look


def counts_subscribers(stage: Stage) -> bool:
    """Whether the status endpoint tells how many subscribers there are."""
    status = stage.config.target.status
    return status is not None and status.subscribers is not None


def status_needs_names(stage: Stage) -> bool:
    """Whether the status endpoint can be asked only of work that has begun."""
    status = stage.config.target.status
    asked = [] if status is None else [status.path, status.headers, status.json, status.body]
    return any(name in stage.captured for name in placeholders(asked))


def gauges_back(stage: Stage, before: Mapping[str, float | None]) -> Look:
    """A look whether no configured gauge is above what it was before."""
    probe = stage.config.target.probe
    names = () if probe is None else tuple(probe.gauges)

    async def look() -> bool | None:
        now = await stage.sample("after")
        pairs = [(was, now.get(name)) for name in names if (was := before.get(name)) is not None]
        if any(is_now is None for _, is_now in pairs):
            return None
        return all(is_now is not None and is_now <= was for was, is_now in pairs)

    return look


async def look_at_state(stage: Stage) -> None:
    """Ask for the work's state, if `target.status` is configured. Where that may lag behind the stream
    (`limits.status`), ask until it says that the work has ended, or for longer than it may lag."""
    limit, status = stage.config.limits.status, stage.config.target.status
    look = None if status is None or status.pointer is None else work_over(stage, stage.names)
    if limit and look is not None:
        await look_until_over(look, limit=limit)
    else:
        await stage.status()


def work_over(stage: Stage, names: Mapping[str, str], active: float | None = None) -> Look | None:
    """A look whether the work has ended: by its status, else by the gauge `active`, which was at `active` before it
    began. None where neither is configured."""
    status, probe = stage.config.target.status, stage.config.target.probe
    if status is not None and status.pointer is not None and (status.finished or status.cancelled):
        pointer, ended = status.pointer, (*(status.finished or ()), *(status.cancelled or ()))

        async def by_status() -> bool | None:
            answer = await stage.status(names)
            if answer is None or answer.status is None or answer.status >= 300:
                return True if answer is not None and answer.status in _GONE else None
            state = resolve(answer.json, pointer)
            return any(state == each and isinstance(state, bool) == isinstance(each, bool) for each in ended)

        return by_status
    if probe is None or ACTIVE not in probe.gauges:
        return None

    async def by_gauge() -> bool | None:
        now = (await stage.sample()).get(ACTIVE)
        return None if now is None or active is None else now <= active

    return by_gauge
