"""One connection of the server: requests in, one after another, responses out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import msgspec
import trio

from conformance.reference.app import App, HeaderList, Request
from fault_injection.network import Connection

_logger = logging.getLogger(__name__)
_READ = 16 * 1024
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)

_Sendable: TypeAlias = h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may ask of the server: sizes in bytes, times in seconds."""

    head: int = 16 * 1024  # request line and headers: 431 beyond
    body: int = 1024 * 1024  # 413 beyond
    pipelined: int = 64 * 1024  # sent behind a request whose response is still being written: reset beyond
    arrival: float = 10.0  # from a request's first byte to its last: 408 beyond
    idle: float = 60.0  # between two requests: closed beyond
    write: float = 60.0  # for one write to be taken by the network: reset beyond


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all connections of a server have in common."""

    app: App
    limits: Limits
    wall_clock: Callable[[], float] | None = None  # seconds since the epoch, for the Date header
    closing: trio.Event = field(default_factory=trio.Event)  # the server shuts down
    idle: set[trio.CancelScope] = field(default_factory=set)  # of connections between two requests


class _Refused(Exception):
    """The request cannot be handed to the application; the status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ServerConnection:
    """Serves what one client asks."""

    def __init__(self, stream: Connection, shared: Shared) -> None:
        self.stream = stream
        self.shared = shared
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=shared.limits.head)

    async def run(self) -> None:
        """Serve until either side ends the connection.

        A response that was not finished ends in a reset: a clean end could make it look whole.
        """
        orderly = False
        try:
            while await self._await_request():
                await self._respond(await self._read_request())
                if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
                    break
                self.http.start_next_cycle()
            orderly = self.http.our_state in (h11.IDLE, h11.DONE, h11.MUST_CLOSE)
            if self.http.our_state is h11.MUST_CLOSE:
                await self._linger()
        except _Refused as refused:
            await self._refuse(refused.status)
            orderly = True
        except _GONE:
            pass
        finally:
            if orderly:
                self.stream.close_now()
            else:
                self.stream.reset()

    async def write(self, event: _Sendable) -> None:
        """Send what h11 makes of `event`, in one piece."""
        data = self.http.send(event)
        if not data:
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        sent = self.stream.send_now(data)
        if sent == len(data):
            return
        with trio.move_on_after(self.shared.limits.write) as patience:
            await self.stream.send_all(data[sent:])
        if patience.cancelled_caught:
            raise trio.BrokenResourceError(f"the client took nothing for {self.shared.limits.write} s")

    async def _await_request(self) -> bool:
        """Wait for the first byte of the next request. False: none will come."""
        buffered, _ = self.http.trailing_data
        if buffered:
            return True
        if self.shared.closing.is_set():
            return False
        data: bytes | bytearray | None = self.stream.receive_now(_READ)
        if data is None:
            with trio.move_on_after(self.shared.limits.idle) as waiting:
                self.shared.idle.add(waiting)
                try:
                    data = await self.stream.receive_some(_READ)
                finally:
                    self.shared.idle.remove(waiting)
        if not data:
            return False
        self.http.receive_data(bytes(data))
        return True

    async def _read_request(self) -> Request:
        """Read a request, all of it. Raises `_Refused` where it is malformed, too large or too slow."""
        by = trio.current_time() + self.shared.limits.arrival
        try:
            head = await self._next_event(by)
            if not isinstance(head, h11.Request):
                raise trio.BrokenResourceError("the client left in the middle of a request")
            return _request(head, await self._read_body(head, by), self.stream)
        except h11.RemoteProtocolError as error:
            raise _Refused(error.error_status_hint) from error
        except ValueError as error:  # of the request target
            raise _Refused(HTTPStatus.BAD_REQUEST) from error

    async def _read_body(self, head: h11.Request, by: float) -> bytes:
        announced = dict(head.headers).get(b"content-length", b"0")
        if int(announced) > self.shared.limits.body:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if self.http.they_are_waiting_for_100_continue:
            await self.write(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
        body = bytearray()
        while isinstance(event := await self._next_event(by), h11.Data):
            body += event.data
            if len(body) > self.shared.limits.body:
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return bytes(body)

    async def _next_event(self, by: float) -> object:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            with trio.move_on_at(by) as patience:
                data = await self.stream.receive_some(_READ)
            if patience.cancelled_caught:
                raise _Refused(HTTPStatus.REQUEST_TIMEOUT)
            if not data:
                raise trio.BrokenResourceError("the client left in the middle of a request")
            self.http.receive_data(bytes(data))
        return event

    async def _respond(self, request: Request) -> None:
        """Run the application, for as long as the client stays."""
        response = _Response(self, discard_body=request.method == "HEAD")
        failed = False
        try:
            with response.scope:
                if self.stream.watch(lambda: self._look(response.scope)):
                    self._look(response.scope)
                    await self._run(request, response)
                else:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._watch, response.scope)
                        await self._run(request, response)
                        nursery.cancel_scope.cancel()
        except* Exception:
            _logger.exception("the application failed on %s %s", request.method, request.path)
            failed = True
        finally:
            self.stream.watch(None)
        if failed and self.http.our_state is h11.SEND_RESPONSE:
            await self._answer(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _run(self, request: Request, response: "_Response") -> None:
        await self.shared.app(request, response)
        await response.finish()

    # The client is watched meanwhile: when it goes the application is cancelled. What it pipelines is kept for
    # later. A client that half-closes after its request counts as gone: on an event stream that is how an ended
    # connection looks.

    def _look(self, scope: trio.CancelScope) -> None:
        try:
            while (data := self.stream.receive_now(_READ)) is not None:
                if not self._keep(data):
                    break
            else:
                return
        except _GONE:
            pass
        self.stream.watch(None)
        scope.cancel()

    async def _watch(self, scope: trio.CancelScope) -> None:
        try:
            while self._keep(await self.stream.receive_some(_READ)):
                pass
        except _GONE:
            pass
        scope.cancel()

    def _keep(self, data: bytes | bytearray) -> bool:
        """Keep what the client has sent ahead; False: it has gone, or sends too much."""
        if data:
            self.http.receive_data(bytes(data))
        return bool(data) and len(self.http.trailing_data[0]) <= self.shared.limits.pipelined

    async def _refuse(self, status: int) -> None:
        try:
            if self.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._answer(status)
            await self._linger()
        except _GONE:
            pass

    async def _answer(self, status: int) -> None:
        body = f"{status} {HTTPStatus(status).phrase}\n".encode()
        response = _Response(self, discard_body=False)
        headers = [
            ("content-type", "text/plain"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        await response.start(status, headers)
        await response.send(body)
        await response.finish()

    async def _linger(self) -> None:
        """Let the client read the answer: closing with unread input would reset it away (RFC 9112, 9.6)."""
        await self.stream.send_eof()
        allowance = self.shared.limits.body
        with trio.move_on_after(1.0):
            while allowance > 0 and (data := await self.stream.receive_some(_READ)):
                allowance -= len(data)


class _Response:
    """The responder of one request."""

    def __init__(self, connection: ServerConnection, *, discard_body: bool) -> None:
        self.closing = connection.shared.closing
        self.bytes_sent = 0
        self.scope = trio.CancelScope()
        self._connection = connection
        self._discard_body = discard_body

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        lines = list(headers)
        if self._connection.shared.wall_clock:
            lines.append(("date", formatdate(self._connection.shared.wall_clock(), usegmt=True)))
        if self.closing.is_set():
            lines.append(("connection", "close"))
        await self._write(_head(status, tuple(lines)))

    async def send(self, data: bytes) -> None:
        if data and not self._discard_body:
            await self._write(h11.Data(data=data))
            self.bytes_sent += len(data)

    async def finish(self) -> None:
        if self._connection.http.our_state is h11.SEND_RESPONSE:
            raise RuntimeError("the application ended without a response")
        if self._connection.http.our_state is h11.SEND_BODY:
            await self._write(h11.EndOfMessage())

    def abort(self) -> None:
        self._connection.stream.reset()
        self.scope.cancel()

    async def _write(self, event: _Sendable) -> None:
        try:
            await self._connection.write(event)
        except _GONE:
            self.scope.cancel()
            await trio.lowlevel.checkpoint()  # raises Cancelled, unless the application shields itself
            raise


@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> h11.Response:
    """h11 looks at every byte; the same few heads are sent again and again."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return h11.Response(status_code=status, headers=encoded, reason=_reason(status))


def _request(head: h11.Request, body: bytes, stream: Connection) -> Request:
    target = head.target.decode("ascii")
    if target.startswith("/"):  # origin form; "//x" is a path here and not an authority
        path, _, query = target.partition("?")
    else:
        parts = urlsplit(target)
        path, query = parts.path, parts.query
    return Request(
        method=head.method.decode("ascii"),
        path=unquote(path),
        query=dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100)),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers),
        body=body,
        peer=stream.peer,
        raw_path=path,
        raw_query=query,
        http_version=head.http_version.decode("ascii"),
    )


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
