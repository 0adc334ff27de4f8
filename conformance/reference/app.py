"""What an HTTP application is: a function of a request and of a responder.

Applications are plain functions, so that one can wrap another (see `WrappedResponder`): that is how a
server that is wrong in one point is made out of one that is right.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec
import trio

from fault_injection.network import Address

HeaderList: TypeAlias = Sequence[tuple[str, str]]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has arrived whole.

    `path` is percent-decoded; of a query field that is given twice, the last counts. `headers` are in their
    order, names in lower case. `peer` is the client's address. `raw_path` and `raw_query` are as they came.
    """

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    peer: Address = ("", 0)
    raw_path: str = ""
    raw_query: str = ""
    http_version: str = "1.1"

    def header(self, name: str) -> str | None:
        """The header of that (lower-case) name; several are joined by ", " (RFC 9110, section 5.3)."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


class Responder(Protocol):
    """Where an application writes its response: `start`, any number of `send`, `finish`.

    When the client has gone, or after `abort`, the application is cancelled: there is nobody to tell. That
    happens also while it waits for something else than this responder.
    """

    @property
    def closing(self) -> trio.Event:
        """Set when the server shuts down: a stream should come to its end now."""
        ...

    @property
    def bytes_sent(self) -> int:
        """Bytes of the body that were sent, before any transfer coding."""
        ...

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        """Send the head, at once. Without a content-length the body is chunked (HTTP/1.0: until the end)."""
        ...

    async def send(self, data: bytes) -> None:
        """Send a piece of the body, at once: one chunk, one write. No bytes: nothing is written."""
        ...

    async def finish(self) -> None:
        """End the body properly. The server does it for an application that returns without."""
        ...

    def abort(self) -> None:
        """Reset the connection: the client sees that the response is cut off."""
        ...


App: TypeAlias = Callable[[Request, Responder], Awaitable[None]]


class WrappedResponder:
    """Hands everything on to another responder; override what shall differ."""

    def __init__(self, inner: Responder) -> None:
        self.inner = inner

    @property
    def closing(self) -> trio.Event:
        return self.inner.closing

    @property
    def bytes_sent(self) -> int:
        return self.inner.bytes_sent

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await self.inner.start(status, headers)

    async def send(self, data: bytes) -> None:
        await self.inner.send(data)

    async def finish(self) -> None:
        await self.inner.finish()

    def abort(self) -> None:
        self.inner.abort()
