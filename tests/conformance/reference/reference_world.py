"""What the tests of the reference share: where they run, and HTTP written out byte by byte."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from fault_injection.network import Address, Connection, Network, SocketNetwork
from fault_injection.virtual import VirtualNetwork


def run_virtually(main: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
    """`trio.run` on a clock that jumps over every wait."""
    return trio.run(main, *args, **{**options, "clock": MockClock(autojump_threshold=0)})


in_virtual_time = pytest.mark.trio(run=run_virtually)
"""The test runs on a clock that jumps over every wait."""


def on_both_networks() -> pytest.MarkDecorator:
    """The test takes `network` and runs twice: in memory and virtual time, on sockets and in real time."""
    virtual = pytest.param(VirtualNetwork(), marks=in_virtual_time, id="virtual")
    return pytest.mark.parametrize("network", [virtual, pytest.param(SocketNetwork(), id="sockets")])


@asynccontextmanager
async def connected(network: Network, address: Address) -> AsyncIterator[Connection]:
    """A connection to write HTTP on by hand."""
    connection = await network.connect(*address)
    async with connection:
        yield connection


async def read_all(connection: Connection) -> bytes:
    """What comes until the peer ends the stream. Raises `trio.BrokenResourceError` where it is reset."""
    return b"".join([bytes(data) async for data in connection])


async def read_until(connection: Connection, expected: bytes) -> bytes:
    """What comes until this is in it."""
    received = b""
    while expected not in received:
        data = await connection.receive_some()
        assert data, f"the stream ended after {received!r}"
        received += data
    return received


def get(path: str = "/", *headers: str, version: str = "1.1") -> bytes:
    """A GET request."""
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: test", *headers, "", ""]).encode()


async def eventually(condition: Callable[[], bool], within: float = 5) -> None:
    """Wait until it holds. Raises `trio.TooSlowError` where it does not within so many seconds."""
    with trio.fail_after(within):
        while not condition():  # noqa: ASYNC110  (gauges tell nobody that they have changed)
            await trio.sleep(0.01)
