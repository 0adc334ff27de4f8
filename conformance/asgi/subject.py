"""Anyone's ASGI application behind a small HTTP/1.1 server, in this process, on any `Network`.

The HTTP is the reference server's; here is what ASGI adds. In virtual time (`trio.testing.MockClock`) an
asyncio application's sleeps are virtual too.
"""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h11
import msgspec
import trio

from conformance.asgi.errors import Errors
from conformance.asgi.exchange import Broken, Cut, Exchange
from conformance.asgi.flavours import Flavour, FlavourName, Running, open_flavour
from conformance.asgi.left_behind import LeftBehind
from conformance.asgi.lifespan import Lifespan
from conformance.asgi.messages import Head
from conformance.asgi.moments import Moments, Plan
from conformance.asgi.types import ASGIApp, Scope
from conformance.determinism import is_seeded
from conformance.errors import with_its_cause
from conformance.reference.app import Request, Responder
from conformance.reference.background import open_background
from conformance.reference.connection import Limits
from conformance.reference.server import Server
from fault_injection.network import Address, Network

_SETTLE = 1.0  # seconds that tasks get to end by themselves after the shutdown


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How an application is served. Times are in seconds.

    `spec_version` is what the scope says of the HTTP message format. Below 2.4 a `send` after a disconnect does
    nothing, from 2.4 on it raises an `OSError`; the default is what uvicorn says (0.54 does).
    """

    flavour: FlavourName = "asyncio"
    spec_version: str = "2.3"
    root_path: str = ""
    startup: float = 60.0  # for lifespan.startup
    grace: float = 5.0  # for open responses at the shutdown, then for the application to notice their end
    shutdown: float = 10.0  # for lifespan.shutdown, and for cancelled tasks to end
    limits: Limits = Limits()


class Subject:
    """A running application. `errors` grows while it runs; `left_behind` is there after the shutdown."""

    def __init__(
        self,
        app: ASGIApp,
        flavour: Flavour,
        errors: Errors,
        nursery: trio.Nursery,
        moments: Moments,
        options: Options,
    ) -> None:
        self.address: Address = ("", 0)
        self.errors = errors
        self.exchanges = 0  # how many calls of the application there were
        self.lifespan = Lifespan(app, flavour)
        self._app = app
        self._flavour = flavour
        self._nursery = nursery
        self._moments = moments
        self._options = options
        self._running: dict[Exchange, Running] = {}  # calls of the application, in order
        self._left: tuple[LeftBehind, ...] | None = None

    @property
    def url(self) -> str:
        """`http://` and the address."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def calls(self) -> int:
        """How many calls of the application have not returned."""
        return sum(not running.done.is_set() for running in self._running.values())

    def left_behind(self) -> tuple[LeftBehind, ...]:
        """What the application left. Raises `RuntimeError` before the shutdown."""
        if self._left is None:
            raise RuntimeError("what is left behind is known after the shutdown, when the block has ended")
        return self._left

    async def serve(self, request: Request, respond: Responder) -> None:
        """The application, as the reference server calls one."""
        exchange = Exchange(
            self.exchanges,
            self._scope(request),
            request.body,
            flavour=self._flavour,
            moments=self._moments,
            send_raises=_version(self._options.spec_version) >= (2, 4),
            later=self._later,
            failed=self._note,
        )
        self.exchanges += 1
        exchange.abort = respond.abort
        self._running = {each: task for each, task in self._running.items() if not task.done.is_set()}
        name = f"{exchange.name} (exchange {exchange.index})"
        self._running[exchange] = self._flavour.start(lambda: exchange.run(self._app), name)
        try:
            await self._write(exchange, respond)
        finally:
            exchange.client_left()

    async def _write(self, exchange: Exchange, respond: Responder) -> None:
        started = False
        try:
            while True:
                part = await exchange.next_part()
                if isinstance(part, Head):
                    await respond.start(part.status, part.headers)
                    started = True
                    continue
                await respond.send(part.data)
                if part.last:
                    await respond.finish()
                    if exchange.cut:
                        await _abort(respond)
                    return
        except h11.LocalProtocolError as error:  # a head or a length that cannot be
            self._note(exchange, error, f"not HTTP: {error}")
        except Cut:
            await _abort(respond)
            return
        except Broken:
            pass
        if started:
            await _abort(respond)
        else:
            await _internal_error(respond)

    def _scope(self, request: Request) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": self._options.spec_version},
            "http_version": request.http_version,
            "method": request.method,
            "scheme": "http",
            "path": self._options.root_path + request.path,
            "raw_path": (self._options.root_path + request.raw_path).encode("ascii"),
            "query_string": request.raw_query.encode("ascii"),
            "root_path": self._options.root_path,
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
            "client": request.peer,
            "server": self.address,
            "state": self.lifespan.state.copy(),
            "extensions": {},
        }

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        async def wait() -> None:
            await trio.sleep(seconds)
            function()

        self._nursery.start_soon(wait)

    def _note(self, exchange: Exchange, error: BaseException | None, text: str) -> None:
        hint = _hint(text, self._options.flavour)
        self.errors.note(error, f"{exchange.name}: {text}{hint}", exchange.index)

    async def shut_down(self, server: Server) -> None:
        """Let calls end, end the lifespan, and look at what is left. The server has been closed before."""
        options = self._options
        left: list[LeftBehind] = []
        with trio.move_on_after(options.grace):
            for running in list(self._running.values()):
                await running.done.wait()
        for exchange, running in self._running.items():
            if not running.done.is_set():
                detail = f"did not return within {options.grace:g} s of the end of its response"
                left.append(LeftBehind("call", f"{exchange.name} (exchange {exchange.index})", detail=detail))
                exchange.given_up = True
                running.cancel()
        with trio.move_on_after(options.shutdown):
            for running in self._running.values():
                await running.done.wait()
        if not await self.lifespan.shutdown(options.shutdown):
            left.append(LeftBehind("call", "lifespan", detail=self.lifespan.note))
            self.lifespan.cancel()
        left += await self._settled()
        left += await self._generators_left()
        if server.connections:
            left.append(LeftBehind("connection", f"{server.connections} connections"))
        self._left = tuple(left)

    async def _generators_left(self) -> tuple[LeftBehind, ...]:
        """Those that a mere cycle of references holds are no leak: Python closes them when it comes to them."""
        if self._flavour.generators.left():
            gc.collect(
                0 if is_seeded() else 2
            )  # seeded, nothing was collected since: all of the run's are young
            await self._settled()
        return self._flavour.generators.left()

    async def _settled(self) -> tuple[LeftBehind, ...]:
        """The tasks that do not end by themselves when given a moment."""
        with trio.move_on_after(_SETTLE):
            while tasks := self._flavour.left():
                for _, ended in tasks:
                    await ended.wait()
        return tuple(found for found, _ in self._flavour.left())


