"""What the properties of the reference share: a service, a bad link, clients that follow a job, and a look at what
is left when all of them are gone."""

import random
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest.mock import patch

import trio
from trio.testing import MockClock

from conformance.determinism import seeded
from conformance.reference.app import App
from conformance.reference.client import EventSource, Policy, connect
from conformance.reference.connection import Limits
from conformance.reference.producer import Job
from conformance.reference.service import Service, ServiceOptions, open_service
from conformance.transport import open_client
from conformance.wire import Event
from fault_injection import virtual
from fault_injection.faults import Plan
from fault_injection.proxy import open_proxy
from fault_injection.virtual import VirtualConnection, VirtualNetwork

_T = TypeVar("_T")

LONG = 1800.0  # seconds of virtual time: of a link that is only slow nobody shall think that it is dead
LONGEST = 20 * LONG  # seconds of virtual time: what takes longer does not end

PATIENT = Policy(
    completion=lambda event: event.type in ("complete", "error"),
    end=lambda event: event.type == "stream_end",
    head=LONG,
    silence=LONG,
    farewell=10 * LONG,
    linger=LONG,
    max_wait=5.0,
)
OPTIONS = ServiceOptions(
    epoch=1_700_000_000.0, retry=0.05, heartbeat=60.0, limits=Limits(arrival=LONG, idle=LONG, write=LONG)
)


def run(order: int, main: Callable[[], Awaitable[_T]], *instruments: trio.abc.Instrument) -> _T:
    """`trio.run` in virtual time; tasks that are ready at the same moment run in an order of their own for each
    `order`, and in the same one each time."""
    with seeded(order, epoch=None):
        return trio.run(main, clock=MockClock(autojump_threshold=0), instruments=instruments)


@dataclass
class Left:
    """What is there of what was made: connections of the virtual network and async generators."""

    ends: list[VirtualConnection] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)  # generators that were left to the garbage collector
    begun: dict[int, "weakref.ref[Any]"] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `AssertionError` where anything is open."""
        unfinished = [each for ref in self.begun.values() if (each := ref()) is not None]
        assert not self.abandoned
        assert not [each.__qualname__ for each in unfinished if each.ag_frame is not None]
        assert not [end.local for end in self.ends if not end._closed]


@contextmanager
def watched() -> Iterator[Left]:
    """Watch what is made in this block; it belongs inside of `trio.run`, which has hooks of its own."""
    left = Left()
    pair = virtual._pair
    first, last = sys.get_asyncgen_hooks()

    def made(*arguments: Any) -> tuple[VirtualConnection, VirtualConnection]:
        both = pair(*arguments)
        left.ends += both
        return both

    def begin(generator: AsyncGenerator[Any, Any]) -> None:
        left.begun[id(generator)] = weakref.ref(generator)
        if first is not None:
            first(generator)

    def abandon(generator: AsyncGenerator[Any, Any]) -> None:
        left.abandoned.append(getattr(generator, "__qualname__", repr(generator)))
        if last is not None:
            last(generator)

    with ExitStack() as stack:
        stack.enter_context(patch.object(virtual, "_pair", made))
        sys.set_asyncgen_hooks(firstiter=begin, finalizer=abandon)
        stack.callback(lambda: sys.set_asyncgen_hooks(firstiter=first, finalizer=last))
        yield left


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """When the block has ended, no task, no connection and no generator of it is left. Raises `trio.TooSlowError`
    where it does not end."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    with watched() as left, trio.fail_after(LONGEST):
        yield
    left.check()
    assert trio.lowlevel.current_statistics().tasks_living == tasks


@dataclass
class World:
    """A running service, a link to it that has faults, and the way around that."""

    service: Service
    network: VirtualNetwork
    link: tuple[str, int]

    @asynccontextmanager
    async def follow(
        self, job: str, *, direct: bool = False, policy: Policy = PATIENT, last_event_id: str = ""
    ) -> AsyncIterator[EventSource]:
        """Follow a job through the link, or around it."""
        host, port = self.service.address if direct else self.link
        url = f"http://{host}:{port}/jobs/{job}/events"
        async with (
            open_client(self.network, connect_timeout=LONG) as client,
            connect(url, client=client, policy=policy, last_event_id=last_event_id) as source,
        ):
            yield source


@asynccontextmanager
async def open_world(
    plan: Plan, seed: int = 0, wrap: Callable[[App], App] | None = None
) -> AsyncIterator[World]:
    """A service on a network in memory, behind a link with these faults."""
    network = VirtualNetwork()
    async with (
        open_service(network, options=OPTIONS, rng=random.Random(seed), wrap=wrap) as service,
        open_proxy(network, upstream=service.address, plan=plan, rng=random.Random(seed)) as proxy,
    ):
        yield World(service, network, proxy.address)


async def settled(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    while not condition():  # noqa: ASYNC110  (gauges tell nobody that they have changed)
        await trio.sleep(60)


async def read(
    world: World,
    job: str,
    events: list[Event],
    *,
    after: float = 0.0,
    direct: bool = False,
    policy: Policy = PATIENT,
    last_event_id: str = "",
) -> None:
    """Follow a job to its end, or until the client gives up (`GaveUp`)."""
    await trio.sleep(after)
    async with world.follow(job, direct=direct, policy=policy, last_event_id=last_event_id) as source:
        async for event in source:
            events.append(event)  # noqa: PERF401  (what came counts, also where the rest does not)


def published(job: Job) -> list[str]:
    """The types of all that a job told."""
    records = (job.channel.after(id) for id in range(job.channel.last_id))
    return [record.type for record in records if record is not None]


def numbers(events: list[Event]) -> list[int]:
    """The ids of events."""
    return [int(event.id or 0) for event in events]
