"""The embedded proxy, on sockets and in memory: what passes, what ends how, who is told."""

import errno
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from fault_injection.faults import (
    AtBytes,
    AtTime,
    AtTrigger,
    Bandwidth,
    Blackhole,
    Direction,
    Disconnect,
    Fault,
    Latency,
    Plan,
    Refuse,
    Slice,
)
from fault_injection.link import Fired, UnknownTriggerError
from fault_injection.network import Address, Connection, Network, SocketNetwork
from fault_injection.observer import HowClosed, Observer
from fault_injection.proxy import Proxy, open_proxy, serve_proxy
from fault_injection.virtual import VirtualNetwork

MANY = 16 * 1024 * 1024  # more than all buffers on the way take

Handler = Callable[[Connection], Awaitable[None]]


@pytest.fixture(params=[SocketNetwork, VirtualNetwork], ids=["sockets", "virtual"])
def network(request: pytest.FixtureRequest) -> Network:
    made: Network = request.param()
    return made


class Notes(Observer):
    """Writes down everything."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.bytes: dict[Direction, bytes] = {"upstream": b"", "downstream": b""}
        self.peers: list[Address] = []
        self.locals: list[Address] = []
        self.all_closed = trio.Event()

    def accepted(self, connection: int, peer: Address, time: float) -> None:
        assert time <= trio.current_time()
        self.told.append(f"accepted {connection}")
        self.peers.append(peer)

    def forwarded(self, connection: int, local: Address, time: float) -> None:
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.told.append(f"forwarded {connection}")
        self.locals.append(local)

    def ingress(self, connection: int, direction: Direction, data: bytes, time: float) -> None:
        assert connection == 0
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.bytes[direction] += data

    def fired(self, connection: int, fired: Fired) -> None:
        self.told.append(f"fired {connection} {fired.fault_index} {fired.detail}")

    def closed(self, connection: int, time: float, how: HowClosed) -> None:
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.told.append(f"closed {connection} {how}")
        self.all_closed.set()

    def refused(self, attempt: int, peer: Address, fired: Fired) -> None:
        assert peer[1] > 0
        self.told.append(f"refused {attempt} {fired.fault_index}")

    def upstream_unreachable(self, connection: int, error: OSError, time: float) -> None:
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.told.append(f"unreachable {connection} {errno.errorcode[error.errno or 0]}")


@asynccontextmanager
async def serving(network: Network, handler: Handler) -> AsyncIterator[Address]:
    """A server that runs `handler` on each connection."""
    async with trio.open_nursery() as nursery:
        listener = await network.listen()
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield listener.address
        nursery.cancel_scope.cancel()


def proxied(
    network: Network, upstream: Address, *faults: Fault, notes: Notes | None = None, seed: int = 0
) -> AbstractAsyncContextManager[Proxy]:
    return open_proxy(network, upstream=upstream, rng=random.Random(seed), plan=Plan(faults), observer=notes)


async def echo(connection: Connection) -> None:
    async with connection:
        async for data in connection:
            await connection.send_all(data)


async def read_all(connection: Connection) -> bytes:
    return b"".join([bytes(chunk) async for chunk in connection])


async def read_until_reset(connection: Connection) -> bytes:
    data = b""
    with trio.fail_after(5):
        try:
            async for chunk in connection:
                data += chunk
        except trio.BrokenResourceError:
            return data
    pytest.fail(f"the connection ended instead of being reset, after {data!r}")


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
