"""The two networks behave alike: each test runs on the machine's TCP and in memory."""

import errno
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from fault_injection.network import Connection, Listener, Network, SocketNetwork
from fault_injection.virtual import VirtualNetwork

MANY = 16 * 1024 * 1024  # more than the buffers of both ends take


@pytest.fixture(params=[SocketNetwork, VirtualNetwork], ids=["sockets", "virtual"])
def network(request: pytest.FixtureRequest) -> Network:
    made: Network = request.param()
    return made


@pytest.fixture
async def listener(network: Network) -> AsyncIterator[Listener]:
    async with await network.listen() as listener:
        yield listener


@pytest.fixture
async def ends(network: Network, listener: Listener) -> AsyncIterator[tuple[Connection, Connection]]:
    """The two ends of a connection: the one that connected, the one that was accepted."""
    async with await network.connect(*listener.address) as client, await listener.accept() as server:
        yield client, server


Ends = tuple[Connection, Connection]


async def read_all(connection: Connection) -> bytes:
    return b"".join([bytes(chunk) async for chunk in connection])


async def test_the_ends_know_their_addresses(ends: Ends, listener: Listener) -> None:
    client, server = ends
    assert client.peer == server.local == listener.address
    assert client.local == server.peer != listener.address


async def test_every_connection_has_an_address_of_its_own(network: Network, listener: Listener) -> None:
    locals_ = set()
    for _ in range(5):
        async with await network.connect(*listener.address) as client, await listener.accept():
            locals_.add(client.local)
    assert len(locals_) == 5


async def test_bytes_go_both_ways(ends: Ends) -> None:
    client, server = ends
    await client.send_all(b"ping")
    await server.send_all(b"pong")
    assert (await server.receive_some(), await client.receive_some()) == (b"ping", b"pong")


async def test_any_buffer_can_be_sent(ends: Ends) -> None:
    client, server = ends
    for data in (b"", bytearray(b"one"), memoryview(b"two"), memoryview(b"t.h.r.e.e.")[::2].tobytes()):
        await client.send_all(data)
    await client.send_eof()
    assert await read_all(server) == b"onetwothree"


async def test_receive_gives_no_more_than_asked_for(ends: Ends) -> None:
    client, server = ends
    await client.send_all(b"abc")
    assert [await server.receive_some(2), await server.receive_some(2)] == [b"ab", b"c"]
    with pytest.raises(ValueError, match="max_bytes"):
        await server.receive_some(0)


async def test_an_end_is_told_for_ever_and_the_other_direction_goes_on(ends: Ends) -> None:
    client, server = ends
    await client.send_all(b"last")
    await client.send_eof()
    await client.send_eof()
    assert [await server.receive_some() for _ in range(3)] == [b"last", b"", b""]
    await server.send_all(b"answer")
    assert await client.receive_some() == b"answer"
    with pytest.raises(trio.ClosedResourceError):
        await client.send_all(b"more")


async def test_what_was_sent_before_a_close_arrives(ends: Ends) -> None:
    client, server = ends
    await client.send_all(b"last")
    await client.aclose()
    assert await read_all(server) == b"last"


async def test_a_closed_end_can_do_nothing_but_close(ends: Ends) -> None:
    client, _ = ends
    await client.aclose()
    await client.aclose()
    client.reset()
    for call in (client.receive_some, client.send_eof, client.wait_send_all_might_not_block):
        with pytest.raises(trio.ClosedResourceError):
            await call()
    with pytest.raises(trio.ClosedResourceError):
        await client.send_all(b"x")


async def test_sending_to_a_closed_end_breaks(ends: Ends) -> None:
    client, server = ends
    await server.aclose()

    async def keep_sending() -> None:
        while True:
            await client.send_all(b"x")

    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await keep_sending()


async def test_closing_with_unread_bytes_resets(ends: Ends) -> None:
    client, server = ends
    await client.send_all(b"never read")
    await server.wait_send_all_might_not_block()
    await server.aclose()
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await client.receive_some()


async def test_what_arrived_before_a_reset_can_be_received_and_then_it_is_told_for_ever(ends: Ends) -> None:
    client, server = ends
    await client.send_all(b"last")
    client.reset()
    assert await server.receive_some() == b"last"
    for _ in range(3):
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"x")


async def test_a_reset_that_the_sender_heard_of_is_no_end_to_the_receiver(ends: Ends) -> None:
    client, server = ends
    client.reset()
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()


async def test_send_eof_after_a_reset_breaks(ends: Ends) -> None:
    client, server = ends
    client.reset()
    with pytest.raises(trio.BrokenResourceError):
        await server.send_eof()


async def test_a_reset_wakes_who_receives_at_the_other_end(ends: Ends) -> None:
    client, server = ends
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_broken, server)
        await wait_all_tasks_blocked()
        client.reset()


async def test_a_reset_wakes_who_sends_at_the_other_end(ends: Ends) -> None:
    client, server = ends

    async def send() -> None:
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await server.send_all(bytes(MANY))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        client.reset()


