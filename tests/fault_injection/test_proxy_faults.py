"""Faults through the embedded proxy, on sockets and in memory."""

import random
from contextlib import suppress

import pytest
import trio
import trio.testing
from proxy_world import MANY, Notes, echo, proxied, read_all, read_until_reset, serving

from fault_injection.faults import (
    AtBytes,
    AtTime,
    AtTrigger,
    Bandwidth,
    Blackhole,
    Disconnect,
    Latency,
    Plan,
    Refuse,
)
from fault_injection.link import UnknownTriggerError
from fault_injection.network import Address, Connection, Network, SocketNetwork
from fault_injection.proxy import open_proxy
from fault_injection.virtual import VirtualNetwork


@pytest.fixture(params=[SocketNetwork, VirtualNetwork], ids=["sockets", "virtual"])
def network(request: pytest.FixtureRequest) -> Network:
    made: Network = request.param()
    return made


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_disconnect_gives_the_subscriber_exactly_the_prefix(network: Network, how: str) -> None:
    notes, server_heard = Notes(), trio.Event()

    async def talk(connection: Connection) -> None:
        async with connection:
            await connection.send_all(b"data: 1\n\ndata: 2\n\n")
            try:
                await connection.receive_some()
            except trio.BrokenResourceError:
                assert how == "rst"
            server_heard.set()

    cut = Disconnect(when=AtBytes(12), how="fin" if how == "fin" else "rst")
    async with (
        serving(network, talk) as upstream,
        proxied(network, upstream, cut, notes=notes) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        reading = read_all if how == "fin" else read_until_reset
        assert await reading(client) == b"data: 1\n\ndat"
        with trio.fail_after(5):
            await server_heard.wait()
            await notes.all_closed.wait()
    assert notes.told[2:] == ["fired 0 0 cut after 12 bytes", f"closed 0 {how}"]
    assert notes.bytes["downstream"] == b"data: 1\n\ndata: 2\n\n"


async def test_a_disconnect_lets_go_of_the_server_although_the_subscriber_does_not_read(
    network: Network,
) -> None:
    told = trio.Event()

    async def flood(connection: Connection) -> None:
        async with connection:
            try:
                while True:
                    await connection.send_all(bytes(65536))
            except trio.BrokenResourceError:
                told.set()

    cut = Disconnect(when=AtTime(0.2))
    async with (
        serving(network, flood) as upstream,
        proxied(network, upstream, cut) as proxy,
        await network.connect(*proxy.address),
    ):
        with trio.fail_after(5):
            await told.wait()


async def test_a_reset_reaches_both_although_the_subscriber_does_not_read(network: Network) -> None:
    told = trio.Event()

    async def flood(connection: Connection) -> None:
        async with connection:
            try:
                while True:
                    await connection.send_all(bytes(65536))
            except trio.BrokenResourceError:
                told.set()

    cut = Disconnect(when=AtTime(0.1), how="rst")
    async with (
        serving(network, flood) as upstream,
        proxied(network, upstream, cut) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        with trio.fail_after(5):
            await told.wait()
        assert len(await read_until_reset(client)) > 0


async def test_a_server_talks_on_to_a_subscriber_whose_death_it_cannot_hear_of(network: Network) -> None:
    notes, done = Notes(), trio.Event()

    async def talk(connection: Connection) -> None:
        async with connection:
            for _ in range(MANY // 65536):
                await connection.send_all(bytes(65536))
        done.set()

    deaf = Blackhole(when=AtTime(0), direction="upstream")
    async with serving(network, talk) as upstream, proxied(network, upstream, deaf, notes=notes) as proxy:
        client = await network.connect(*proxy.address)
        await client.receive_some()
        client.reset()
        with trio.fail_after(30):
            await done.wait()
            await notes.all_closed.wait()
    assert len(notes.bytes["downstream"]) == MANY
    assert notes.told[-1] == "closed 0 fin"


async def test_only_the_first_connection_is_cut(network: Network) -> None:
    cut = Disconnect(when=AtBytes(2), connections=1)
    async with serving(network, echo) as upstream, proxied(network, upstream, cut) as proxy:
        for expected in (b"he", b"hello"):
            async with await network.connect(*proxy.address) as client:
                await client.send_all(b"hello")
                await client.send_eof()
                assert await read_all(client) == expected


async def test_a_trigger_says_where_to_cut(network: Network) -> None:
    class AtNewline:
        def feed(self, data: bytes) -> int | None:
            return data.index(b"\n") + 1 if b"\n" in data else None

    async with (
        serving(network, echo) as upstream,
        open_proxy(
            network,
            upstream=upstream,
            rng=random.Random(0),
            plan=Plan((Disconnect(when=AtTrigger("newline")),)),
            triggers={"newline": lambda _: AtNewline()},
        ) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        await client.send_all(b"one\ntwo\n")
        assert await read_all(client) == b"one\n"


async def test_a_plan_with_an_unknown_trigger_is_refused_before_anything_listens(network: Network) -> None:
    with pytest.raises(UnknownTriggerError, match="newline"):
        async with proxied(network, ("127.0.0.1", 1), Disconnect(when=AtTrigger("newline"))):
            pytest.fail("the proxy is open")


async def test_a_sender_feels_a_slow_link(network: Network) -> None:
    sent = 0

    async def flood(connection: Connection) -> None:
        nonlocal sent
        async with connection:
            with suppress(trio.BrokenResourceError):  # the subscriber leaves before the slow link is through
                while True:
                    await connection.send_all(bytes(65536))
                    sent += 65536

    slow = Bandwidth(bytes_per_second=1000)
    async with (
        serving(network, flood) as upstream,
        proxied(network, upstream, slow) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        await client.receive_some()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sent < MANY


async def test_the_first_attempt_is_reset_and_the_next_are_refused_until_it_is_over(network: Network) -> None:
    notes = Notes()
    async with (
        serving(network, echo) as upstream,
        proxied(network, upstream, Refuse(duration=0.3), notes=notes) as proxy,
    ):
        await expect_reset_at_once(network, proxy.address)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await network.connect(*proxy.address)
        await trio.sleep(0.4)
        async with await network.connect(*proxy.address) as client:
            await client.send_all(b"in")
            assert await client.receive_some() == b"in"
    assert notes.told[:2] == ["refused 0 0", "accepted 0"]


async def test_the_first_attempts_are_refused_one_by_one(network: Network) -> None:
    notes = Notes()
    faults = (Refuse(connections=2), Disconnect(when=AtBytes(1), connections=1))
    async with serving(network, echo) as upstream, proxied(network, upstream, *faults, notes=notes) as proxy:
        for _ in range(2):
            await expect_reset_at_once(network, proxy.address)
        async with await network.connect(*proxy.address) as client:
            await client.send_all(b"in")
            assert await read_all(client) == b"i"
    assert notes.told[:3] == ["refused 0 0", "refused 1 0", "accepted 0"]


async def expect_reset_at_once(network: Network, address: Address) -> None:
    """Linux tells of a reset either in connect or in the next call."""
    with trio.fail_after(5), pytest.raises((ConnectionResetError, trio.BrokenResourceError)):
        async with await network.connect(*address) as client:
            await client.receive_some()


async def test_for_ever_is_for_ever(network: Network) -> None:
    async with serving(network, echo) as upstream, proxied(network, upstream, Refuse()) as proxy:
        await expect_reset_at_once(network, proxy.address)
        await trio.sleep(0.05)
        with pytest.raises(ConnectionRefusedError):
            await network.connect(*proxy.address)


async def test_five_minutes_of_latency_cost_nothing_in_virtual_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = VirtualNetwork()
    async with (
        serving(network, echo) as upstream,
        proxied(network, upstream, Latency(delay=300)) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        await client.send_all(b"late")
        began = trio.current_time()
        assert await client.receive_some() == b"late"
        assert trio.current_time() - began == pytest.approx(300)
