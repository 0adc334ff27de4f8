"""What the tests of driving share: servers made up byte by byte, and a scenario played against them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from conformance.config import Config, Expect, Limits, Start, Stream, Target
from conformance.dialect import Dialect, Matcher
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Stage
from conformance.history import Exchange, History
from conformance.judging import held
from conformance.scenarios import Scenario
from fault_injection.faults import Plan
from fault_injection.network import Connection, Network
from fault_injection.virtual import VirtualNetwork

Handler: TypeAlias = Callable[[Connection], Awaitable[None]]
Drive: TypeAlias = Callable[[Stage], Awaitable[None]]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = STREAM_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DONE = Dialect(completion=(Matcher(event="complete"),), end=(Matcher(event="stream_end"),))
COMPLETE = b"event: complete\ndata: {}\n\n"
LIMITS = Limits(connect=1, head=2, close=3, completion=20)


def run_virtually(main: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
    """`trio.run` on a clock that jumps over every wait."""
    return trio.run(main, *args, **{**options, "clock": MockClock(autojump_threshold=0)})


in_virtual_time = pytest.mark.trio(run=run_virtually)
"""The test runs on a clock that jumps over every wait."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """A whole response that is no stream."""
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def request_of(connection: Connection) -> bytes:
    """The request, read up to its empty line and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = await connection.receive_some()
        if not data:
            return received
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            while len(body) < int(value):
                body += await connection.receive_some()
    return head + b"\r\n\r\n" + body


def says(*pieces: bytes, then: Callable[[Connection], Awaitable[None]] | None = None) -> Handler:
    """A server that reads the request, sends these bytes, and then does something: closes, unless told otherwise."""

    async def handle(connection: Connection) -> None:
        await request_of(connection)
        for piece in pieces:
            await connection.send_all(piece)
        if then is not None:
            await then(connection)

    return handle


async def waits(_: Connection) -> None:
    await trio.sleep_forever()


async def resets(connection: Connection) -> None:
    await trio.sleep(0.1)
    connection.reset()


def repeats(piece: bytes, every: float = 0.0) -> Handler:
    async def repeat(connection: Connection) -> None:
        while True:
            await connection.send_all(piece)
            await trio.sleep(every)

    return repeat


@asynccontextmanager
async def serving(network: Network, handle: Handler) -> AsyncIterator[str]:
    """A server that treats each connection like this; gives its origin."""
    listener = await network.listen()

    async def serve(connection: Connection) -> None:
        try:
            await handle(connection)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(connection)

    async def accept(nursery: trio.Nursery) -> None:
        while True:
            nursery.start_soon(serve, await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept, nursery)
        yield f"http://127.0.0.1:{listener.address[1]}"
        nursery.cancel_scope.cancel()
    await listener.aclose()


def configured(**changes: Any) -> Config:
    """A configuration of a stream at /events, with short limits."""
    start: Start | None = changes.pop("start", None)
    options: dict[str, Any] = {
        "target": Target(
            url="http://127.0.0.1:1", start=start, stream=changes.pop("stream", Stream(path="/events"))
        ),
        "dialect": DONE,
        "expect": Expect(terminates=True),
        "limits": LIMITS,
    }
    return Config(**(options | changes))


def set_up(network: Network, origin: str, config: Config | None = None, **changes: Any) -> Setting:
    config = config or configured()
    options: dict[str, Any] = {"seed": 7, "duration": 10.0, "declared": held(config), "clock": "virtual"}
    return Setting(network=network, config=config, origin=origin, **(options | changes))


async def _subscribe(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe() as subscriber:
        await subscriber.finished()


async def driven(
    handle: Handler,
    config: Config | None = None,
    *,
    drive: Drive = _subscribe,
    plan: Plan | None = None,
    network: Network | None = None,
    **changes: Any,
) -> History:
    """The history of a scenario (one subscriber, unless told otherwise) against such a server."""
    network = network or VirtualNetwork()
    async with serving(network, handle) as origin:
        setting = set_up(network, origin, config, **changes)
        return await play(setting, Scenario("subscribe", "made up", drive, plan or Plan()))


async def streamed(handle: Handler, config: Config | None = None, **changes: Any) -> Exchange:
    """The one stream of it."""
    played = await driven(handle, config, **changes)
    (stream,) = played.streams
    return stream
