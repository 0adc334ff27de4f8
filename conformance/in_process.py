"""An ASGI application in this process as the target of a run: a fresh one for each scenario, in virtual time or real.

What one scenario leaves in memory is no finding of the next, and what the application itself leaves behind is told
of the scenario that made it. They are driven one after the other; in virtual time waiting costs nothing.
"""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import trio
import trio.testing

from conformance.asgi import AppNotFound, Options, StartupError, Subject, made, open_asgi
from conformance.asgi.errors import without_addresses
from conformance.asgi.flavours import FlavourName
from conformance.asgi.types import ASGIApp
from conformance.config import Limits
from conformance.determinism import EPOCH, seeded
from conformance.drive.stage import Unreached
from conformance.errors import first_of
from conformance.history import Left, Mark, Record, Recorder
from conformance.rules.resource import ERROR, SHUT_DOWN
from fault_injection.network import Address, Network

_T = TypeVar("_T")

_VIRTUAL_PORT = 8000  # on a network of its own every port is free
_EPOCH = EPOCH + 0.123456  # else the wall clock shows round times, which look as if they were told to a tenth
ANEW = " (it is imported anew for each scenario: what cannot be imported twice needs a factory, module:make_app())"
_TAKEN = re.compile(r"Integrity|UNIQUE|[Dd]uplicate|already exists")  # how stores say that they have this id


@dataclass(frozen=True)
class InProcess:
    """An application, and how it is served. `make` gives a fresh one at each call; `name` is what people call it.

    `real_time`: on this machine's sockets and clock, to compare; else on a virtual network, in virtual time.
    """

    name: str
    make: Callable[[], ASGIApp]
    loop: FlavourName = "asyncio"
    real_time: bool = False

    @property
    def how(self) -> str:
        """For the report: how it was served."""
        where = "real time, on sockets" if self.real_time else "virtual time"
        return f"in this process on {self.loop}, in {where}"

    def main(self, seed: int, main: Callable[[], Awaitable[_T]]) -> _T:
        """`trio.run` with the clock that this takes; in virtual time all chance comes from `seed`."""
        if self.real_time:
            return trio.run(main)
        with seeded(seed, epoch=_EPOCH):
            return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    def wall(self) -> float:
        """Seconds since 1970, as the application reads them too."""
        return time.time() if self.real_time else _EPOCH + trio.current_time()

    async def address(self, network: Network) -> Address:
        """Where it is to be served."""
        if not self.real_time:
            return "127.0.0.1", _VIRTUAL_PORT
        listener = await network.listen()
        await listener.aclose()
        return listener.address

    @asynccontextmanager
    async def serve(
        self, network: Network, address: Address, limits: Limits, recorder: Recorder
    ) -> AsyncIterator[None]:
        """A fresh application at `address` while the block runs; what it leaves behind is recorded.

        In virtual time it has first as long as work may take: what ends by itself is not left behind. In real time
        nobody wants to wait for that, so nothing is said of it. Raises `Unreached` where it does not start.
        """
        zero = trio.current_time() - recorder.now()
        subject: Subject | None = None
        try:
            async with _opened(self, network, address) as subject:
                yield
                if not self.real_time:
                    await trio.sleep(limits.completion + limits.close)
        except* Unreached as group:
            raise Unreached(f"{first_of(group)}{self._because(subject)}") from None
        for record in observed(subject, zero, shut_down=not self.real_time):
            recorder.record(record)

    def _because(self, subject: Subject | None) -> str:
        """What the application raised, where it gave no usable answer."""
        if subject is None or not subject.errors:
            return ""
        message = subject.errors[0].message
        hint = ""
        if not self.real_time and _TAKEN.search(message):
            hint = " (ids come from --seed, so a store that outlives the run has them already: empty it)"
        return f"; in the application: {message}{hint}"

    async def check(self, network: Network, address: Address) -> None:
        """Start it and shut it down. Raises `Unreached` where it does not start."""
        async with _opened(self, network, address):
            pass


@asynccontextmanager
async def _opened(app: InProcess, network: Network, address: Address) -> AsyncIterator[Subject]:
    host, port = address
    options = Options(flavour=app.loop)
    try:
        async with open_asgi(
            made(app.make), network, host=host, port=port, options=options, wall_clock=app.wall
        ) as subject:
            yield subject
    except (AppNotFound, StartupError) as error:
        hint = "" if app.name.endswith("()") else ANEW
        raise Unreached(f"{app.name}: {error}{hint}") from error


def observed(subject: Subject, zero: float, *, shut_down: bool = True) -> Iterator[Record]:
    """What an application did wrong and, with `shut_down`, what it left behind, as records of a history that began at
    `zero` on trio's clock. To be asked when it has shut down."""
    now, left_behind = trio.current_time() - zero, subject.left_behind()
    for error in subject.errors:
        yield Mark(time=error.at - zero, what=ERROR, detail=error.message)
    if subject.lifespan.supported and subject.lifespan.note and not left_behind:
        yield Mark(time=now, what=ERROR, detail=without_addresses(subject.lifespan.note))
    if not shut_down:
        return
    yield Mark(time=now, what=SHUT_DOWN)
    for left in left_behind:
        yield Left(
            time=now,
            kind=left.kind,
            name=left.name,
            created_at=left.created_at,
            owner=left.owner,
            detail=left.detail,
        )
