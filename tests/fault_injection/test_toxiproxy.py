"""Fault plans on a real Toxiproxy, over real sockets: each fault visibly does its work, and nothing stays."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import httpx
import pytest
import trio

from fault_injection.faults import (
    AtBytes,
    Bandwidth,
    Blackhole,
    Buffer,
    Direction,
    Disconnect,
    Latency,
    Plan,
    Refuse,
    Slice,
    SlowClose,
)
from fault_injection.network import Address
from fault_injection.toxiproxy import ToxiproxyError, UnsupportedPlanError, open_toxiproxy

Handler: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]

real = pytest.mark.needs("toxiproxy")


async def _serve(nursery: trio.Nursery, handler: Handler) -> Address:
    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # faults break connections: that is no error of the server's
            await handler(stream)

    listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
    host, port = listeners[0].socket.getsockname()
    return host, port


async def _echo(stream: trio.SocketStream) -> None:
    async for data in stream:
        await stream.send_all(data)


def _sends(data: bytes) -> Handler:
    """A server that waits for a request, answers with `data` and closes."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(data)

    return handler


async def _exchange(address: Address) -> tuple[list[bytes], float]:
    """Sends one byte; what is received until the end, and the seconds it took."""
    async with await trio.open_tcp_stream(*address) as stream:
        began = trio.current_time()
        await stream.send_all(b"?")
        chunks = [bytes(chunk) async for chunk in stream]
        return chunks, trio.current_time() - began


async def _round_trip(address: Address) -> float:
    async with await trio.open_tcp_stream(*address) as stream:
        began = trio.current_time()
        await stream.send_all(b"ping")
        assert await stream.receive_some() == b"ping"
        return trio.current_time() - began