@pytest.mark.parametrize("how", ["aclose", "reset"])
async def test_ending_a_connection_wakes_who_receives_and_sends_at_this_end(ends: Ends, how: str) -> None:
    client, _ = ends

    async def receive() -> None:
        with trio.fail_after(5), pytest.raises(trio.ClosedResourceError):
            await client.receive_some()

    async def send() -> None:
        with trio.fail_after(5), pytest.raises(trio.ClosedResourceError):
            await client.send_all(bytes(MANY))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        if how == "reset":
            client.reset()
        else:
            await client.aclose()


async def test_a_sender_waits_for_a_receiver_that_does_not_read(ends: Ends) -> None:
    client, server = ends
    sent = trio.Event()
    got = 0

    async def send() -> None:
        await client.send_all(bytes(MANY))
        sent.set()
        await client.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked(0.05)
        assert not sent.is_set()
        async for chunk in server:
            got += len(chunk)
    assert got == MANY


async def test_only_one_task_receives_and_only_one_sends(ends: Ends) -> None:
    client, _ = ends
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.receive_some)
        nursery.start_soon(client.send_all, bytes(MANY))
        await wait_all_tasks_blocked(0.05)
        with pytest.raises(trio.BusyResourceError):
            await client.receive_some()
        with pytest.raises(trio.BusyResourceError):
            await client.send_all(b"x")
        with pytest.raises(trio.BusyResourceError):
            await client.send_eof()
        nursery.cancel_scope.cancel()


async def test_a_cancelled_receive_loses_nothing(ends: Ends) -> None:
    client, server = ends
    with trio.move_on_after(0.01) as scope:
        await server.receive_some()
    assert scope.cancelled_caught
    await client.send_all(b"late")
    with trio.CancelScope() as scope:
        scope.cancel()
        await server.receive_some()
    assert await server.receive_some() == b"late"


async def test_nobody_there_is_refused(network: Network) -> None:
    async with await network.listen() as listener:
        address = listener.address
    with pytest.raises(ConnectionRefusedError):
        await network.connect(*address)


async def test_an_address_is_taken_once(network: Network, listener: Listener) -> None:
    with pytest.raises(OSError) as caught:
        await network.listen(*listener.address)
    assert caught.value.errno == errno.EADDRINUSE


async def test_a_closed_listener_leaves_accepted_connections_alone(
    network: Network, listener: Listener, ends: Ends
) -> None:
    client, server = ends
    waiting = await network.connect(*listener.address)
    await listener.aclose()
    await client.send_all(b"still here")
    assert await server.receive_some() == b"still here"
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await waiting.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    await waiting.aclose()


async def test_closing_a_listener_wakes_who_accepts(listener: Listener) -> None:
    async def accept() -> None:
        with trio.fail_after(5), pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        await wait_all_tasks_blocked()
        await listener.aclose()


async def test_a_paused_listener_refuses_and_keeps_its_address(
    network: Network, listener: Listener, ends: Ends
) -> None:
    client, server = ends
    for _ in range(2):
        waiting = await network.connect(*listener.address)
        listener.pause()
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await waiting.receive_some()
        await waiting.aclose()
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await network.connect(*listener.address)
        listener.resume()
        async with await network.connect(*listener.address) as again, await listener.accept() as accepted:
            await again.send_all(b"hello again")
            assert await accepted.receive_some() == b"hello again"
    await client.send_all(b"still here")
    assert await server.receive_some() == b"still here"
    listener.pause()
    await listener.aclose()
    with pytest.raises(ConnectionRefusedError):
        await network.connect(*listener.address)


async def expect_broken(connection: Connection) -> None:
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await connection.receive_some()


async def test_virtual_pieces_are_never_joined_and_ports_are_never_used_twice() -> None:
    network = VirtualNetwork()
    async with await network.listen("server.example", 80) as listener:
        async with await network.connect("server.example", 80) as client, await listener.accept() as server:
            await client.send_all(b"one")
            await client.send_all(b"two")
            assert [await server.receive_some(), await server.receive_some()] == [b"one", b"two"]
            first = client.local
        async with await network.connect("server.example", 80) as client:
            assert client.local[1] == first[1] + 1
    with pytest.raises(ConnectionRefusedError, match=r"server\.example:80"):
        await network.connect("server.example", 80)


async def test_a_virtual_sender_waits_when_the_buffer_is_full() -> None:
    network = VirtualNetwork(buffer_size=4)
    listener = await network.listen("localhost")
    client = await network.connect("127.0.0.1", listener.address[1])
    server = await listener.accept()
    with trio.move_on_after(0.01) as scope:
        await client.send_all(b"12345")
    assert scope.cancelled_caught
    assert await server.receive_some() == b"1234"
    with pytest.raises(ValueError, match="buffer_size"):
        VirtualNetwork(buffer_size=0)


async def test_a_socket_error_is_the_one_of_the_address() -> None:
    network = SocketNetwork()
    async with await network.listen() as listener:
        port = listener.address[1]
    with pytest.raises(ConnectionRefusedError):
        await network.connect("localhost", port)


@pytest.mark.parametrize("how", ["aclose", "reset"])
async def test_an_end_knows_whether_it_is_closed(ends: Ends, how: str) -> None:
    client, server = ends
    before = client.closed
    await client.send_eof()
    half = client.closed
    if how == "aclose":
        await client.aclose()
    else:
        client.reset()
    assert (before, half, client.closed, server.closed) == (False, False, True, False)
