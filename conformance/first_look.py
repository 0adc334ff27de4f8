"""Looks at a server as `sse-conformance init` does: three GET requests at the most, and none that does more."""

from collections import Counter
from collections.abc import Sequence

import trio

from conformance.drive.stage import Stage
from conformance.drive.subscription import Subscription
from conformance.proposal.entries import BACK, FIRST, SECOND
from conformance.wire import Event

_APART = 0.3  # seconds between two subscribers; who come together cannot be told apart by their times
_BRIEF = 5.0  # seconds for what comes after an id: it is there already, or it is not kept
_ENOUGH = 3  # events after that id


async def look(stage: Stage, duration: float, stop: trio.Event) -> None:
    """Read the stream for so many seconds at the most; let a second subscriber join meanwhile, and one come back
    afterwards with an id from the middle. Where there is no event nobody follows. `stop` ends it early."""
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            await stop.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up)
        first = await _two(stage, duration)
        if (last := middle(first.events)) is not None:
            event_id, after = last
            async with stage.subscribe(BACK, last_event_id=event_id, watch=min(duration, _BRIEF)) as back:
                await back.saw(min(after, _ENOUGH))
        nursery.cancel_scope.cancel()


async def _two(stage: Stage, duration: float) -> Subscription:
    until = trio.current_time() + duration
    async with stage.subscribe(FIRST, watch=duration) as first:
        await _wait_to_join(first, duration)
        if first.events:
            rest = round(max(until - trio.current_time(), _APART), 2)
            async with stage.subscribe(SECOND, watch=rest) as second:
                await first.finished()
                await second.finished()
        await first.finished()
    return first


async def _wait_to_join(first: Subscription, duration: float) -> None:
    """Wait until it is between two events, so that who ticks for each subscriber is out of step with the first one; or
    until the stream is over."""
    began = trio.current_time()
    with trio.move_on_after(duration / 3):
        await first.saw(1)
        one = trio.current_time()
        await first.saw(2)
        two = trio.current_time()
        with trio.move_on_at(max(two + (two - one) / 2, began + _APART)):
            await first.finished()


def middle(events: Sequence[Event]) -> tuple[str, int] | None:
    """An id from the middle of a stream that names one event of it, and how many events came after that; None where
    there is no such id."""
    times = Counter(event.id for event in events)
    places = [at for at, event in enumerate(events[:-1]) if event.id and times[event.id] == 1]
    if not places:
        return None
    at = places[len(places) // 2]
    return events[at].id or "", len(events) - at - 1
