"""What the tests of the ASGI subject share: a network, a clock, clients, and a record of every byte."""

from collections.abc import Callable
from typing import Any

import trio
from trio.testing import MockClock

from conformance.asgi import ASGIApp, LeftBehind, Options, Subject, open_asgi
from fault_injection.network import Network
from fault_injection.virtual import VirtualNetwork


def virtually(main: Callable[..., Any], *args: Any) -> Any:
    """`trio.run` in virtual time."""
    return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


async def leaving(
    network: Network, subject: Subject, target: str = "/", *, after: float | None = None, size: int = 1 << 30
) -> bytes:
    """GET it, and close the connection after so many seconds or bytes of the body. Gives everything that came."""
    connection = await network.connect(*subject.address)
    received = b""
    async with connection:
        await connection.send_all(
            f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        )
        with trio.move_on_after(float("inf") if after is None else after):
            while len(received) < size and (data := await connection.receive_some()):
                received += data
    return received


def left_by(
    app: ASGIApp, *targets: str, options: Options | None = None, after: float = 3.0
) -> tuple[LeftBehind, ...]:
    """What this application leaves when clients GET these one after another, each for `after` seconds."""

    async def main() -> tuple[LeftBehind, ...]:
        network = VirtualNetwork()
        async with open_asgi(app, network, options=options) as subject:
            for target in targets:
                await leaving(network, subject, target, after=after)
        return subject.left_behind()

    left: tuple[LeftBehind, ...] = virtually(main)
    return left
