"""The reference service, put together: producer, routes and server; in a block, or as a program."""

import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from conformance.reference.app import App
from conformance.reference.background import open_background
from conformance.reference.connection import Limits
from conformance.reference.producer import Producer
from conformance.reference.routes import Routes
from conformance.reference.server import Server, count_tasks, open_server
from conformance.reference.store import Store
from fault_injection.network import Address, Network, SocketNetwork


class ServiceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the service behaves. Times in seconds; short ones, so that a run against it ends quickly."""

    heartbeat: float = 0.5  # of silence, until a comment is sent; a service on the internet takes 15
    retry: float = 0.1  # the reconnection time that its streams set
    grace: float = 1.0  # for open responses to end when it shuts down
    token: str | None = None  # everything under /jobs takes this bearer token
    origins: tuple[str, ...] = ("*",)  # of pages that may read its answers
    state: Path | None = None  # directory in which jobs outlive the service
    epoch: float | None = (
        None  # what trio's time zero is in seconds since 1970; None: as the system's clock says
    )
    keep_jobs: int = 5_000
    keep: int = 10_000  # records of each job that can be replayed
    buffer: int = 1_000  # records that a subscriber may be behind, before it is dropped
    limits: Limits = Limits()  # of its HTTP server


class Service:
    """A running service."""

    def __init__(self, producer: Producer, server: Server) -> None:
        self.producer = producer
        self.server = server

    @property
    def address(self) -> Address:
        return self.server.address

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def gauges(self) -> Mapping[str, int]:
        """What must come back to where it was: jobs that run, subscriptions, tasks, connections.

        `tasks` leaves out the one that each connection has; a request that asks for the gauges counts itself.
        """
        jobs = self.producer.nursery
        return {
            "active": self.producer.active,
            "subscribers": self.producer.subscribers,
            "tasks": self.server.tasks + (count_tasks(jobs) if jobs else 0),
            "connections": self.server.connections,
        }


@asynccontextmanager
async def open_service(
    network: Network,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    options: ServiceOptions = ServiceOptions(),
    rng: random.Random | None = None,
    wrap: Callable[[App], App] | None = None,
) -> AsyncIterator[Service]:
    """Run the service while the block runs; leaving it shuts down gracefully.

    Job ids are drawn from `rng` (None: seeded with 0). `wrap` makes another application out of the service's
    own. Raises `OSError` where the address is taken, `ValueError` for a state directory that cannot be read.
    """
    epoch = time.time() - trio.current_time() if options.epoch is None else options.epoch

    def wall_clock() -> float:
        return epoch + trio.current_time()

    producer = Producer(
        rng=rng or random.Random(0),
        wall_clock=wall_clock,
        store=Store(options.state) if options.state else None,
        keep_jobs=options.keep_jobs,
        keep=options.keep,
        buffer=options.buffer,
    )
    routes = Routes(
        producer,
        lambda: service.gauges(),
        heartbeat=options.heartbeat,
        retry=options.retry,
        token=options.token,
        origins=options.origins,
    )
    app = wrap(routes.handle) if wrap else routes.handle
    async with open_background() as nursery:
        await nursery.start(producer.run)
        async with open_server(
            app,
            network,
            host=host,
            port=port,
            grace=options.grace,
            limits=options.limits,
            wall_clock=wall_clock,
        ) as server:
            service = Service(producer, server)
            yield service
            await producer.stop()  # first: streams then still deliver how their jobs ended


async def serve_reference(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    options: ServiceOptions = ServiceOptions(),
    rng: random.Random | None = None,
    wrap: Callable[[App], App] | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the service on sockets until SIGINT or SIGTERM; a second one does not wait for open streams.

    `wrap` makes another application out of its own. `on_ready` is told the URL. Job ids cannot be guessed, unless
    `rng` makes them repeatable.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_background() as nursery:
            ids = rng or random.SystemRandom()
            async with open_service(
                SocketNetwork(), host=host, port=port, options=options, rng=ids, wrap=wrap
            ) as service:
                on_ready(service.url)
                await anext(signals)
                nursery.start_soon(_cancel_at_next, signals, nursery.cancel_scope)
            nursery.cancel_scope.cancel()


async def _cancel_at_next(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
