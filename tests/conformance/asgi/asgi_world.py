"""What the tests of the ASGI subject share: where they run, and clients that come and go."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import MockClock

from conformance.asgi import ASGIApp, LeftBehind, Moments, Options, Subject, open_asgi
from conformance.asgi.types import Message, Receive, Scope, Send
from fault_injection.network import Network, SocketNetwork
from fault_injection.virtual import VirtualNetwork

_T = TypeVar("_T")


def virtually(main: Callable[..., Awaitable[_T]], *args: Any, **options: Any) -> _T:
    """`trio.run` on a clock that jumps over every wait."""
    return trio.run(main, *args, **{**options, "clock": MockClock(autojump_threshold=0)})


in_virtual_time = pytest.mark.trio(run=virtually)


def on_both_networks() -> pytest.MarkDecorator:
    """The test takes `network` and runs twice: in memory and virtual time, on sockets and in real time."""
    virtual = pytest.param(VirtualNetwork(), marks=in_virtual_time, id="virtual")
    return pytest.mark.parametrize("network", [virtual, pytest.param(SocketNetwork(), id="sockets")])


async def get(
    network: Network,
    subject: Subject,
    target: str = "/",
    *,
    stay: float = 60.0,
    until: bytes | None = None,
    method: str = "GET",
) -> bytes:
    """Ask for it and leave: at the end, after `stay` seconds, or when this has come. Gives all that came.

    Raises `trio.BrokenResourceError` where the connection is reset.
    """
    connection = await network.connect(*subject.address)
    received = b""
    async with connection:
        await connection.send_all(
            f"{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        )
        with trio.move_on_after(stay):
            while data := await connection.receive_some():
                received += data
                if until is not None and until in received:
                    break
    return received


def chunks(response: bytes) -> list[bytes]:
    """The chunks of a response that came whole."""
    body = response.partition(b"\r\n\r\n")[2]
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        found.append(rest[:length])
        body = rest[length + 2 :]
    assert found[-1] == b"", "the last chunk is missing"
    return found[:-1]


async def head(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def body(send: Send, data: bytes = b"", more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


class Say:
    """An application that answers what it is told to, without a lifespan."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.scopes.append(scope)
        for message in self.messages:
            await send(message)


def left_by(
    app: ASGIApp,
    *,
    stay: float = 3.0,
    options: Options | None = None,
    moments: Moments | None = None,
) -> tuple[LeftBehind, ...]:
    """What this application leaves when a client GETs / and goes after `stay` seconds."""

    async def main() -> tuple[LeftBehind, ...]:
        network = VirtualNetwork()
        async with open_asgi(app, network, options=options, moments=moments) as subject:
            await get(network, subject, stay=stay)
        return subject.left_behind()

    return virtually(main)
