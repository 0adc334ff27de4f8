"""Subscribers who leave, at every point of a stream's life, and work that is to stop."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import trio

from conformance.drive.looking import Subscribers, gauges_back, look_until_over, work_over
from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage
from conformance.drive.subscription import Subscription
from conformance.history import ACTIVE
from conformance.scenarios.coming_back import can_come_back
from fault_injection.faults import AtTrigger, Disconnect, Plan

LONG: Final = "long"
"""The variant whose work lasts longer than `limits.cancellation`, so that it can be seen to be stopped."""

ABANDONED: Final = "abandoned"
"""The variant of which `expect.abandoned` speaks, where it is configured."""

_QUIET = (
    0.6  # seconds without an event: longer than the pauses of most work, shorter than those that are tested
)
_SILENT = "silent"
_BEYOND = 0.1  # seconds past a limit, so that no rounding makes it less
_MORE = 1.0  # seconds that a stream is read on, to see that it goes on


@dataclass(frozen=True)
class _Point:
    """A point of a stream's life, and how it is left there: `leave` returns when it has ended. `begun`: not before its
    first event; else as soon as the request is sent. `variant`: of the work.
    `hasty`: the subscriber leaves the moment it sees the completion."""

    name: str
    leave: Callable[[Subscription], Awaitable[None]]
    begun: bool = True
    variant: str | None = None
    hasty: bool = False


async def _between_events(subscriber: Subscription) -> None:
    await subscriber.drop()


async def _by_reset(subscriber: Subscription) -> None:
    await subscriber.drop(reset=True)


async def _in_silence(subscriber: Subscription) -> None:
    while not subscriber.ended:
        seen = len(subscriber.events)
        with trio.move_on_after(_QUIET) as quiet:
            await subscriber.saw(seen + 1)
        if quiet.cancelled_caught:
            await subscriber.drop()


async def _to_the_end(subscriber: Subscription) -> None:
    await subscriber.finished()


_BEFORE_HEAD = _Point("before-head", _to_the_end, begun=False)
_POINTS = (
    _Point("between-events", _between_events),
    _Point("by-reset", _by_reset),
    _Point("in-silence", _in_silence, variant=_SILENT),
    _Point("at-completion", _to_the_end, hasty=True),
    _Point("after-the-end", _to_the_end),
)


async def _leave(stage: Stage, count: Subscribers, point: _Point) -> None:
    """Subscribe to work of its own, leave it at a point, and look until the server has noticed."""
    stage = replace(stage)  # what is started here is of no concern to others who leave meanwhile
    names = await stage.start(point.variant)
    gauges = {} if point.begun else await stage.sample("before")
    before = await count.count(stage, names)
    async with stage.subscribe(
        point.name, names=names, leave_at_completion=point.hasty, leave_at_request=not point.begun
    ) as subscriber:
        if point.begun and await subscriber.saw(1):
            await count.count(stage, names)
        await point.leave(subscriber)
    limit = stage.config.limits.cancellation
    await look_until_over(count.gone(stage, names, before), limit=limit)
    if not point.begun:
        await look_until_over(gauges_back(stage, gauges), limit=limit)


@scenario(
    "leaving",
    summary="Subscribers leave: before the head, between events by FIN and by RST, in a silence, at the completion, "
    "and after the end; each time the server must notice.",
    exclusive=True,
)
async def leaving(stage: Stage) -> None:
    count = Subscribers(stage)
    await _leave(stage, count, _BEFORE_HEAD)  # alone, for gauges count everybody
    async with trio.open_nursery() as nursery:
        for point in _POINTS:
            if not _can_be_left(stage, point):
                continue
            if count.of_each_work:
                nursery.start_soon(_leave, stage, count, point)
            else:  # who comes meanwhile would be counted, too
                await _leave(stage, count, point)


def _can_be_left(stage: Stage, point: _Point) -> bool:
    ends = stage.dialect.completion is not None
    return (point.leave is not _to_the_end or ends) and (
        point.variant is None or point.variant in stage.config.target.variants
    )


@scenario(
    "cut-off",
    summary="The link cuts streams off: before the head, in the middle of it, between events, in the middle of an "
    "event; each time the server must notice.",
    # a connection is cut by what comes first in its life, so the first by the first fault, the second by the second
    plan=Plan(
        (
            Disconnect(when=AtTrigger("request"), how="fin", direction="upstream", connections=1),
            Disconnect(when=AtTrigger("mid-head"), how="fin", connections=2),
            Disconnect(when=AtTrigger("events", 1), how="rst", connections=3),
            Disconnect(when=AtTrigger("mid-event", 1), how="fin", connections=4),
        )
    ),
    exclusive=True,
)
async def cut_off(stage: Stage) -> None:
    count, limit = Subscribers(stage), stage.config.limits.cancellation
    for name in (_BEFORE_HEAD.name, "mid-head", "after-event", "mid-event"):
        names = await stage.start()
        gauges = await stage.sample("before") if name == _BEFORE_HEAD.name else {}
        before = await count.count(stage, names)
        async with stage.subscribe(name, names=names) as subscriber:
            if name == "mid-event" and await subscriber.saw(1):
                await count.count(stage, names)
            await subscriber.finished()
        await look_until_over(count.gone(stage, names, before), limit=limit)
        if gauges:
            await look_until_over(gauges_back(stage, gauges), limit=limit)


@scenario(
    "abandoned",
    summary="All subscribers of work leave, one after the other; the work must stop, or go on, as is expected of it.",
    needs=("expect.abandoned",),
    exclusive=True,
)
async def abandoned(stage: Stage) -> None:
    limits, expect = stage.config.limits, stage.config.expect
    active = (await stage.sample("before")).get(ACTIVE)
    names = await stage.start(ABANDONED if ABANDONED in stage.config.target.variants else None)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(stage.subscribe("first"))
        if expect.shared:
            last = await stack.enter_async_context(stage.subscribe("last"))
            await last.saw(1)
            await first.saw(1)
            await first.drop()
            with trio.move_on_after(limits.silence):
                await last.saw(len(last.events) + 2)
        else:
            last = first
            await last.saw(2)
        look = work_over(stage, names, active)
        if look is not None:
            await look()
        await last.drop()
    if look is None:
        raise Skipped(
            "needs target.status.pointer and target.status.finished, or target.probe.gauges.active, in the "
            "configuration: whether the work goes on"
        )
    await look_until_over(
        look, limit=limits.cancellation if expect.abandoned == "stops" else limits.completion
    )


@scenario(
    "cancel",
    summary="Work is cancelled by request while others are under way; those who watch it come back, and it is "
    "cancelled once more; when all is long over, they look again.",
    needs=("target.cancel",),
)
async def cancel(stage: Stage) -> None:
    others = replace(stage)
    async with AsyncExitStack() as stack:
        bystander: Subscription | None = None
        other: Mapping[str, str] = {}
        if stage.captured:
            other = await others.start()
            bystander = await stack.enter_async_context(others.subscribe("other", names=other))
        names = await stage.start(LONG if LONG in stage.config.target.variants else None)
        watching = [await stack.enter_async_context(stage.subscribe("a"))]
        if stage.config.expect.shared:
            watching.append(await stack.enter_async_context(stage.subscribe("b")))
        for each in watching:
            await each.saw(1)
        long_over = await _cancel(stage, names, watching)
        last = watching[0].last_event_id
        back = await _come_back(stage, last) if can_come_back(stage, last) else None
        await stage.status(names)
        await stage.cancel(names)
        await stage.status(names)
        if bystander is not None:
            await _read_on(stage, bystander)
            await others.status(other)
            await others.cancel(other)
            await others.status(other)
        await trio.sleep_until(long_over)
        await _look_again(stage, names, back)


async def _cancel(stage: Stage, names: Mapping[str, str], watching: list[Subscription]) -> float:
    """Answers when, on trio's clock, all of the work must be over."""
    limits = stage.config.limits
    await stage.status(names)
    stage.mark("cancelling")
    await stage.cancel(names)
    long_over = trio.current_time() + limits.cancellation + _BEYOND
    stopped = work_over(stage, names)
    async with trio.open_nursery() as nursery:
        if stopped is not None:
            nursery.start_soon(partial(look_until_over, stopped, limit=limits.cancellation))
        with trio.move_on_after(limits.cancellation + limits.close + _MORE):
            for each in watching:
                await each.finished()
    for each in watching:
        await each.drop()
    return long_over


async def _come_back(stage: Stage, last_event_id: str) -> Subscription:
    """As an event source does when its response has ended, whatever the reason."""
    stage.mark("reconnecting", "to work that was cancelled")
    async with stage.subscribe("back", last_event_id=last_event_id or None, again=True) as back:
        with trio.move_on_after(stage.config.limits.close + _MORE):
            await back.finished()
    return back


async def _look_again(stage: Stage, names: Mapping[str, str], back: Subscription | None) -> None:
    """Work that only says that it has stopped tells more of itself, or ends as something else."""
    if back is not None and back.how == "complete":  # who was left waiting would be so again
        back = await _come_back(stage, back.last_event_id)
        await trio.sleep(_MORE)
        await _come_back(stage, back.last_event_id)
    await stage.status(names)


async def _read_on(stage: Stage, bystander: Subscription) -> None:
    """Read the stream of other work: to its end where there is one, else for as long as it should bring something."""
    if stage.dialect.completion is not None and stage.config.expect.terminates is not False:
        await bystander.finished()
    else:
        with trio.move_on_after(stage.config.limits.silence):
            await bystander.saw(len(bystander.events) + 1)
