"""One request over any `Network`, and its reply, piece by piece: HTTP/1.1 by h11 (`http1.py`), without a pool.

A scenario makes one connection for each request and takes what comes as it comes. httpx stays for what plain
HTTP does not need: TLS, userinfo in the URL, and where a redirect leads. What is raised is httpx's.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import h11
import httpx
import trio

from conformance.drive.http1 import Asked, Client, Head, Headers, Part
from conformance.transport import (
    REDIRECT_LIMIT,
    TOO_LARGE,
    Connected,
    Route,
    Transport,
    client_over,
    open_client,
    reason,
    redirects,
)
from fault_injection.network import Connection, Network

_READ: Final = 64 * 1024

Sent: TypeAlias = Callable[[], None]


class Reply:
    """The head of a response, and `receive` for its body. `url` is where it came from if redirects were
    followed, else ""."""

    status: int
    reason: bytes
    http_version: bytes
    headers: Headers
    url: str = ""

    async def receive(self) -> bytes | None:
        """The next bytes of the body, with the transfer coding removed; None: it has come to its end.

        Raises `httpx.HTTPError`, and `httpx.InvalidURL` for an address to which it is redirected.
        """
        raise NotImplementedError


@asynccontextmanager
async def open_reply(
    network: Network,
    request: httpx.Request,
    *,
    route: Route | None = None,
    connected: Connected = lambda _: None,
    sent: Sent = lambda: None,
    verify: bool = True,
) -> AsyncIterator[Reply]:
    """Send the request and give the reply, when its head is there; leaving the block closes the connection.

    `route`, `connected` and `verify` are those of `open_client`; `sent` is called when the whole request is sent.
    Waits as long as the caller lets it. Raises what `Reply.receive` raises.
    """
    if request.url.scheme != "http" or request.url.userinfo:
        client = open_client(network, route=route, connected=connected, connect_timeout=None, verify=verify)
        async with client, _followed(client, request, sent) as reply:
            yield reply
        return
    line = await _connect(network, request.url, route, connected)
    try:
        await line.send(request, sent)
        await line.read_head()
        if redirects(line.status, line.headers):
            elsewhere = Transport(network, route, connected, verify, first=request.url)
            hops = _Hops(line, request.url, elsewhere)
            async with client_over(hops) as client, _followed(client, request) as reply:
                yield reply
        else:
            yield line
    finally:
        line.connection.close_now()


async def _connect(network: Network, url: httpx.URL, route: Route | None, connected: Connected) -> "_Line":
    host, port = url.raw_host.decode("ascii"), url.port or 80
    if route is not None:
        host, port = route(host, port)
    try:
        connection = await network.connect(host, port)
    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
        raise httpx.ConnectError(reason(error)) from error
    connected(connection)
    return _Line(connection)


class _Line(Reply):
    """A connection, and the reply that comes over it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._http: Client | None = None

    async def send(self, request: httpx.Request, sent: Sent = lambda: None) -> bool:
        """Send it; False where the connection takes no other request."""
        try:
            asked = Asked(request.method, request.url.raw_path, tuple(request.headers.raw), request.content)
            if self._http is None:
                self._http = Client(asked)
                data = self._http.request
            elif (more := self._http.again(asked)) is not None:
                data = more
            else:
                return False
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        try:
            if (taken := self.connection.send_now(data)) < len(data):
                await self.connection.send_all(data[taken:])
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return True  # a server may answer before it has read all, and close; the answer tells
        sent()
        return True

    async def read_head(self) -> None:
        """Wait for the response's head."""
        head = await self._next()
        assert isinstance(head, Head)
        self.status, self.reason, self.http_version, self.headers = head

    async def receive(self) -> bytes | None:
        part = await self._next()
        assert not isinstance(part, Head)
        return part

    async def _next(self) -> Part:
        http, connection = self._http, self.connection
        assert http is not None
        try:
            while (part := http.next()) is h11.NEED_DATA:
                try:
                    data = await connection.receive_some(_READ)
                except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
                    raise httpx.ReadError(reason(error)) from error
                if not data and not http.headed:
                    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
                http.receive(bytes(data))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        assert not isinstance(part, type)
        return part


class _Hops(httpx.AsyncBaseTransport):
    """The answer to httpx's first request is there already, on this line; so it is asked for where that leads."""

    def __init__(self, line: _Line, first: httpx.URL, elsewhere: Transport) -> None:
        self._line = line
        self._first = first
        self._elsewhere = elsewhere
        self._answered = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._answered:
            self._answered = True
            return await self._answer()
        url, first = request.url, self._first
        if (url.scheme, url.host, url.port) == (first.scheme, first.host, first.port):
            await request.aread()
            if await self._line.send(request):
                await self._line.read_head()
                return await self._answer()
        return await self._elsewhere.handle_async_request(request)

    async def aclose(self) -> None:
        await self._elsewhere.aclose()

    async def _answer(self) -> httpx.Response:
        line = self._line
        stream: httpx.AsyncByteStream = _Pieces(line)
        if redirects(line.status, line.headers):
            body = bytearray()
            while (data := await line.receive()) is not None:
                body += data
                if len(body) > REDIRECT_LIMIT:
                    raise httpx.RemoteProtocolError(TOO_LARGE)
            stream = httpx.ByteStream(bytes(body))
        extensions = {"http_version": line.http_version, "reason_phrase": line.reason}
        return httpx.Response(line.status, headers=line.headers, stream=stream, extensions=extensions)


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, line: _Line) -> None:
        self._line = line

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (data := await self._line.receive()) is not None:
            yield data


class _Followed(Reply):
    """A response of httpx."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.reason = response.extensions.get("reason_phrase", b"")
        self.http_version = response.extensions.get("http_version", b"HTTP/1.1")
        self.headers = tuple(response.headers.raw)
        self.url = str(response.url) if response.history else ""
        self._pieces = response.aiter_raw()

    async def receive(self) -> bytes | None:
        return await anext(self._pieces, None)


@asynccontextmanager
async def _followed(
    client: httpx.AsyncClient, request: httpx.Request, sent: Sent = lambda: None
) -> AsyncIterator[Reply]:
    async def on_trace(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            sent()

    request.extensions["trace"] = on_trace
    response = await client.send(request, stream=True)
    try:
        yield _Followed(response)
    finally:
        await response.aclose()