async def _proxies(url: str) -> dict[str, list[str]]:
    """The names of the proxies that Toxiproxy has, each with the types of its toxics."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = (await client.get(f"{url}/proxies")).json()
    return {name: [toxic["type"] for toxic in proxy["toxics"]] for name, proxy in answer.items()}


@real
async def test_without_faults_bytes_pass_both_ways(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _echo)
    payload = bytes(range(256)) * 1000
    async with open_toxiproxy(toxiproxy_url, server, Plan(), rng=random.Random(1)) as link:
        assert link.address != server
        async with await trio.open_tcp_stream(*link.address) as stream:
            nursery.start_soon(stream.send_all, payload)
            received = b""
            while len(received) < len(payload):
                received += await stream.receive_some()
    assert received == payload


@real
@pytest.mark.parametrize("direction", ["downstream", "upstream"])
async def test_latency_delays(toxiproxy_url: str, nursery: trio.Nursery, direction: Direction) -> None:
    server = await _serve(nursery, _echo)
    plan = Plan((Latency(delay=0.3, direction=direction),))
    async with (
        open_toxiproxy(toxiproxy_url, server, Plan(), rng=random.Random(1)) as plain,
        open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(2)) as slow,
    ):
        slowly = await _round_trip(slow.address)
        assert slowly >= 0.29
        assert await _round_trip(plain.address) < slowly / 2


@real
async def test_bandwidth_is_a_rate(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _sends(b"x" * 50_000))
    plan = Plan((Bandwidth(bytes_per_second=100_000),))
    async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link:
        chunks, seconds = await _exchange(link.address)
    assert sum(map(len, chunks)) == 50_000
    assert 0.35 <= seconds < 2.0


@real
async def test_slice_cuts_the_bytes_apart(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    data = bytes(range(100))
    server = await _serve(nursery, _sends(data))
    plan = Plan((Slice(size=5, variation=2, gap=0.005),))
    async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link:
        chunks, seconds = await _exchange(link.address)
    assert b"".join(chunks) == data
    assert len(chunks) >= 8  # at least 15 were sent; a busy machine may receive some of them together
    assert seconds >= 14 * 0.005


@real
async def test_disconnect_cuts_at_the_byte(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _sends(bytes(range(200))))
    plan = Plan((Disconnect(when=AtBytes(123)),))
    async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link:
        for _ in range(2):  # every connection is hit
            chunks, _ = await _exchange(link.address)
            assert b"".join(chunks) == bytes(range(123))


@real
async def test_disconnect_upstream_cuts_what_the_server_gets(
    toxiproxy_url: str, nursery: trio.Nursery
) -> None:
    received = bytearray()
    ended = trio.Event()

    async def collect(stream: trio.SocketStream) -> None:
        async for data in stream:
            received.extend(data)
        ended.set()

    server = await _serve(nursery, collect)
    plan = Plan((Disconnect(when=AtBytes(10), direction="upstream"),))
    async with (
        open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link,
        await trio.open_tcp_stream(*link.address) as stream,
    ):
        await stream.send_all(b"GET /events HTTP/1.1")
        with trio.fail_after(5):
            await ended.wait()
            assert await stream.receive_some() == b""
    assert bytes(received) == b"GET /event"


@real
async def test_disconnect_by_reset_at_the_first_byte(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _sends(b"never seen"))
    plan = Plan((Disconnect(when=AtBytes(0), how="rst"),))
    async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link:
        with pytest.raises(trio.BrokenResourceError), trio.fail_after(5):
            await _exchange(link.address)


@real
async def test_a_black_hole_swallows_bytes_and_end_but_keeps_the_connection(
    toxiproxy_url: str, nursery: trio.Nursery
) -> None:
    heard: list[bytes] = []
    closing = trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        heard.append(bytes(await stream.receive_some()))
        await stream.send_all(b"first")
        heard.append(bytes(await stream.receive_some()))
        closing.set()

    server = await _serve(nursery, handler)
    plan = Plan((Blackhole(when=AtBytes(0)),))
    async with (
        open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link,
        await trio.open_tcp_stream(*link.address) as stream,
    ):
        await stream.send_all(b"one")
        with trio.move_on_after(0.2) as silence:
            await stream.receive_some()
        assert silence.cancelled_caught
        await stream.send_all(b"two")  # the other direction is whole
        with trio.fail_after(5):
            await closing.wait()
        with trio.move_on_after(0.3) as silence:
            await stream.receive_some()
        assert silence.cancelled_caught
    assert heard == [b"one", b"two"]


@real
async def test_slow_close_delays_the_end_alone(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _sends(b"all there is"))
    plan = Plan((SlowClose(delay=0.5),))
    async with (
        open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link,
        await trio.open_tcp_stream(*link.address) as stream,
    ):
        began = trio.current_time()
        await stream.send_all(b"?")
        assert await stream.receive_some() == b"all there is"
        arrived = trio.current_time() - began
        assert await stream.receive_some() == b""
        ended = trio.current_time() - began
    assert ended >= 0.49
    assert arrived < ended / 2


@real
async def test_refuse_refuses(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _echo)
    async with open_toxiproxy(toxiproxy_url, server, Plan((Refuse(),)), rng=random.Random(1)) as link:
        for _ in range(3):
            with pytest.raises(OSError, match=r"refused|all attempts"):
                await trio.open_tcp_stream(*link.address)
        with pytest.raises(OSError, match="in use"):  # nobody else can come to answer there
            await trio.open_tcp_listeners(link.address[1], host=link.address[0])


@real
async def test_faults_act_in_the_order_of_the_plan(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _sends(b"0123456789"))
    plan = Plan((Disconnect(when=AtBytes(4)), SlowClose(delay=0.3), Latency(delay=0.1), Latency(delay=0.1)))
    async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as link:
        assert (await _proxies(toxiproxy_url))[link.name] == [
            "limit_data",
            "slow_close",
            "latency",
            "latency",
        ]
        chunks, seconds = await _exchange(link.address)
    assert b"".join(chunks) == b"0123"
    assert seconds >= 0.29


@real
async def test_links_with_the_same_seed_have_names_of_their_own(
    toxiproxy_url: str, nursery: trio.Nursery
) -> None:
    server = await _serve(nursery, _echo)
    async with (
        open_toxiproxy(toxiproxy_url, server, Plan(), rng=random.Random(7)) as one,
        open_toxiproxy(toxiproxy_url, server, Plan(), rng=random.Random(7)) as two,
    ):
        assert one.name != two.name
        assert one.address != two.address
        assert {one.name, two.name} <= (await _proxies(toxiproxy_url)).keys()


@real
async def test_a_link_is_gone_after_its_block_and_after_an_error_in_it(
    toxiproxy_url: str, nursery: trio.Nursery
) -> None:
    server = await _serve(nursery, _echo)
    plan = Plan((Latency(delay=10),))
    async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as left:
        assert left.name in await _proxies(toxiproxy_url)
    with pytest.raises(LookupError, match=r"^ours$"):
        async with open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as broken:
            raise LookupError("ours")
    assert not {left.name, broken.name} & (await _proxies(toxiproxy_url)).keys()


@real
async def test_a_cancelled_link_is_gone_too(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _echo)
    names: list[str] = []
    with trio.CancelScope() as scope:
        async with open_toxiproxy(toxiproxy_url, server, Plan(), rng=random.Random(1)) as link:
            names.append(link.name)
            assert names[0] in await _proxies(toxiproxy_url)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert names[0] not in await _proxies(toxiproxy_url)


@real
@pytest.mark.parametrize("after", [0.0, 0.0005, 0.002, 0.004])
async def test_a_link_cancelled_while_it_opens_leaves_nothing(
    toxiproxy_url: str, nursery: trio.Nursery, after: float
) -> None:
    server = await _serve(nursery, _echo)
    plan = Plan((Latency(delay=1), Slice(size=1), Refuse()))
    rng = random.Random(3)
    before = (await _proxies(toxiproxy_url)).keys()
    with trio.move_on_after(after):
        async with open_toxiproxy(toxiproxy_url, server, plan, rng=rng):
            await trio.sleep_forever()
    assert (await _proxies(toxiproxy_url)).keys() <= before


@real
async def test_what_somebody_else_removed_is_no_error(toxiproxy_url: str, nursery: trio.Nursery) -> None:
    server = await _serve(nursery, _echo)
    async with (
        open_toxiproxy(toxiproxy_url, server, Plan(), rng=random.Random(1)) as link,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        assert (await client.delete(f"{toxiproxy_url}/proxies/{link.name}")).status_code == 204
    assert link.name not in await _proxies(toxiproxy_url)


# What needs no Toxiproxy.

NOWHERE: Address = ("127.0.0.1", 9)


async def _free_url() -> str:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    return f"http://127.0.0.1:{port}"


async def test_an_unsupported_plan_is_refused_before_toxiproxy_is_asked() -> None:
    plan = Plan((Buffer(size=10),))
    with pytest.raises(UnsupportedPlanError, match="buffer 10 bytes downstream: "):
        async with open_toxiproxy(await _free_url(), NOWHERE, plan, rng=random.Random(1)):
            pytest.fail("opened")


async def test_no_toxiproxy_is_one_clear_sentence() -> None:
    url = await _free_url()
    with pytest.raises(ToxiproxyError, match=rf"^no Toxiproxy answers at {url}: .*refused"):
        async with open_toxiproxy(url, NOWHERE, Plan(), rng=random.Random(1)):
            pytest.fail("opened")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno", "no Toxiproxy at .* knows /proxies: no"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue", "is not a Toxiproxy"),
        (b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"listen":"x"}', "is not a Toxiproxy"),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\nport\ntook", "answered 500: port took"),
        (b"SSH-2.0-OpenSSH\r\n", "no Toxiproxy answers"),
    ],
)
async def test_what_is_not_a_toxiproxy_is_told(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, answer: bytes, message: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", await _free_url())  # has no say on loopback
    host, port = await _serve(nursery, _sends(answer))
    with pytest.raises(ToxiproxyError, match=message):
        async with open_toxiproxy(f"http://{host}:{port}", NOWHERE, Plan(), rng=random.Random(1)):
            pytest.fail("opened")


async def test_an_api_that_never_answers_is_given_up_in_time(nursery: trio.Nursery) -> None:
    async def silent(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    host, port = await _serve(nursery, silent)
    with pytest.raises(ToxiproxyError, match=r"no Toxiproxy answers.*timed out"), trio.fail_after(5):
        async with open_toxiproxy(
            f"http://{host}:{port}", NOWHERE, Plan(), rng=random.Random(1), time_limit=0.1
        ):
            pytest.fail("opened")


async def test_a_toxiproxy_that_dies_is_an_error_but_hides_none(nursery: trio.Nursery) -> None:
    async def dying(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        if request.startswith(b"POST"):
            await stream.send_all(
                b'HTTP/1.1 201 Created\r\ncontent-length: 24\r\n\r\n{"listen":"127.0.0.1:9"}'
            )

    host, port = await _serve(nursery, dying)
    url = f"http://{host}:{port}"
    with pytest.raises(ToxiproxyError, match="no Toxiproxy answers"):
        async with open_toxiproxy(url, NOWHERE, Plan(), rng=random.Random(1)) as link:
            assert link.address == ("127.0.0.1", 9)
    with pytest.raises(LookupError) as caught:
        async with open_toxiproxy(url, NOWHERE, Plan(), rng=random.Random(1)):
            raise LookupError("ours")
    assert "was not removed" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8474",
        "https://127.0.0.1:8474",
        "http://192.0.2.1:8474",
        "http://toxiproxy.example:8474",
        "http://127.0.0.1:port",
        "http://127.0.0.1:8474/api",
    ],
)
async def test_where_no_toxiproxy_can_be_is_told(url: str) -> None:
    with pytest.raises(ToxiproxyError, match="on this machine can be"):
        async with open_toxiproxy(url, NOWHERE, Plan(), rng=random.Random(1)):
            pytest.fail("opened")
