"""The embedded proxy, on sockets and in memory: what passes, what ends how, who is told."""

import errno
import random
from functools import partial

import pytest
import trio
import trio.testing
from proxy_world import MANY, Notes, echo, proxied, read_all, read_until_reset, serving

from fault_injection.faults import (
    AtTime,
    Blackhole,
    Plan,
    Slice,
)
from fault_injection.network import Address, Connection, Network, SocketNetwork
from fault_injection.observer import Observer
from fault_injection.proxy import open_proxy, serve_proxy
from fault_injection.virtual import VirtualNetwork


@pytest.fixture(params=[SocketNetwork, VirtualNetwork], ids=["sockets", "virtual"])
def network(request: pytest.FixtureRequest) -> Network:
    made: Network = request.param()
    return made


async def test_bytes_pass_and_everything_is_told(network: Network) -> None:
    notes, peers = Notes(), []

    async def answer(connection: Connection) -> None:
        peers.append(connection.peer)
        await echo(connection)

    async with serving(network, answer) as upstream, proxied(network, upstream, notes=notes) as proxy:
        assert proxy.address[0] == "127.0.0.1"
        async with await network.connect(*proxy.address) as client:
            await client.send_all(b"hello")
            await client.send_eof()
            assert await read_all(client) == b"hello"
            assert notes.peers == [client.local]
        with trio.fail_after(5):
            await notes.all_closed.wait()
        assert proxy.connections == 1
    assert notes.locals == peers
    assert notes.bytes == {"upstream": b"hello", "downstream": b"hello"}
    assert notes.told == ["accepted 0", "forwarded 0", "closed 0 fin"]


async def test_much_passes_unchanged_both_ways_at_once(network: Network) -> None:
    sent = random.Random(0).randbytes(3_000_000)
    async with (
        serving(network, echo) as upstream,
        proxied(network, upstream) as proxy,
        await network.connect(*proxy.address) as client,
    ):

        async def send() -> None:
            await client.send_all(sent)
            await client.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(30):
                assert await read_all(client) == sent


async def test_a_half_close_passes_and_the_other_direction_goes_on(network: Network) -> None:
    async def after_the_end(connection: Connection) -> None:
        async with connection:
            request = await read_all(connection)
            await connection.send_all(b"whole request: " + request)
            await connection.send_eof()
            await connection.receive_some()

    async with (
        serving(network, after_the_end) as upstream,
        proxied(network, upstream) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        await client.send_all(b"GET")
        await client.send_eof()
        with trio.fail_after(5):
            assert await read_all(client) == b"whole request: GET"


async def test_the_end_of_the_server_passes_while_the_subscriber_goes_on(network: Network) -> None:
    heard = []
    done = trio.Event()

    async def end_first(connection: Connection) -> None:
        async with connection:
            await connection.send_eof()
            heard.append(await read_all(connection))
        done.set()

    async with serving(network, end_first) as upstream, proxied(network, upstream) as proxy:
        async with await network.connect(*proxy.address) as client:
            assert await client.receive_some() == b""
            await client.send_all(b"still talking")
        with trio.fail_after(5):
            await done.wait()
    assert heard == [b"still talking"]


async def test_a_reset_by_the_server_resets_the_subscriber(network: Network) -> None:
    notes = Notes()

    async def break_off(connection: Connection) -> None:
        await connection.send_all(b"partial")
        await connection.receive_some()
        connection.reset()

    async with (
        serving(network, break_off) as upstream,
        proxied(network, upstream, notes=notes) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        assert await client.receive_some() == b"partial"
        await client.send_all(b"go")
        assert await read_until_reset(client) == b""
    assert notes.told[-1] == "closed 0 rst"


async def test_a_reset_by_the_subscriber_resets_the_server(network: Network) -> None:
    notes, broken = Notes(), trio.Event()

    async def send_for_ever(connection: Connection) -> None:
        async with connection:
            try:
                while True:
                    await connection.send_all(bytes(1000))
            except trio.BrokenResourceError:
                broken.set()

    async with serving(network, send_for_ever) as upstream, proxied(network, upstream, notes=notes) as proxy:
        client = await network.connect(*proxy.address)
        await client.receive_some()
        client.reset()
        with trio.fail_after(5):
            await broken.wait()
            await notes.all_closed.wait()
    assert notes.told[-1] == "closed 0 rst"


async def test_a_server_that_is_not_there_resets_the_subscriber(network: Network) -> None:
    notes = Notes()
    async with await network.listen() as listener:
        nowhere = listener.address
    async with proxied(network, nowhere, notes=notes) as proxy:
        for _ in range(2):
            async with await network.connect(*proxy.address) as client:
                assert await read_until_reset(client) == b""
    assert notes.told == [
        note
        for n in range(2)
        for note in (f"accepted {n}", f"unreachable {n} ECONNREFUSED", f"closed {n} rst")
    ]


async def test_a_sender_feels_that_the_receiver_does_not_read(network: Network) -> None:
    sent = 0

    async def flood(connection: Connection) -> None:
        nonlocal sent
        async with connection:
            for _ in range(MANY // 65536):
                await connection.send_all(bytes(65536))
                sent += 65536

    async with (
        serving(network, flood) as upstream,
        proxied(network, upstream) as proxy,
        await network.connect(*proxy.address) as client,
    ):
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert 0 < sent < MANY
        with trio.fail_after(30):
            assert len(await read_all(client)) == MANY


async def test_what_the_body_raises_comes_out_as_it_is(network: Network) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with proxied(network, ("127.0.0.1", 1)):
            raise KeyError("mine")
    with trio.move_on_after(0) as scope:
        async with proxied(network, ("127.0.0.1", 1)):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_error_in_the_observer_is_not_swallowed(network: Network) -> None:
    class Faulty(Observer):
        def accepted(self, connection: int, peer: Address, time: float) -> None:
            raise KeyError((connection, peer, time))

    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with (
            open_proxy(network, upstream=("127.0.0.1", 1), rng=random.Random(0), observer=Faulty()) as proxy,
            await network.connect(*proxy.address),
        ):
            await trio.sleep_forever()


async def test_a_taken_address_is_an_error(network: Network) -> None:
    async with await network.listen() as listener:
        with pytest.raises(OSError) as caught:
            async with open_proxy(
                network, upstream=("127.0.0.1", 1), rng=random.Random(0), listen=listener.address
            ):
                pytest.fail("the proxy is open")
    assert caught.value.errno == errno.EADDRINUSE


async def test_a_proxy_on_its_own_runs_until_cancelled(network: Network) -> None:
    async with serving(network, echo) as upstream, trio.open_nursery() as nursery:
        proxy = await nursery.start(
            partial(
                serve_proxy, network, upstream=upstream, rng=random.Random(0), plan=Plan((Slice(size=1),))
            )
        )
        async with await network.connect(*proxy.address) as client:
            await client.send_all(b"hi")
            await client.send_eof()
            assert await read_all(client) == b"hi"
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionRefusedError):
        await network.connect(*proxy.address)


async def test_the_end_of_the_proxy_ends_its_connections(network: Network) -> None:
    notes = Notes()
    async with serving(network, echo) as upstream:
        async with proxied(network, upstream, Blackhole(when=AtTime(0)), notes=notes) as proxy:
            client = await network.connect(*proxy.address)
            await client.send_all(b"into the void")
            with trio.move_on_after(0.05) as scope:
                await client.receive_some()
            assert scope.cancelled_caught
        async with client:
            with trio.fail_after(5):
                assert await client.receive_some() == b""
    assert notes.told[-1] == "closed 0 cancelled"
