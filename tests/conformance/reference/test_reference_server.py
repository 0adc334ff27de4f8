"""The HTTP server: it writes what it is told when it is told, and outlives whatever clients do."""

import logging
from contextlib import suppress

import pytest
import trio
from reference_world import (
    connected,
    eventually,
    get,
    in_virtual_time,
    on_both_networks,
    read_all,
    read_until,
)

from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.reference.connection import Limits
from conformance.reference.server import Server, open_server
from fault_injection.network import Network
from fault_injection.virtual import VirtualNetwork

PLAIN: HeaderList = (("content-type", "text/plain"),)


async def echo(request: Request, respond: Responder) -> None:
    """Says what it was asked."""
    text = f"{request.method} {request.path} {dict(request.query)} {request.body.decode()}"
    await respond.start(200, [*PLAIN, ("content-length", str(len(text)))])
    await respond.send(text.encode())


async def three_pieces(_: Request, respond: Responder) -> None:
    await respond.start(200, PLAIN)
    for piece in (b"one", b"two", b"three"):
        await respond.send(piece)
        await trio.sleep(1)


class Endless:
    """Sends its head, then nothing, for ever; tells when it was cancelled."""

    def __init__(self) -> None:
        self.started = trio.Event()
        self.cancelled = trio.Event()

    async def __call__(self, _: Request, respond: Responder) -> None:
        try:
            await respond.start(200, PLAIN)
            self.started.set()
            await trio.sleep_forever()
        finally:
            self.cancelled.set()


def is_idle(server: Server) -> bool:
    return not server.connections and not server.tasks


async def ask(network: Network, app: App, request: bytes, limits: Limits | None = None) -> bytes:
    """All that the server answers until it closes the connection."""
    async with (
        open_server(app, network, limits=limits) as server,
        connected(network, server.address) as client,
    ):
        await client.send_all(request)
        return await read_all(client)


@in_virtual_time
async def test_every_send_is_one_chunk_and_one_write() -> None:
    network = VirtualNetwork()  # which never joins two writes
    async with open_server(three_pieces, network) as server, connected(network, server.address) as client:
        await client.send_all(get())
        received = [(trio.current_time(), await client.receive_some()) for _ in range(5)]
        assert received[0][1].startswith(b"HTTP/1.1 200 OK\r\n")
        assert [data for _, data in received[1:]] == [
            b"3\r\none\r\n",
            b"3\r\ntwo\r\n",
            b"5\r\nthree\r\n",
            b"0\r\n\r\n",
        ]
        assert trio.current_time() == 3


@on_both_networks()
async def test_one_connection_serves_one_request_after_another(network: Network) -> None:
    async with open_server(echo, network) as server, connected(network, server.address) as client:
        for path in ("/a", "/b", "/c"):
            await client.send_all(get(path))
            await read_until(client, f"GET {path} {{}} ".encode())
        assert server.connections == 1


@on_both_networks()
async def test_pipelined_requests_are_answered_in_order(network: Network) -> None:
    answer = await ask(network, echo, get("/a") + get("/b") + get("/c", "Connection: close"))
    assert [answer.index(path) for path in (b"/a", b"/b", b"/c")] == sorted(
        answer.index(path) for path in (b"/a", b"/b", b"/c")
    )
    assert answer.count(b"200 OK") == 3


@on_both_networks()
async def test_an_http_1_0_client_gets_no_chunks_and_a_close(network: Network) -> None:
    async def app(_: Request, respond: Responder) -> None:
        await respond.start(200, PLAIN)
        await respond.send(b"one")
        await respond.send(b"two")

    head, _, body = (await ask(network, app, get(version="1.0"))).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"onetwo"


