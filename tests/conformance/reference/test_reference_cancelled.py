"""Stopped at every await: whatever of the reference is stopped, and wherever all of it stands at that moment, nothing
is left of it, nobody else notices, and who was cut off resumes without a gap.

Each case is driven once to count the steps that trio's scheduler takes (a step is what a task does between two awaits),
and then once for every step, with the stop right after it. So every await of every task is met, those of the cleanup
too. In virtual time, and with the same order of tasks each time. There are some 600 steps in the seven cases, which
are driven in two orders: 1,200 runs.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import msgspec
import pytest
import trio
import trio.testing
from reference_chaos import PATIENT, World, nothing_left, numbers, open_world, published, read, run, settled

from conformance.reference.app import App, Request, Responder
from conformance.reference.client import GaveUp
from conformance.reference.producer import State
from conformance.reference.work import Work
from conformance.wire import Event
from fault_injection.faults import AtBytes, Disconnect, Plan

WORK = Work(events=3, interval=0.1)
WHOLE = ["progress", "progress", "complete", "stream_end"]
ORDERS = (0, 1)

CUT = Plan((Disconnect(when=AtBytes(700), connections=1),))
"""Who comes through the link is cut off once and resumes, so that this is met, too."""

IMPATIENT = msgspec.structs.replace(PATIENT, attempts=3)


class AtStep(trio.abc.Instrument):
    """Counts the steps between `begin` and `end`, and stops something after one of them."""

    def __init__(self, step: int = -1) -> None:
        self.count = 0
        self.stopped = False
        self._step = step
        self._stop: Callable[[], None] | None = None

    def begin(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def end(self) -> None:
        self._stop = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._stop is None:
            return
        if self.count == self._step:
            self._stop()
            self.stopped = True  # trio only logs what an instrument raises
        self.count += 1


Case: TypeAlias = Callable[[AtStep], Awaitable[None]]


async def a_client(at: AtStep) -> None:
    """Its block is cancelled. The other subscriber gets everything; who comes back with its last event ID, the rest."""
    witness: list[Event] = []
    got: list[Event] = []
    async with nothing_left(), open_world(CUT) as world:
        job = world.service.producer.start(WORK)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: read(world, job.id, witness, direct=True))
            with trio.CancelScope() as scope:
                at.begin(scope.cancel)
                await read(world, job.id, got)
            at.end()
        await settled(lambda: not any(world.service.gauges().values()))
        await read(world, job.id, got, last_event_id=str(len(got)) if got else "")
    assert [event.type for event in witness] == WHOLE
    assert [event.data for event in got] == [event.data for event in witness]


async def a_connection(at: AtStep) -> None:
    """A client resets its connection. The server gives back all that it took for it; the others get everything."""
    witness: list[Event] = []
    async with nothing_left(), open_world(CUT) as world:
        job = world.service.producer.start(WORK)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: read(world, job.id, witness))
            connection = await world.network.connect(*world.service.address)
            at.begin(connection.reset)
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await connection.send_all(f"GET /jobs/{job.id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                while b"stream_end" not in await connection.receive_some():
                    pass
            at.end()
            connection.reset()
        await settled(lambda: not any(world.service.gauges().values()))
    assert [event.type for event in witness] == WHOLE


async def a_response(at: AtStep) -> None:
    """The server breaks off a response. Its client resumes and gets everything, as the others do."""
    got: list[Event] = []
    witness: list[Event] = []
    begun = False

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            nonlocal begun
            if begun:
                await app(request, respond)
                return
            begun = True
            at.begin(respond.abort)
            try:
                await app(request, respond)
            finally:
                at.end()

        return handle

    async with nothing_left(), open_world(CUT, wrap=wrap) as world:
        job = world.service.producer.start(WORK)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, world, job.id, got)
            nursery.start_soon(lambda: read(world, job.id, witness, direct=True))
        await settled(lambda: not any(world.service.gauges().values()))
    for events in (got, witness):
        assert [event.type for event in events] == WHOLE
        assert numbers(events) == [1, 2, 3, 4]


async def _told_of_the_end(at: AtStep, stop: Callable[[World, str], None], ends: set[State]) -> None:
    """All subscribers get all that the job told, how it ended last of all."""
    got: list[Event] = []
    witness: list[Event] = []
    async with nothing_left(), open_world(CUT) as world:
        job = world.service.producer.start(WORK)
        async with trio.open_nursery() as nursery:
            at.begin(lambda: stop(world, job.id))
            nursery.start_soon(read, world, job.id, got)
            nursery.start_soon(lambda: read(world, job.id, witness, direct=True))
        at.end()
        await settled(lambda: not any(world.service.gauges().values()))
    log = published(job)
    assert job.state in ends
    assert log[-2:] == ["complete" if job.state is State.COMPLETED else "error", "stream_end"]
    for events in (got, witness):
        assert [event.type for event in events] == log
        assert numbers(events) == list(range(1, len(log) + 1))


async def a_job(at: AtStep) -> None:
    """A job is cancelled."""

    def stop(world: World, job: str) -> None:
        world.service.producer.jobs[job].cancel()

    await _told_of_the_end(at, stop, {State.CANCELLED, State.COMPLETED})


async def the_producer(at: AtStep) -> None:
    """The producer is stopped, under a server that goes on."""

    def stop(world: World, _: str) -> None:
        if (nursery := world.service.producer.nursery) is not None:
            nursery.cancel_scope.cancel()

    await _told_of_the_end(at, stop, {State.CANCELLED, State.COMPLETED})


async def the_service(at: AtStep) -> None:
    """The service shuts down. Who was connected is told of the end; nobody else gets anything that is not so."""
    got: list[Event] = []
    witness: list[Event] = []
    leave = trio.Event()

    async def until_it_is_gone(world: World, job: str, events: list[Event], *, direct: bool) -> None:
        with suppress(GaveUp):
            await read(world, job, events, direct=direct, policy=IMPATIENT)

    async with nothing_left(), trio.open_nursery() as nursery, open_world(CUT) as world:
        job = world.service.producer.start(WORK)
        nursery.start_soon(lambda: until_it_is_gone(world, job.id, witness, direct=True))
        await trio.testing.wait_all_tasks_blocked()
        at.begin(leave.set)
        nursery.start_soon(lambda: until_it_is_gone(world, job.id, got, direct=False))
        with trio.move_on_after(2):
            await leave.wait()
        at.end()
    assert [event.type for event in witness] == published(job)
    assert [event.data for event in got] == [event.data for event in witness[: len(got)]]


async def all_at_once(at: AtStep) -> None:
    """The block with service and link is cancelled: no time for anything. Clients get the beginning and give up."""
    got: list[Event] = []
    witness: list[Event] = []

    async def until_it_is_gone(world: World, job: str, events: list[Event], *, direct: bool) -> None:
        with suppress(GaveUp):
            await read(world, job, events, direct=direct, policy=IMPATIENT)

    async with nothing_left(), trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            at.begin(scope.cancel)
            async with open_world(CUT) as world:
                job = world.service.producer.start(WORK)
                nursery.start_soon(lambda: until_it_is_gone(world, job.id, witness, direct=True))
                nursery.start_soon(lambda: until_it_is_gone(world, job.id, got, direct=False))
                await trio.sleep(1)
        at.end()
    for events in (got, witness):
        assert numbers(events) == list(range(1, len(events) + 1))


CASES: list[Case] = [a_client, a_connection, a_response, a_job, the_producer, the_service, all_at_once]


def steps(case: Case, order: int) -> int:
    """How many there are when nothing is stopped."""
    at = AtStep()
    run(order, lambda: case(at), at)
    return at.count


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_stopped_at_every_step(case: Case, order: int) -> None:
    for step in range(steps(case, order)):
        at = AtStep(step)
        run(order, partial(case, at), at)
        assert at.stopped, step


def test_there_are_many_steps() -> None:
    counted = {case.__name__: steps(case, ORDERS[0]) for case in CASES}
    assert min(counted.values()) > 30, counted
    assert sum(counted.values()) > 400, counted
