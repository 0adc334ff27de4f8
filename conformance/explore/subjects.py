"""What can be explored: an ASGI application, or the reference service, on a virtual network."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from conformance.asgi import Boundary, Choice, Moments, Options, made, open_asgi
from conformance.asgi.types import ASGIApp
from conformance.history import Record
from conformance.in_process import observed
from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.reference.service import ServiceOptions, open_service
from fault_injection.network import Address, Network


@dataclass
class Running:
    """A subject that serves at `address`; `seen` is what it left behind and did wrong, once it has shut down."""

    address: Address
    seen: list[Record] = field(default_factory=list)


Subject: TypeAlias = Callable[[Network, Moments], AbstractAsyncContextManager[Running]]


def asgi_subject(make: Callable[[], ASGIApp], options: Options | None = None) -> Subject:
    """An ASGI application. `make` gives a fresh one for each run: state from the run before is no race."""

    @asynccontextmanager
    async def run(network: Network, moments: Moments) -> AsyncIterator[Running]:
        zero = trio.current_time()
        async with open_asgi(made(make), network, moments=moments, options=options) as subject:
            running = Running(subject.address)
            yield running
        running.seen += observed(subject, zero)

    return run


def reference_subject(
    options: ServiceOptions = ServiceOptions(epoch=1_700_000_000.0),
    wrap: Callable[[App], App] = lambda app: app,
) -> Subject:
    """The reference service, or a specimen made from it by `wrap`."""

    @asynccontextmanager
    async def run(network: Network, moments: Moments) -> AsyncIterator[Running]:
        async with open_service(
            network, options=options, rng=random.Random(0), wrap=lambda app: _held_up(wrap(app), moments)
        ) as service:
            yield Running(service.address)

    return run


def _held_up(app: App, moments: Moments) -> App:
    """The application, with the moments of an ASGI application at its own boundary."""
    count = 0

    async def handle(request: Request, respond: Responder) -> None:
        nonlocal count
        exchange, count = count, count + 1
        await _waited(moments.at(Boundary(exchange, "call")))
        await app(request, _HeldUp(respond, moments, exchange))

    return handle


class _HeldUp(WrappedResponder):
    def __init__(self, inner: Responder, moments: Moments, exchange: int) -> None:
        super().__init__(inner)
        self._moments = moments
        self._exchange = exchange
        self._index = 0

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        index = await self._before()
        await self.inner.start(status, headers)
        await self._after(index)

    async def send(self, data: bytes) -> None:
        index = await self._before()
        await self.inner.send(data)
        await self._after(index)

    async def _before(self) -> int:
        index, self._index = self._index, self._index + 1
        await _waited(self._moments.at(Boundary(self._exchange, "send", index, "before")))
        return index

    async def _after(self, index: int) -> None:
        await _waited(self._moments.at(Boundary(self._exchange, "send", index, "after")))


async def _waited(choice: Choice) -> None:
    if choice.delay is not None:
        await trio.sleep(choice.delay)