@in_virtual_time
async def test_the_request_is_read_whole() -> None:
    request = (
        b"POST /a%20b//c?x=1&y=%C3%A9&x=2&z HTTP/1.1\r\nHost: test\r\nX-Twice: 1\r\nx-twice: 2\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    seen: list[Request] = []

    async def app(request: Request, respond: Responder) -> None:
        seen.append(request)
        await respond.start(204)

    assert (await ask(VirtualNetwork(), app, request)).startswith(b"HTTP/1.1 204")
    assert (seen[0].method, seen[0].path, seen[0].body) == ("POST", "/a b//c", b"abcde")
    assert seen[0].query == {"x": "2", "y": "é", "z": ""}
    assert seen[0].header("x-twice") == "1, 2"
    assert seen[0].header("x-none") is None


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(b"this is no HTTP\r\n\r\n", 400, id="garbage"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(get("/", "Content-Length: 1", "Content-Length: 2"), 400, id="two lengths"),
        pytest.param(get("http://[/"), 400, id="no target"),
        pytest.param(get("/?" + "x&" * 200), 400, id="many query fields"),
        pytest.param(get("/", "Transfer-Encoding: rot13"), 501, id="unknown transfer coding"),
        pytest.param(get("/", "X-Huge: " + "x" * 100_000), 431, id="huge head"),
        pytest.param(get("/", "Content-Length: 99999999"), 413, id="huge body announced"),
        pytest.param(
            get("/", "Transfer-Encoding: chunked") + b"180000\r\n" + b"x" * 0x180000, 413, id="huge body"
        ),
    ],
)
@on_both_networks()
async def test_what_cannot_be_served_is_refused(network: Network, request_: bytes, status: int) -> None:
    async with open_server(echo, network) as server, connected(network, server.address) as client:

        async def send() -> None:
            with suppress(trio.BrokenResourceError):  # refused before all of it was sent
                await client.send_all(request_)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            answer = await read_all(client)  # which no reset cuts off
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert f"\r\n\r\n{status} ".encode() in answer


@pytest.mark.parametrize("part", [b"GET / HT", get("/", "Content-Length: 5") + b"abc"], ids=["head", "body"])
@in_virtual_time
async def test_a_request_that_does_not_arrive_times_out(part: bytes) -> None:
    answer = await ask(VirtualNetwork(), echo, part, Limits(arrival=7))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert trio.current_time() >= 7


@in_virtual_time
async def test_what_a_client_still_sends_does_not_cut_its_answer_off() -> None:
    network = VirtualNetwork()
    async with open_server(echo, network) as server, connected(network, server.address) as client:
        await client.send_all(get("/", "Connection: close"))
        await read_until(client, b"GET / {}")
        await client.send_all(b"and another thing")
        assert await read_all(client) == b""


@in_virtual_time
async def test_an_idle_connection_is_closed() -> None:
    assert await ask(VirtualNetwork(), echo, b"", Limits(idle=30)) == b""
    assert trio.current_time() == 30


@in_virtual_time
async def test_the_client_may_wait_for_a_100_before_it_sends_the_body() -> None:
    network = VirtualNetwork()
    async with open_server(echo, network) as server, connected(network, server.address) as client:
        await client.send_all(get("/", "Content-Length: 4", "Expect: 100-continue"))
        await read_until(client, b"HTTP/1.1 100 \r\n\r\n")
        await client.send_all(b"body")
        await read_until(client, b"GET / {} body")


@in_virtual_time
async def test_a_response_to_head_has_no_body() -> None:
    request = get("/", "Connection: close").replace(b"GET", b"HEAD")
    assert (await ask(VirtualNetwork(), three_pieces, request)).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@on_both_networks()
async def test_the_application_is_cancelled_when_the_client_goes(network: Network, reset: bool) -> None:
    app = Endless()
    async with open_server(app, network) as server:
        async with connected(network, server.address) as client:
            await client.send_all(get())
            await app.started.wait()
            if reset:
                client.reset()
        await eventually(app.cancelled.is_set)
        await eventually(lambda: is_idle(server))


@on_both_networks()
async def test_a_client_that_leaves_in_its_request_leaves_nothing(network: Network) -> None:
    called = False

    async def app(_: Request, respond: Responder) -> None:
        nonlocal called
        called = True
        await respond.start(204)

    async with open_server(app, network) as server:
        for part in (b"GET / HT", get("/", "Content-Length: 10") + b"abc"):
            async with connected(network, server.address) as client:
                await client.send_all(part)
                await trio.testing.wait_all_tasks_blocked(0.01)
        await eventually(lambda: is_idle(server))
    assert not called


