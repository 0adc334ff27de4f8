"""A server, a proxy before it, and one who writes down what the proxy tells."""

import errno
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio

from fault_injection.faults import (
    Direction,
    Fault,
    Plan,
)
from fault_injection.link import Fired
from fault_injection.network import Address, Connection, Network
from fault_injection.observer import HowClosed, Observer
from fault_injection.proxy import Proxy, open_proxy

MANY = 16 * 1024 * 1024  # more than all buffers on the way take

Handler = Callable[[Connection], Awaitable[None]]


class Notes(Observer):
    """Writes down everything."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.bytes: dict[Direction, bytes] = {"upstream": b"", "downstream": b""}
        self.peers: list[Address] = []
        self.locals: list[Address] = []
        self.all_closed = trio.Event()

    def accepted(self, connection: int, peer: Address, time: float) -> None:
        assert time <= trio.current_time()
        self.told.append(f"accepted {connection}")
        self.peers.append(peer)

    def forwarded(self, connection: int, local: Address, time: float) -> None:
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.told.append(f"forwarded {connection}")
        self.locals.append(local)

    def ingress(self, connection: int, direction: Direction, data: bytes, time: float) -> None:
        assert connection == 0
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.bytes[direction] += data

    def fired(self, connection: int, fired: Fired) -> None:
        self.told.append(f"fired {connection} {fired.fault_index} {fired.detail}")

    def closed(self, connection: int, time: float, how: HowClosed) -> None:
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.told.append(f"closed {connection} {how}")
        self.all_closed.set()

    def refused(self, attempt: int, peer: Address, fired: Fired) -> None:
        assert peer[1] > 0
        self.told.append(f"refused {attempt} {fired.fault_index}")

    def upstream_unreachable(self, connection: int, error: OSError, time: float) -> None:
        assert time == pytest.approx(trio.current_time(), abs=1)
        self.told.append(f"unreachable {connection} {errno.errorcode[error.errno or 0]}")


@asynccontextmanager
async def serving(network: Network, handler: Handler) -> AsyncIterator[Address]:
    """A server that runs `handler` on each connection."""
    async with trio.open_nursery() as nursery:
        listener = await network.listen()
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield listener.address
        nursery.cancel_scope.cancel()


def proxied(
    network: Network, upstream: Address, *faults: Fault, notes: Notes | None = None, seed: int = 0
) -> AbstractAsyncContextManager[Proxy]:
    return open_proxy(network, upstream=upstream, rng=random.Random(seed), plan=Plan(faults), observer=notes)


async def echo(connection: Connection) -> None:
    async with connection:
        async for data in connection:
            await connection.send_all(data)


async def read_all(connection: Connection) -> bytes:
    return b"".join([bytes(chunk) async for chunk in connection])


async def read_until_reset(connection: Connection) -> bytes:
    data = b""
    with trio.fail_after(5):
        try:
            async for chunk in connection:
                data += chunk
        except trio.BrokenResourceError:
            return data
    pytest.fail(f"the connection ended instead of being reset, after {data!r}")
