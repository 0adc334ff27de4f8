"""The scenario that is explored: subscribers come, leave and come back as a schedule has it."""

import gc
from dataclasses import dataclass, field, replace

import trio

from conformance.dialect import Parsed, Role
from conformance.drive.looking import counts_subscribers, look_at_state, status_needs_names
from conformance.drive.stage import Stage, Unreached
from conformance.drive.subscription import Subscription
from conformance.explore.schedule import OTHER, Beside, Cancel, Leave, Schedule
from conformance.scenarios import Scenario
from conformance.scenarios.coming_back import can_come_back
from conformance.wire import Event

NAME = "explore"
SUMMARY = "Subscribers come, leave and come back, faults happen on the link, tasks run in any order."

_MOST = 12  # connections of one subscriber
_USUAL_AWAY = 1.0  # seconds until a subscriber comes back whose connection was cut, if the stream sets none


def scenario(schedule: Schedule, subscribers: tuple[str, ...] = ("a", "b")) -> Scenario:
    """The scenario of a schedule for these subscribers."""

    async def drive(stage: Stage) -> None:
        await stage.sample("before")
        counted = counts_subscribers(stage)
        if not status_needs_names(stage):
            await _count_nobody(stage)
        count, works = _Count(), list[dict[str, str]]()
        async with trio.open_nursery() as cancelling:
            async with trio.open_nursery() as visiting:
                if schedule.beside is not None:
                    visiting.start_soon(_other_work, replace(stage), schedule, schedule.beside, works)
                works.append(await stage.start())
                if status_needs_names(stage):
                    await _count_nobody(stage)
                if schedule.cancel is not None:
                    cancelling.start_soon(_cancel, stage, schedule.cancel, count)
                for name in subscribers:
                    visiting.start_soon(
                        _visit, stage, schedule, name, count if name == subscribers[0] else None
                    )
            count.end()
        await look_at_state(stage)
        await _settled(stage)
        if counted:
            for names in works:
                await stage.status(names)
        elif schedule.cancel is not None:
            await stage.status()  # work that runs on in spite of it ends as something else

    return Scenario(NAME, SUMMARY, drive, schedule.plan)


@dataclass
class _Count:
    """Counts the events of a subscriber over its connections, for who waits for one of them."""

    seen: int = 0
    over: bool = False
    _changed: trio.Event = field(default_factory=trio.Event)

    def heard(self, parsed: Parsed, _role: Role | None) -> None:
        if isinstance(parsed.item, Event):
            self.seen += 1
            self._tell()

    def end(self) -> None:
        """No more will come."""
        self.over = True
        self._tell()

    async def reached(self, events: int) -> bool:
        """Wait for so many events; False where they do not come."""
        while self.seen < events and not self.over:
            await self._changed.wait()
        return self.seen >= events

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


async def _cancel(stage: Stage, cancel: Cancel, count: _Count) -> None:
    if await count.reached(cancel.events):
        await trio.sleep(cancel.seconds)
        await stage.cancel()


async def _other_work(stage: Stage, schedule: Schedule, beside: Beside, works: list[dict[str, str]]) -> None:
    """Work beside the first, with a subscriber of its own. A server may do one thing at a time, and say so."""
    await trio.sleep(beside.seconds)
    try:
        works.append(await stage.start())
    except Unreached as refused:
        stage.mark("no other work", str(refused))
        return
    if status_needs_names(stage):
        await _count_nobody(stage)
    await _visit(stage, schedule, OTHER)
    await look_at_state(stage)


async def _visit(stage: Stage, schedule: Schedule, name: str, count: _Count | None = None) -> None:
    await trio.sleep(schedule.late(name))
    leaves = list(schedule.leaves(name))
    last_event_id, completed = "", False
    for visit in range(_MOST):
        leave = leaves.pop(0) if leaves else None
        heard = count.heard if count is not None else None
        async with stage.subscribe(
            name, last_event_id=last_event_id or None, again=visit > 0, heard=heard
        ) as here:
            stage.nursery.start_soon(_ask_when_told, stage, here)
            if leave is None:
                await here.finished()
            elif await _until(here, leave):
                await here.drop(reset=leave.how == "rst")
        completed |= here.completed
        away = _away(stage, here, leave, completed)
        if away is None:
            return
        last_event_id = here.last_event_id or last_event_id
        if not can_come_back(stage, last_event_id):
            return
        await trio.sleep(away)


async def _count_nobody(stage: Stage) -> None:
    """Ask how many subscribers there are before anybody came: a server may count one of its own."""
    if counts_subscribers(stage):
        await stage.status()


async def _ask_when_told(stage: Stage, here: Subscription) -> None:
    """Ask for the status as soon as the stream says that the work is over, as who fetches a result does; or as soon as
    the stream is refused, for it may be over."""
    if await here.until(lambda self: self.completed or self.refused):
        await look_at_state(stage)


async def _settled(stage: Stage) -> None:
    """Let what is still under way have all the time that it may take, and look at the gauges again: work that goes
    on without subscribers comes to its end too. What only a cycle of references keeps is no leak: Python comes to it
    sooner or later, and finishes the generators that are in it."""
    await trio.sleep(stage.config.limits.completion)
    gc.collect(0)  # seeded, nothing was collected since: all of the run's are young
    await trio.sleep(stage.config.limits.close)
    await stage.sample("after")


async def _until(here: Subscription, leave: Leave) -> bool:
    """Wait for the moment to leave; False where the connection ended before."""
    match leave.when:
        case "before-head":
            return await here.until(lambda self: self.sent)
        case "head":
            return await here.head()
        case "events":
            return await here.saw(leave.count)
        case "time":
            with trio.move_on_after(leave.seconds):
                await here.finished()
            return not here.ended


def _away(stage: Stage, here: Subscription, leave: Leave | None, completed: bool) -> float | None:
    """How long (seconds) to stay away before coming back; None: for good.

    An event source comes back whenever a response ends before the stream, also one without a single event: WHATWG
    HTML, section 9.2.3. Who has seen the completion, on this connection or before, does not.
    """
    if here.how == "dropped" and leave is not None:
        return leave.away
    if completed or not stage.config.expect.resumable:
        return None
    if here.how in {"truncated", "reset", "refused"} or (here.how == "complete" and here.status == 200):
        return _USUAL_AWAY if here.reconnection_time is None else here.reconnection_time
    return None
