"""An HTTP/1.1 server that writes exactly what it is told, when it is told.

Flush boundaries are what is tested here, so the server owns its writes: every `Responder.send` is one HTTP
chunk and one `send_all`. The protocol itself is h11's (RFC 9112); a connection is in `connection.py`.
"""

import errno
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from conformance.reference.app import App
from conformance.reference.background import open_background
from conformance.reference.connection import Limits, ServerConnection, Shared
from fault_injection.network import Address, Connection, Listener, Network

_logger = logging.getLogger(__name__)
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}  # others may give some back
_EXHAUSTED_PAUSE = 0.1  # seconds


class Server:
    """Serves `app` on `listener` until `close` is called, then shuts down gracefully.

    `grace` is how many seconds open responses get to end after `close`; then they are cancelled and their
    connections reset. `wall_clock` gives seconds since the epoch for the `Date` header (RFC 9110, section
    6.6.1); without it, none is sent, so that in virtual time a run can be repeated byte for byte.
    """

    def __init__(
        self,
        app: App,
        listener: Listener,
        *,
        grace: float = 5.0,
        limits: Limits | None = None,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        self.address: Address = listener.address
        self.connections = 0
        self._listener = listener
        self._grace = grace
        self._shared = Shared(app=app, limits=limits or Limits(), wall_clock=wall_clock)
        self._handlers: trio.Nursery | None = None
        self._accepting = trio.CancelScope()

    def close(self) -> None:
        """Begin the shutdown: refuse new connections, close idle ones, ask streams to end."""
        self._shared.closing.set()
        self._accepting.cancel()
        for waiting in self._shared.idle:
            waiting.cancel()

    @property
    def tasks(self) -> int:
        """How many tasks serve requests at this moment, not counting the one that each connection has."""
        return count_tasks(self._handlers) - self.connections if self._handlers else 0

    async def run(self) -> None:
        """Serve; returns after the shutdown, when no connection is left."""
        async with trio.open_nursery() as handlers:
            self._handlers = handlers
            with self._accepting:
                await self._accept(handlers)
            handlers.cancel_scope.deadline = trio.current_time() + self._grace

    async def _accept(self, handlers: trio.Nursery) -> None:
        async with self._listener:
            while True:
                try:
                    stream = await self._listener.accept()
                except OSError as error:
                    if error.errno not in _EXHAUSTED:
                        raise
                    _logger.error("cannot accept: %s; trying again", error.strerror)
                    await trio.sleep(_EXHAUSTED_PAUSE)
                else:
                    handlers.start_soon(self._handle, stream)

    async def _handle(self, stream: Connection) -> None:
        self.connections += 1
        try:
            await ServerConnection(stream, self._shared).run()
        finally:
            self.connections -= 1


async def serve(
    app: App,
    listener: Listener,
    *,
    grace: float = 5.0,
    limits: Limits | None = None,
    wall_clock: Callable[[], float] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `listener`; see `Server` for the parameters.

    `server = await nursery.start(serve, app, listener)`, and later `server.close()`.
    """
    server = Server(app, listener, grace=grace, limits=limits, wall_clock=wall_clock)
    task_status.started(server)
    await server.run()


@asynccontextmanager
async def open_server(
    app: App,
    network: Network,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    grace: float = 5.0,
    limits: Limits | None = None,
    wall_clock: Callable[[], float] | None = None,
) -> AsyncIterator[Server]:
    """Serve `app` while the block runs; leaving it shuts down gracefully.

    Raises `OSError` where the address is taken.
    """
    listener = await network.listen(host, port)
    server = Server(app, listener, grace=grace, limits=limits, wall_clock=wall_clock)
    async with open_background() as nursery:
        nursery.start_soon(server.run)
        yield server
        server.close()


def count_tasks(nursery: trio.Nursery) -> int:
    """The tasks that live in this nursery, those of nested nurseries included."""
    return sum(1 + sum(map(count_tasks, task.child_nurseries)) for task in nursery.child_tasks)
