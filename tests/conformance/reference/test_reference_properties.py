"""What holds of the reference whatever happens: under any faults, in any order of its tasks, at any moment.

In virtual time, so that a link that is slow for an hour costs some milliseconds. There are `EXAMPLES` of each of the
three properties, and 1,200 stops in `test_reference_cancelled.py`: 2,400 runs, in some 35 seconds of one core.
"""

from contextlib import suppress

import msgspec
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference_chaos import PATIENT, World, nothing_left, numbers, open_world, published, read, run, settled

from conformance.reference.client import GaveUp
from conformance.reference.producer import State
from conformance.reference.work import Work
from conformance.wire import Event
from fault_injection.faults import Blackhole, Buffer, Disconnect, Fault, Plan, Refuse
from fault_injection.strategies import plans

EXAMPLES = 400

IMPATIENT = msgspec.structs.replace(PATIENT, attempts=5, head=60.0, silence=60.0)

trying = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

works = st.builds(
    Work,
    events=st.integers(1, 5),
    interval=st.sampled_from([0.0, 0.1, 2.0]),
    silence=st.sampled_from([0.0, 90.0]),  # longer than it takes to the heartbeat
    fail=st.booleans(),
)
orders = st.integers(0, 2**16)


def lasting(plan: Plan) -> Plan:
    """The plan, with no bytes that vanish from the middle of a connection: TCP brings all or nothing that follows."""
    return Plan(
        tuple(
            msgspec.structs.replace(fault, duration=None) if isinstance(fault, Blackhole) else fault
            for fault in plan.faults
        )
    )


any_plan = plans(most_bytes=2048, most_seconds=5.0).map(lasting)


def ends(fault: Fault) -> bool:
    """Whether who comes back often enough gets through."""
    match fault:
        case Disconnect() | Blackhole() | Refuse():
            return fault.connections is not None
        case Buffer():
            return fault.connections is not None or fault.flush_after is not None
        case _:
            return True


passing = any_plan.filter(lambda plan: all(map(ends, plan.faults)))


def told(work: Work) -> list[str]:
    """The types of the events of a job that is left alone."""
    return ["progress"] * work.steps + ["error" if work.fail else "complete", "stream_end"]


def check(events: list[Event], work: Work) -> None:
    """All of it, once, in order."""
    assert [event.type for event in events] == told(work)
    assert numbers(events) == list(range(1, work.events + 2))


@trying
@given(passing, works, orders, st.sampled_from([0.0, 0.1, 3.0, 200.0]))
def test_everything_arrives_once_and_in_order(plan: Plan, work: Work, order: int, late: float) -> None:
    """Whatever the link does, as long as it stops doing it: no event is lost, the completion least of all, none comes
    twice, who resumes has no gap; and who was there is not noticed any more when he has gone."""

    async def main() -> None:
        first: list[Event] = []
        second: list[Event] = []
        async with nothing_left(), open_world(plan, order) as world:
            job = world.service.producer.start(work)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, world, job.id, first)
                nursery.start_soon(lambda: read(world, job.id, second, after=late))
            await settled(lambda: not any(world.service.gauges().values()))
        check(first, work)
        check(second, work)

    run(order, main)


@trying
@given(any_plan, works, orders)
def test_what_arrives_is_the_beginning_of_it(plan: Plan, work: Work, order: int) -> None:
    """Under faults that need not end: what comes through is the beginning of the stream, without a gap and without a
    repetition, and the client gives up some time; who is connected around the link notices nothing of it."""

    async def main() -> None:
        some: list[Event] = []
        witness: list[Event] = []

        async def try_hard(world: World, job: str) -> None:
            with suppress(GaveUp):
                await read(world, job, some, policy=IMPATIENT)

        async with nothing_left(), open_world(plan, order) as world:
            job = world.service.producer.start(work)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_hard, world, job.id)
                nursery.start_soon(lambda: read(world, job.id, witness, direct=True))
            await settled(lambda: not job.channel.subscriptions)
        check(witness, work)
        assert [event.data for event in some] == [event.data for event in witness[: len(some)]]

    run(order, main)


@trying
@given(any_plan, works, orders, st.sampled_from([0.0, 0.05, 0.1, 0.25, 1.0, 4.0, 95.0]))
def test_a_shutdown_at_any_moment_leaves_nothing(plan: Plan, work: Work, order: int, when: float) -> None:
    """Who is there when the service stops is told how the work ended, over a good connection; over a bad one it gets
    the beginning of that. No task, no connection, no subscriber and no generator is left."""

    async def main() -> None:
        some: list[Event] = []
        witness: list[Event] = []

        async def until_it_is_gone(world: World, job: str, events: list[Event], *, direct: bool) -> None:
            with suppress(GaveUp):
                await read(world, job, events, direct=direct, policy=IMPATIENT)

        async with nothing_left(), trio.open_nursery() as nursery:
            async with open_world(plan, order) as world:
                job = world.service.producer.start(work)
                nursery.start_soon(lambda: until_it_is_gone(world, job.id, witness, direct=True))
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(lambda: until_it_is_gone(world, job.id, some, direct=False))
                await trio.sleep(when)
            assert not job.channel.subscriptions
        log = published(job)
        assert job.state is not State.RUNNING
        assert log[-2:] == [{State.COMPLETED: "complete"}.get(job.state, "error"), "stream_end"]
        assert [event.type for event in witness] == log
        assert numbers(witness) == list(range(1, len(log) + 1))
        assert [event.data for event in some] == [event.data for event in witness[: len(some)]]

    run(order, main)
