"""httpx over any network: routes, TLS through a proxy, errors with a reason, and no socket left."""

import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Never

import httpx
import psutil
import pytest
import trio
import trustme

from conformance.drive.outcome import how_it_failed
from conformance.transport import address_of, open_client
from fault_injection.network import Address, Connection, Network, SocketNetwork
from fault_injection.proxy import open_proxy
from fault_injection.virtual import VirtualNetwork

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["virtual", "sockets"])
def network(request: pytest.FixtureRequest) -> Network:
    return VirtualNetwork() if request.param == "virtual" else SocketNetwork()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def _replies(stream: trio.abc.Stream) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        data = await stream.receive_some()
        if not data:
            return
        received += data
    await stream.send_all(OK)


@asynccontextmanager
async def served(
    network: Network,
    reply: Callable[[trio.abc.Stream], Awaitable[None]] = _replies,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Address]:
    """A server that treats each connection so, by TLS if it has a certificate."""
    listener = await network.listen()

    async def serve(connection: Connection) -> None:
        stream: trio.abc.Stream = connection
        if tls is not None:
            stream = trio.SSLStream(connection, tls, server_side=True, https_compatible=True)
        try:
            await reply(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def accept(nursery: trio.Nursery) -> None:
        while True:
            nursery.start_soon(serve, await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept, nursery)
        yield listener.address
        nursery.cancel_scope.cancel()
    await listener.aclose()


def url_of(address: Address, scheme: str = "http") -> str:
    return f"{scheme}://{address[0]}:{address[1]}/"


def sockets() -> int:
    return len(psutil.Process(os.getpid()).net_connections("tcp"))


async def test_a_request_and_its_answer(network: Network) -> None:
    told: list[Connection] = []
    async with served(network) as address, open_client(network, connected=told.append) as client:
        response = await client.get(url_of(address))
        assert (response.status_code, response.text) == (200, "ok")
        assert response.request.headers["accept-encoding"] == "identity"
    assert [connection.peer for connection in told] == [address]


async def test_a_route_changes_where_it_connects_and_nothing_else(network: Network) -> None:
    seen: list[bytes] = []

    async def reply(stream: trio.abc.Stream) -> None:
        seen.append(bytes(await stream.receive_some()))
        await stream.send_all(OK)

    asked: list[Address] = []
    async with served(network, reply) as address:

        def route(host: str, port: int) -> Address:
            asked.append((host, port))
            return address

        async with open_client(network, route=route) as client:
            assert (await client.get("http://shop.example/x")).text == "ok"
            assert (await client.get("http://b\u00fccher.example:81/x")).text == "ok"
    assert asked == [("shop.example", 80), ("xn--bcher-kva.example", 81)]
    assert asked == [address_of("http://shop.example"), address_of("http://b\u00fccher.example:81")]
    assert b"Host: shop.example\r\n" in seen[0]


async def test_tls_through_the_proxy_verifies_the_servers_own_name(
    network: Network, certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with (
        served(network, tls=certificate) as address,
        open_proxy(network, upstream=address, rng=random.Random(0)) as proxy,
        open_client(network, route=lambda _host, _port: proxy.address, verify=trusting) as client,
    ):
        assert (await client.get(f"https://127.0.0.1:{address[1]}/")).text == "ok"
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get("https://other.example/")
        how, detail = how_it_failed(caught.value)
        assert how == "tls"
        assert "certificate was not accepted (Hostname mismatch" in detail


async def test_a_certificate_that_nobody_signed(network: Network, certificate: ssl.SSLContext) -> None:
    async with served(network, tls=certificate) as address:
        async with open_client(network) as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await client.get(url_of(address, "https"))
        how, detail = how_it_failed(caught.value)
        assert how == "tls"
        assert detail.startswith("the certificate was not accepted (")
        async with open_client(network, verify=False) as client:
            assert (await client.get(url_of(address, "https"))).text == "ok"


async def test_no_tls_where_tls_is_asked_for(network: Network) -> None:
    async def plain(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with served(network, plain) as address, open_client(network) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get(url_of(address, "https"))
    how, detail = how_it_failed(caught.value)
    assert how == "tls"
    assert detail.startswith("the TLS handshake failed (")


async def test_tls_that_breaks_in_the_middle_is_a_reset_and_no_failed_handshake(
    network: Network, certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def half(stream: trio.abc.Stream) -> None:
        assert isinstance(stream, trio.SSLStream)
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha")
        await stream.transport_stream.send_all(b"this is no record of TLS")
        await trio.sleep(0.2)

    async with served(network, half, certificate) as address, open_client(network, verify=trusting) as client:
        with pytest.raises(httpx.ReadError) as caught:
            await client.get(url_of(address, "https"))
    assert how_it_failed(caught.value)[0] == "reset"


async def test_redirected_from_http_to_https(
    network: Network, certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with served(network, tls=certificate) as secure:

        async def redirect(stream: trio.abc.Stream) -> None:
            await stream.receive_some()
            location = url_of(secure, "https").encode()
            await stream.send_all(
                b"HTTP/1.1 301 M\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
            )

        async with served(network, redirect) as address, open_client(network, verify=trusting) as client:
            response = await client.get(url_of(address))
            assert response.text == "ok"
            assert str(response.url) == url_of(secure, "https")


async def test_a_redirect_on_the_same_connection_uses_it_again(network: Network) -> None:
    async def redirect(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 307 T\r\nContent-Length: 5\r\nLocation: /x\r\n\r\nmoved")
        assert b"GET /x" in await stream.receive_some()
        await stream.send_all(OK)

    told: list[Connection] = []
    async with served(network, redirect) as address, open_client(network, connected=told.append) as client:
        assert (await client.get(url_of(address))).text == "ok"
    assert len(told) == 1


async def test_a_redirect_to_another_origin_takes_no_keys_along(network: Network) -> None:
    heard: list[bytes] = []

    async def elsewhere(stream: trio.abc.Stream) -> None:
        heard.append(bytes(await stream.receive_some()))
        await stream.send_all(OK)

    async with served(network, elsewhere) as other:

        async def redirect(stream: trio.abc.Stream) -> None:
            heard.append(bytes(await stream.receive_some()))
            location = url_of(other).encode()
            await stream.send_all(
                b"HTTP/1.1 307 T\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
            )

        async with served(network, redirect) as address, open_client(network) as client:
            await client.get(url_of(address), headers={"X-Api-Key": "key", "Last-Event-ID": "7"})
    first, second = heard
    assert b"X-Api-Key: key" in first
    assert b"key" not in second.lower()
    assert b"Last-Event-ID: 7" in second


async def test_nobody_listens(network: Network) -> None:
    listener = await network.listen()
    await listener.aclose()
    async with open_client(network) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get(url_of(listener.address))
    assert how_it_failed(caught.value) == ("refused", "connection refused, nobody listens at this address")


async def test_a_host_without_an_address() -> None:
    async with open_client(SocketNetwork()) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get("http://no-such-host.invalid/")
    how, detail = how_it_failed(caught.value)
    assert how == "unreachable"
    assert detail.startswith("no connection (")
    assert "all attempts" not in detail  # the system's words, not trio's


async def test_a_connection_that_takes_too_long() -> None:
    class Slow(VirtualNetwork):
        async def connect(self, host: str, port: int) -> Never:
            await trio.sleep_forever()

    async with open_client(Slow(), connect_timeout=0.05) as client:
        with pytest.raises(httpx.ConnectTimeout, match=r"nothing within 0\.05 s") as caught:
            await client.get("http://h/")
    assert how_it_failed(caught.value)[0] == "unreachable"


async def test_cancelled_anywhere_it_leaves_no_socket(
    certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    network = SocketNetwork()

    async def nothing(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await trio.sleep_forever()

    async def never_ends(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await trio.sleep_forever()

    async def silent(stream: trio.abc.Stream) -> None:  # no handshake either
        await trio.sleep_forever()

    before = sockets()
    for reply, tls, scheme in (
        (nothing, None, "http"),
        (never_ends, None, "http"),
        (silent, None, "https"),
        (never_ends, certificate, "https"),
    ):
        told: list[Connection] = []
        async with served(network, reply, tls) as address:
            inside = sockets()
            with trio.move_on_after(0.1) as scope:
                async with open_client(network, verify=trusting, connected=told.append) as client:
                    await client.get(url_of(address, scheme))
            assert scope.cancelled_caught
            assert len(told) == 1
            mine = [each for each in psutil.Process().net_connections("tcp") if each.laddr == told[0].local]
            assert not [each for each in mine if each.status != psutil.CONN_TIME_WAIT], (scheme, mine)
            assert sockets() <= inside + 1  # the server's end
    assert sockets() == before


async def test_the_environments_proxies_are_left_alone(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with served(network) as address, open_client(network) as client:
        assert (await client.get(url_of(address))).text == "ok"
