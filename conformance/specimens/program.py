"""How a specimen ends, as a program: asked by a signal, or killed."""

import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import trio

from conformance.drive.control import StopSignal
from conformance.reference.app import App, Request, Responder
from conformance.reference.service import ServiceOptions, open_service
from fault_injection.network import Listener, Network, SocketNetwork


@dataclass(frozen=True)
class Manner:
    """How a program ends.

    `heeds`: the signals that it takes for a request to end; it ignores the others. `abrupt`: its connections end
    with it, wherever their streams are. `takes_in`: for so many seconds after the signal it still accepts
    connections, and answers none of the requests that come. `code`: its exit code. `child`: what a process that it
    started, and forgets, does after it: nothing, or nothing in a session of its own, or it keeps the port, as
    whoever inherits a listening socket does.
    """

    heeds: tuple[StopSignal, ...] = ("SIGTERM", "SIGINT")
    abrupt: bool = False
    takes_in: float = 0.0
    code: int = 0
    child: Literal["", "idle", "daemon", "listening"] = ""


GRACEFUL = Manner()
"""As a program should."""


def forgetting(app: App, since: trio.Event) -> App:
    """An application that answers no request that comes after this."""

    async def handle(request: Request, respond: Responder) -> None:
        if since.is_set():
            await trio.sleep_forever()
        await app(request, respond)

    return handle


class InProcess:
    """A service that can be asked to end, killed, and started again at its address, like a process."""

    def __init__(
        self,
        network: Network,
        *,
        options: ServiceOptions,
        wrap: Callable[[App], App],
        manner: Manner,
        seed: int,
    ) -> None:
        self.port = 0
        self.pid: int | None = None
        self._network = network
        self._options = options
        self._wrap = wrap
        self._manner = manner
        self._seed = seed
        self._scope = trio.CancelScope()
        self._asked = trio.Event()
        self._over = trio.Event()
        self._code: int | None = None
        self._held: Listener | None = None
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It runs inside the block."""
        async with trio.open_nursery() as self._nursery:
            await self.start()
            yield
            await self.kill()

    async def start(self) -> None:
        """See `Restartable`."""
        assert self._nursery is not None
        self._asked, self._over, self._code = trio.Event(), trio.Event(), None
        await self._nursery.start(self._live)

    @property
    def children(self) -> tuple[int, ...]:
        """See `Restartable`."""
        return () if self.pid is None else (self.pid,)

    @property
    def ended(self) -> int | None:
        """See `Restartable`."""
        return self._code

    def last_words(self) -> str:
        """See `Restartable`. It prints to nobody."""
        return ""

    async def kill(self) -> None:
        """See `Restartable`."""
        if self._code is None:
            self._code = -9
        self._scope.cancel()
        await self._over.wait()
        if self._held is not None:
            await self._held.aclose()
        self._held = None

    def send_signal(self, name: StopSignal) -> None:
        """See `Restartable`."""
        if name in self._manner.heeds:
            self._asked.set()

    async def exited(self) -> int:
        """See `Restartable`."""
        await self._over.wait()
        assert self._code is not None
        return self._code

    def survivors(self) -> tuple[str, ...]:
        """See `Restartable`."""
        return ("a process that it started",) if self._manner.child else ()

    async def listens(self) -> bool:
        """See `Restartable`."""
        try:
            await (await self._network.connect("127.0.0.1", self.port)).aclose()
        except OSError:
            return False
        return True

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._scope:
            async with open_service(
                self._network,
                port=self.port,
                options=self._options,
                rng=random.Random(self._seed),
                wrap=lambda app: forgetting(self._wrap(app), self._asked),
            ) as service:
                self.port = service.address[1]
                task_status.started()
                await self._asked.wait()
                await trio.sleep(self._manner.takes_in)
                if self._manner.abrupt:
                    self._scope.cancel()
        if self._code is None:  # it was not killed
            self._code = self._manner.code
            if self._manner.child == "listening":
                self._held = await self._network.listen("127.0.0.1", self.port)
        self._over.set()


async def serve_program(
    manner: Manner,
    *,
    host: str,
    port: int,
    options: ServiceOptions,
    wrap: Callable[[App], App],
    on_ready: Callable[[str], None],
) -> int:
    """Run a service on sockets, in a process of its own, until it is asked to end; give the exit code. `on_ready` is
    told the URL. It does not return where the manner is to be abrupt."""
    asked = trio.Event()
    heeded = [signal.Signals[name] for name in manner.heeds]
    for number in {signal.SIGTERM, signal.SIGINT}.difference(heeded):
        signal.signal(number, signal.SIG_IGN)
    if manner.child in {"idle", "daemon"}:
        _fork(daemon=manner.child == "daemon")
    with trio.open_signal_receiver(*heeded) as signals:
        async with open_service(
            SocketNetwork(),
            host=host,
            port=port,
            options=options,
            rng=random.SystemRandom(),
            wrap=lambda app: forgetting(wrap(app), asked),
        ) as service:
            if manner.child == "listening":
                _fork()
            on_ready(service.url)
            await anext(signals)
            asked.set()
            await trio.sleep(manner.takes_in)
            if manner.abrupt:
                os._exit(manner.code)
    return manner.code


def _fork(*, daemon: bool = False) -> None:
    """Start a process that has what this one has, does nothing with it, and hears no signal but SIGKILL. A daemon has
    left the session, and its parent has ended."""
    if pid := os.fork():
        if daemon:
            os.waitpid(pid, 0)
        return
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if daemon:
        os.setsid()
        if os.fork():
            os._exit(0)
    while True:
        signal.pause()