@asynccontextmanager
async def open_asgi(
    app: ASGIApp,
    network: Network,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    moments: Moments | None = None,
    options: Options | None = None,
    wall_clock: Callable[[], float] | None = None,
) -> AsyncIterator[Subject]:
    """Run `app` while the block runs, then shut it down as a server does: responses, lifespan, loop.

    Raises `StartupError` where the application does not start, `OSError` where the address is taken. What the
    application does wrong later is in `errors`. `moments` decides what happens at each crossing between server
    and application. `wall_clock` gives the `Date` header, as of `Server`.
    """
    options = options or Options()
    errors = Errors()

    def failed(error: BaseException | None, text: str) -> None:
        errors.note(error, f"{text}: {with_its_cause(error)}" if error is not None else text)

    async with (
        _bare(),
        open_flavour(options.flavour, failed=failed, limit=options.shutdown) as flavour,
        open_background() as nursery,
    ):
        subject = Subject(app, flavour, errors, nursery, moments or Plan(), options)
        await subject.lifespan.startup(options.startup)
        listener = await network.listen(host, port)
        subject.address = listener.address
        server = Server(
            subject.serve, listener, grace=options.grace, limits=options.limits, wall_clock=wall_clock
        )
        async with open_background() as serving:
            serving.start_soon(server.run)
            yield subject
            server.close()
        await subject.shut_down(server)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _bare() -> AsyncIterator[None]:
    """A single exception comes out as it is, however many nurseries are around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        inner: BaseException = group
        while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
            inner = inner.exceptions[0]
        if inner is group:
            raise
        raise inner from inner.__cause__


async def _abort(respond: Responder) -> None:
    respond.abort()
    await trio.lowlevel.checkpoint()  # raises Cancelled: there is nothing more to do


async def _internal_error(respond: Responder) -> None:
    body = b"Internal Server Error"
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    try:
        await respond.start(500, headers)
        await respond.send(body)
    except h11.LocalProtocolError:  # the head had already gone out
        await _abort(respond)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _hint(text: str, flavour: FlavourName) -> str:
    """What it looks like when an application runs on the wrong loop."""
    if flavour == "asyncio" and "Task got bad yield" in text:
        return ' (it awaits something of trio: run it with flavour "trio", --app-loop trio)'
    if flavour == "trio" and ("unrecognized yield message" in text or "no running event loop" in text):
        return ' (it awaits something of asyncio: run it with flavour "asyncio", --app-loop asyncio)'
    return ""
