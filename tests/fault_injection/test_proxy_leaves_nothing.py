"""Whatever happens on a proxy, no descriptor and no task is left, and virtual time repeats itself."""

import random
from collections.abc import Awaitable, Callable

import psutil
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from link_driver import Fed, drive, make_link

from fault_injection import strategies
from fault_injection.faults import (
    AtBytes,
    AtTime,
    Blackhole,
    Buffer,
    Disconnect,
    Fault,
    Latency,
    Plan,
    Refuse,
    SlowClose,
)
from fault_injection.network import Connection, SocketNetwork
from fault_injection.proxy import open_proxy
from fault_injection.virtual import VirtualNetwork

CHUNK = bytes(range(250))


async def stay(connection: Connection) -> None:
    await connection.receive_some()


async def end(connection: Connection) -> None:
    await connection.send_eof()


async def go(connection: Connection) -> None:
    await connection.aclose()


async def break_off(connection: Connection) -> None:
    connection.reset()


WAYS: list[Callable[[Connection], Awaitable[None]]] = [stay, end, go, break_off]


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Latency(delay=0.01),
        Latency(delay=100),
        Buffer(size=10_000),
        Disconnect(when=AtBytes(5)),
        Disconnect(when=AtBytes(5), how="rst"),
        Disconnect(when=AtTime(0.01), direction="upstream"),
        Blackhole(when=AtBytes(3)),
        SlowClose(delay=100),
        Refuse(duration=0.01),
        Refuse(),
    ],
    ids=repr,
)
async def test_no_descriptor_and_no_task_is_left(fault: Fault | None) -> None:
    network = SocketNetwork()
    process = psutil.Process()
    before = process.num_fds(), trio.lowlevel.current_statistics().tasks_living
    plan = Plan((fault,) if fault else ())

    async def serve(connection: Connection) -> None:
        async with connection:
            try:
                await connection.send_all(CHUNK)
                await WAYS[random.Random(connection.peer[1]).randrange(4)](connection)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async with trio.open_nursery() as nursery:
        listener = await network.listen()
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with open_proxy(network, upstream=listener.address, rng=random.Random(0), plan=plan) as proxy:
            clients = []
            for n in range(16):
                try:
                    clients.append(client := await network.connect(*proxy.address))
                    with trio.move_on_after(0.02):
                        await client.send_all(CHUNK)
                        await client.receive_some()
                        await WAYS[n % 4](client)
                except (OSError, trio.BrokenResourceError):
                    continue
        for client in clients:
            await client.aclose()
        nursery.cancel_scope.cancel()
    assert (process.num_fds(), trio.lowlevel.current_statistics().tasks_living) == before


@st.composite
def talks(draw: st.DrawFn) -> list[tuple[float, bytes]]:
    """What a server sends: seconds to wait, then bytes."""
    waits = st.integers(0, 20).map(lambda tenths: tenths / 10)
    sizes = draw(st.lists(st.integers(1, 50), max_size=6))
    return [(draw(waits), bytes((n * 50 + k) % 256 for k in range(size))) for n, size in enumerate(sizes)]


Received = list[tuple[float, bytes | str]]


async def hear(plan: Plan, talk: list[tuple[float, bytes]], seed: int) -> Received:
    """What a subscriber receives through a proxy, and when, counted from when it connected."""
    network = VirtualNetwork()
    received: Received = []

    async def serve(connection: Connection) -> None:
        async with connection:
            try:
                for wait, data in talk:
                    await trio.sleep(wait)
                    await connection.send_all(data)
                await connection.send_eof()
                await connection.receive_some()
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listener = await network.listen()
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        async with (
            open_proxy(network, upstream=listener.address, rng=random.Random(seed), plan=plan) as proxy,
            await network.connect(*proxy.address) as client,
        ):
            began = trio.current_time()
            with trio.move_on_after(100_000):
                try:
                    while data := await client.receive_some():
                        received.append((round(trio.current_time() - began, 6), data))
                    received.append((round(trio.current_time() - began, 6), "fin"))
                except trio.BrokenResourceError:
                    received.append((round(trio.current_time() - began, 6), "rst"))
        nursery.cancel_scope.cancel()
    return received


KINDS = [kind for kind in strategies.ALL if kind is not Refuse]
PLANS = strategies.plans(kinds=KINDS, most_bytes=100, most_seconds=3)


@settings(max_examples=60, deadline=None)
@given(PLANS, talks(), st.integers(0, 1000))
def test_a_subscriber_hears_what_the_engine_says_when_it_says_so(
    plan: Plan, talk: list[tuple[float, bytes]], seed: int
) -> None:
    def run() -> Received:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(hear, plan, talk, seed, clock=clock)

    heard = run()
    assert run() == heard

    feeds, now = [], 0.0
    for wait, data in talk:
        now += wait
        feeds.append(Fed(now, data))
    rng = random.Random(seed)
    link = make_link(*plan.faults, seed=rng.getrandbits(64), born=0.0)
    expected = drive(link, [*feeds, Fed(now, "fin")], born=0.0)
    sent: Received = [(round(at, 6), data) for at, data in expected.sent()]
    ends = [(round(at, 6), "fin") for at in expected.eof()] + [
        (round(at, 6), "rst") for at in expected.resets()
    ]
    assert heard == sent + sorted(ends)[:1]  # after the first end the subscriber listens no more
