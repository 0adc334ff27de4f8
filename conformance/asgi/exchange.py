"""One call of the application: its `receive` and `send` on one side, the server on the other.

As in uvicorn, what is sent goes into a buffer that a task of the server empties: so `send` does not wait
while there is room, and cancelling the application never cuts a write in half. Each `send` is written by
itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import trio

from conformance.asgi.flavours import AnyEvent, Flavour
from conformance.asgi.messages import Part, Piece, Sequence
from conformance.asgi.moments import Boundary, Kind, Moments, Side
from conformance.asgi.types import ASGIApp, ClientDisconnected, Message, Scope
from conformance.errors import with_its_cause

_HIGH_WATER = 64 * 1024  # bytes that may wait to be written before `send` waits; asyncio's own limits
_LOW_WATER = _HIGH_WATER // 4
_DEAF = 200  # crossings after the client has gone, until who takes no notice is held up ...
_HELD_UP = 0.01  # ... for so many seconds

Failed: TypeAlias = Callable[["Exchange", BaseException | None, str], None]


class Broken(Exception):
    """The application ended without a whole response."""


class Cut(Exception):
    """The connection is to be cut here."""


class Exchange:
    """One request, one response, one call of the application.

    `send_raises`: after a disconnect `send` raises `ClientDisconnected` (ASGI 2.4), else it does nothing.
    `later`: calls a function after so many seconds. `failed` is told what the application did wrong.
    """

    def __init__(
        self,
        index: int,
        scope: Scope,
        body: bytes,
        *,
        flavour: Flavour,
        moments: Moments,
        send_raises: bool,
        later: Callable[[float, Callable[[], None]], None],
        failed: Failed,
    ) -> None:
        self.index = index
        self.name = f"{scope['method']} {scope['path']}"
        self.gone = False  # the client is not there
        self.told = False  # and the application may know it
        self.given_up = False  # the server has cancelled the application
        self.abort: Callable[[], None] = lambda: None
        self._scope = scope
        self._body: bytes | None = body
        self._flavour = flavour
        self._moments = moments
        self._send_raises = send_raises
        self._later = later
        self._failed = failed
        self._sequence = Sequence()
        self._crossed: set[str] = set()
        self._until: str | None = None
        self._receives = 0
        self._sends = 0
        self._deaf = 0  # crossings since the application could know
        self._waiting: deque[Part] = deque()
        self._waiting_bytes = 0
        self._over: AnyEvent = flavour.event()  # there will be nothing more to receive
        self._room: AnyEvent | None = None
        self._something = trio.Event()  # for the server: there is a part, or an end
        self._returned = False
        self.cut = False  # the connection is reset once what was sent before is written

    # The application's side.

    async def run(self, app: ASGIApp) -> None:
        """Call the application. Never raises what the application raises, but tells it."""
        try:
            await self._cross("call")
            result: object = await app(self._scope, self.receive, self.send)  # type: ignore[func-returns-value]  # some do
            await self._cross("return")
            self._check_end(result)
        except BaseException as error:
            if self._is_ours(error):
                raise
            if not (self.told and _was_disconnect(error)):
                self._failed(self, error, f"raised {with_its_cause(error)}")
        finally:
            self._returned = True
            self._something.set()

    async def receive(self) -> Message:
        """ASGI's `receive`: the request once, then, when it comes, `http.disconnect`, again and again."""
        index, self._receives = self._receives, self._receives + 1
        await self._cross("receive", index)
        if self._body is not None and not self._over.is_set():
            await self._cross("receive", index, "after")
            body, self._body = self._body, None
            return {"type": "http.request", "body": body or b"", "more_body": False}
        await self._over.wait()
        await self._cross("receive", index, "after")
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's `send`. Raises `ProtocolError` (`messages.py`), after a disconnect perhaps `ClientDisconnected`."""
        index, self._sends = self._sends, self._sends + 1
        await self._cross("send", index)
        while self._waiting_bytes > _HIGH_WATER and not self.told:
            self._room = self._room or self._flavour.event()
            await self._room.wait()
        # What follows a whole response is wrong, whether anybody is there or not.
        if self.told and not self._sequence.complete:
            if self._send_raises:
                raise ClientDisconnected(f"the client of {self.name} has gone")
        else:
            self._put(self._sequence.take(message))
        await self._cross("send", index, "after")

    async def _cross(self, kind: Kind, index: int = 0, side: Side = "before") -> None:
        boundary = Boundary(self.index, kind, index, side)
        choice = self._moments.at(boundary)
        self._crossed.add(boundary.name)
        if choice.cut:
            self._cut()
        if self.gone and boundary.name == self._until:
            self.tell()
        self._deaf += self.told
        if choice.delay is not None:
            await self._flavour.sleep(choice.delay)
        elif (
            self._deaf and self._deaf % _DEAF == 0
        ):  # nothing else here waits: it would have the event loop for ever
            await self._flavour.sleep(_HELD_UP)
        elif side == "before" and kind in ("receive", "send"):
            await self._flavour.pass_by()

    def _is_ours(self, error: BaseException) -> bool:
        """It comes from outside and goes on; anything else is the application's, `sys.exit` too."""
        if isinstance(error, BaseExceptionGroup):
            return error.split((trio.Cancelled, KeyboardInterrupt))[0] is not None
        if isinstance(error, asyncio.CancelledError):
            return self.given_up
        return isinstance(error, trio.Cancelled | KeyboardInterrupt)

    def _cut(self) -> None:
        if self.gone:  # the response is over, or the client was quicker
            self.abort()
            return
        sent = list(self._waiting)
        self.client_left()
        self._waiting.extend(sent)
        self.cut = True
        self._something.set()

    def _put(self, part: Part) -> None:
        if isinstance(part, Piece):
            self._waiting_bytes += len(part.data)
            if part.last:
                self._over.set()
        if not self.gone:  # else the bytes go nowhere, as into a kernel's buffer
            self._waiting.append(part)
            self._something.set()

    def _check_end(self, result: object) -> None:
        if result is not None:
            self._failed(self, None, f"returned {type(result).__name__}; an application returns None")
        if self.gone or self._sequence.complete:
            return
        missing = "before the response was complete" if self._sequence.started else "without a response"
        self._failed(self, None, f"returned {missing}")

    # The server's side.

    async def next_part(self) -> Part:
        """The next part of the response. Raises `Broken` where the application ended without, and `Cut`."""
        while not self._waiting:
            if self.cut:
                raise Cut
            if self._returned:
                raise Broken
            self._something = trio.Event()
            await self._something.wait()
        part = self._waiting.popleft()
        if isinstance(part, Piece):
            self._waiting_bytes = max(0, self._waiting_bytes - len(part.data))
            if self._room is not None and self._waiting_bytes <= _LOW_WATER:
                self._make_room()
        return part

    def client_left(self) -> None:
        """The client has gone, or the response is over: the application learns of it, now or as planned."""
        if self.gone:
            return
        self.gone = True
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._sequence.complete:
            self.tell()
            return
        news = self._moments.news(self.index)
        if news.until is None or news.until in self._crossed:
            self.tell()
        else:
            self._until = news.until
            self._make_room()
            self._later(news.at_most, self.tell)

    def tell(self) -> None:
        """From now on the application can know."""
        self.told = True
        self._over.set()
        self._make_room()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None


def _was_disconnect(error: BaseException) -> bool:
    """It is what `send` raised, or a framework's own word for what `receive` told: Starlette's `ClientDisconnect`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ClientDisconnected) or type(cause).__name__ == "ClientDisconnect":
            return True
        cause = cause.__cause__ or cause.__context__
    return False
