"""httpx over any `Network`: real sockets or memory, straight to the server or through a link.

httpx takes its connections from an `httpcore.AsyncNetworkBackend`; this one takes them from a
`fault_injection.network.Network`, and may be told another address to connect to. The URL, the Host header
and the name that TLS verifies stay the server's own, so a proxy in between needs no certificate.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

import httpcore
import httpx
import trio

from fault_injection.network import Address, Connection, Network

Route: TypeAlias = Callable[[str, int], Address]
Connected: TypeAlias = Callable[[Connection], None]


@lru_cache(maxsize=256)
def address_of(origin: str) -> Address:
    """Host and port of an origin, as a `Route` is asked for them."""
    url = httpx.URL(origin)
    return url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


def open_client(
    network: Network,
    *,
    route: Route | None = None,
    connected: Connected | None = None,
    verify: ssl.SSLContext | bool = True,
    connect_timeout: float | None = 5.0,
    follow_redirects: bool = True,
) -> httpx.AsyncClient:
    """An `httpx.AsyncClient` for trio whose connections come from `network`.

    `route` maps the (host, port) of a URL to the address to connect to. `connected` is told of each new
    connection. Only connecting has a timeout (seconds): how long to wait for bytes is the caller's to say,
    with a cancel scope. A redirect to another origin takes no header along that could be a credential.
    HTTP/1.1 only, one connection at a time for each request in flight, no environment proxies, no decompression
    surprises: `Accept-Encoding: identity` unless the caller asks otherwise.
    """
    return client_over(Transport(network, route, connected, verify), connect_timeout, follow_redirects)


def client_over(
    transport: httpx.AsyncBaseTransport, connect_timeout: float | None = None, follow_redirects: bool = True
) -> httpx.AsyncClient:
    """The client of `open_client`, over this transport."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(None, connect=connect_timeout),
        follow_redirects=follow_redirects,
        max_redirects=10,
        trust_env=False,
        headers={"Accept-Encoding": "identity"},
    )


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream, connection: Connection) -> None:
        self._stream = stream
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _timed(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            with _timed(timeout, httpcore.WriteTimeout, httpcore.WriteError):
                await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        secured = trio.SSLStream(
            self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with _timed(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
                await secured.do_handshake()
        except BaseException:
            self._connection.reset()
            raise
        return _Stream(secured, self._connection)

    def get_extra_info(self, info: str) -> Any:
        return {"client_addr": self._connection.local, "server_addr": self._connection.peer}.get(info)


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, network: Network, route: Route | None, connected: Connected | None) -> None:
        self._network = network
        self._route = route
        self._connected = connected

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if self._route is not None:
            host, port = self._route(host, port)
        with _timed(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            connection = await self._network.connect(host, port)
        if self._connected is not None:
            self._connected(connection)
        return _Stream(connection, connection)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class Transport(httpx.AsyncBaseTransport):
    """httpx's way to a `Network`, by httpcore. `first`: where the first request went, if it did not go this way."""

    def __init__(
        self,
        network: Network,
        route: Route | None,
        connected: Connected | None,
        verify: ssl.SSLContext | bool,
        first: httpx.URL | None = None,
    ) -> None:
        self._backend = _Backend(network, route, connected)
        self._verify = verify
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}  # by scheme
        self._first = first

    def _pool(self, scheme: str) -> httpcore.AsyncConnectionPool:
        if scheme not in self._pools:
            self._pools[scheme] = httpcore.AsyncConnectionPool(
                ssl_context=_tls(self._verify) if scheme == "https" else _NO_TLS,
                network_backend=self._backend,
            )
        return self._pools[scheme]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._first = self._first or request.url
        with _as_httpx():
            response = await self._pool(request.url.scheme).handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=_headers_for(request, self._first),
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
            stream = (
                _Body(response)
                if not redirects(response.status, response.headers)
                else httpx.ByteStream(await _whole(response))
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=stream,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


_IMPERSONAL = frozenset(
    b"host accept accept-encoding cache-control connection content-length content-type last-event-id origin "
    b"transfer-encoding user-agent".split()
)


def _headers_for(request: httpx.Request, first: httpx.URL) -> list[tuple[bytes, bytes]]:
    """The request's headers; to another origin than the first request's only those that are nobody's key.

    httpx keeps `Authorization` back there, but any header of a configuration may be a credential. The same host
    by HTTPS instead of HTTP counts as the same, as it does for httpx.
    """
    url = request.url
    upgraded = (first.scheme, url.scheme, first.port, url.port) == ("http", "https", None, None)
    if url.host == first.host and (upgraded or (url.scheme, url.port) == (first.scheme, first.port)):
        return request.headers.raw
    return [(name, value) for name, value in request.headers.raw if name.lower() in _IMPERSONAL]


class _Body(httpx.AsyncByteStream):
    """Whoever stops reading it has to do so by cancelling, or its generators are left to the garbage collector."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
REDIRECT_LIMIT = 64 * 1024  # bytes
TOO_LARGE = f"a redirect with a body of more than {REDIRECT_LIMIT} bytes"


def redirects(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a response with this head leads elsewhere."""
    return status in _REDIRECTS and any(name.lower() == b"location" for name, _ in headers)


async def _whole(response: httpcore.Response) -> bytes:
    """The body of a redirect: httpx reads it, to use the connection again. It may be endless, so not by httpx."""
    body = bytearray()
    with trio.CancelScope() as scope:
        try:
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > REDIRECT_LIMIT:
                    scope.cancel()
        finally:
            await response.aclose()
    if scope.cancelled_caught:
        raise httpx.RemoteProtocolError(TOO_LARGE)
    return bytes(body)


# A context costs 15 ms, most of it for loading the system's certificates; plain HTTP never looks at this one.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    return verify if isinstance(verify, ssl.SSLContext) else httpx.create_ssl_context(verify=verify)


@contextmanager
def _timed(timeout: float | None, too_slow: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        with trio.fail_after(float("inf") if timeout is None else timeout):
            yield
    except trio.TooSlowError as error:
        raise too_slow(f"nothing within {timeout:g} s") from error
    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
        raise broken(reason(error)) from error


def reason(error: BaseException) -> str:
    """trio wraps what the operating system said; that is what a person wants to read."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(reason(each) for each in cause.exceptions))
    return reason(cause) if cause is not None else str(error)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpx names its exceptions as httpcore does."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