@on_both_networks()
async def test_a_failure_before_the_head_is_a_500(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    async def app(_: Request, respond: Responder) -> None:
        raise RuntimeError("sorry")

    async def silent(_: Request, respond: Responder) -> None:
        return

    with caplog.at_level(logging.CRITICAL, "conformance.reference.connection"):
        assert (await ask(network, app, get())).startswith(b"HTTP/1.1 500 ")
        assert (await ask(network, silent, get())).startswith(b"HTTP/1.1 500 ")


@on_both_networks()
async def test_a_failure_after_the_head_cuts_the_response(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(_: Request, respond: Responder) -> None:
        await respond.start(200, PLAIN)
        await respond.send(b"so far so good")
        await trio.sleep(0.01)
        raise RuntimeError("sorry")

    with caplog.at_level(logging.CRITICAL, "conformance.reference.connection"):
        for version in ("1.0", "1.1"):
            with pytest.raises(trio.BrokenResourceError):
                await ask(network, app, get(version=version))


@on_both_networks()
async def test_abort_resets_the_connection_and_ends_the_application(network: Network) -> None:
    went_on = False

    async def app(_: Request, respond: Responder) -> None:
        nonlocal went_on
        await respond.start(200, PLAIN)
        respond.abort()
        await respond.send(b"to nobody")
        went_on = True

    with pytest.raises(trio.BrokenResourceError):
        await ask(network, app, get())
    assert not went_on


@in_virtual_time
async def test_a_client_that_does_not_read_is_dropped_after_a_time() -> None:
    network = VirtualNetwork(buffer_size=1000)
    cancelled = trio.Event()

    async def flood(_: Request, respond: Responder) -> None:
        try:
            await respond.start(200, PLAIN)
            while True:
                await respond.send(b"x" * 100)
        except trio.Cancelled:  # an application need not know how connections break
            cancelled.set()
            raise

    limits = Limits(write=20)
    async with (
        open_server(flood, network, limits=limits) as server,
        connected(network, server.address) as client,
    ):
        await client.send_all(get())
        await cancelled.wait()
        assert trio.current_time() == 20
        await eventually(lambda: is_idle(server))


@in_virtual_time
async def test_a_client_cannot_pipeline_without_end() -> None:
    network = VirtualNetwork()
    app = Endless()
    async with open_server(app, network) as server, connected(network, server.address) as client:
        await client.send_all(get())
        await app.started.wait()
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(get() * 100_000)
        await app.cancelled.wait()


@on_both_networks()
async def test_a_shutdown_lets_streams_end_and_refuses_new_connections(network: Network) -> None:
    streaming = trio.Event()

    async def app(_: Request, respond: Responder) -> None:
        streaming.set()
        await respond.closing.wait()
        await respond.start(200, PLAIN)
        await respond.send(b"bye")

    async with (
        open_server(app, network, grace=2) as server,
        connected(network, server.address) as idle,
        connected(network, server.address) as client,
    ):
        await client.send_all(get())
        await streaming.wait()
        server.close()
        answer = await read_all(client)
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b"3\r\nbye\r\n0\r\n\r\n")
        assert await read_all(idle) == b""
        with pytest.raises(OSError, match=r"refused|nobody listens|failed to connect"):
            await network.connect(*server.address)


@in_virtual_time
async def test_a_stream_that_does_not_end_is_cut_after_the_grace() -> None:
    network = VirtualNetwork()
    app = Endless()
    async with open_server(app, network, grace=3) as server, connected(network, server.address) as client:
        await client.send_all(get())
        await app.started.wait()
        server.close()
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
        assert trio.current_time() == 3


@in_virtual_time
async def test_an_application_is_wrapped_by_another() -> None:
    def shouting(app: App) -> App:
        class Shout(WrappedResponder):
            async def send(self, data: bytes) -> None:
                await super().send(data.upper())

        async def wrapped(request: Request, respond: Responder) -> None:
            await app(request, Shout(respond))

        return wrapped

    answer = await ask(VirtualNetwork(), shouting(three_pieces), get("/", "Connection: close"))
    assert answer.endswith(b"3\r\nONE\r\n3\r\nTWO\r\n5\r\nTHREE\r\n0\r\n\r\n")


@in_virtual_time
async def test_the_date_comes_from_the_clock_that_is_given() -> None:
    network = VirtualNetwork()
    async with (
        open_server(echo, network, wall_clock=lambda: 784_111_777) as server,
        connected(network, server.address) as client,
    ):
        await client.send_all(get())
        await read_until(client, b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nGET / {} ")
