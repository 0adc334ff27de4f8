"""The embedded proxy: a faulty link between subscribers and one server, on any `Network`.

`Refuse`: what is refused cannot be seen without accepting it, so the first attempt is accepted and reset at
once; from then on the listener is closed, so that attempts meet `ConnectionRefusedError`, until the duration is
over. Where only the first n attempts are refused each of them is counted, and therefore accepted and reset.
"""

import errno
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from fault_injection.direct import DirectPump
from fault_injection.faults import Plan
from fault_injection.link import Fired, Link, refusal
from fault_injection.network import Address, Connection, Listener, Network
from fault_injection.observer import HowClosed, Observer
from fault_injection.pump import Pump
from fault_injection.triggers import Triggers, check_triggers

_LOOPBACK: Address = ("127.0.0.1", 0)
_NO_PLAN = Plan()
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_EXHAUSTED_PAUSE = 0.1  # seconds until accepting is tried again


class Proxy:
    """A running proxy. `address` is where it listens; `connections` how many it has let in."""

    def __init__(
        self,
        network: Network,
        listener: Listener,
        *,
        upstream: Address,
        plan: Plan,
        rng: random.Random,
        triggers: Triggers,
        observer: Observer,
    ) -> None:
        self.address = listener.address
        self.connections = 0
        self._network = network
        self._listener = listener
        self._upstream = upstream
        self._plan = plan
        self._rng = rng
        self._triggers = triggers
        self._observer = observer

    async def run(self) -> None:
        """Serve until cancelled; closes everything it opened."""
        try:
            async with trio.open_nursery() as nursery:
                await self._accept(nursery)
        finally:
            await trio.aclose_forcefully(self._listener)

    async def _accept(self, nursery: trio.Nursery) -> None:
        attempt = 0
        first: float | None = None
        while True:
            try:
                subscriber = await self._listener.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                await trio.sleep(
                    _EXHAUSTED_PAUSE
                )  # as `trio.serve_listeners` does: others may give some back
                continue
            now = trio.current_time()
            first = now if first is None else first
            refused = refusal(self._plan, now - first, attempt)
            if refused is None:
                rng = random.Random(self._rng.getrandbits(64))  # drawn here, in the order of arrival
                nursery.start_soon(self._serve, subscriber, self.connections, rng, now)
                self.connections += 1
            else:
                index, fault = refused
                subscriber.reset()
                self._observer.refused(
                    attempt, subscriber.peer, Fired(index, fault, now, "connection refused")
                )
                if fault.connections is None:
                    await self._be_down(None if fault.duration is None else first + fault.duration)
            attempt += 1

    async def _be_down(self, until: float | None) -> None:
        self._listener.pause()
        if until is None:
            await trio.sleep_forever()
        else:
            await trio.sleep_until(until)
        self._listener.resume()

    async def _serve(self, subscriber: Connection, connection: int, rng: random.Random, now: float) -> None:
        how: HowClosed = "cancelled"
        server: Connection | None = None
        pump: Pump | DirectPump | None = None
        try:
            self._observer.accepted(connection, subscriber.peer, now)
            link = Link(self._plan, connection=connection, rng=rng, now=now, triggers=self._triggers)
            try:
                server = await self._network.connect(*self._upstream)
            except OSError as error:
                subscriber.reset()
                how = "rst"
                self._observer.upstream_unreachable(connection, error, trio.current_time())
                return
            self._observer.forwarded(connection, server.local, trio.current_time())
            tell = subscriber.watch(None) and server.watch(None)
            pump = (DirectPump if tell else Pump)(
                link, subscriber=subscriber, server=server, connection=connection, observer=self._observer
            )
            await pump.run()
        finally:
            subscriber.close_now()
            if server is not None:
                server.close_now()
            self._observer.closed(connection, trio.current_time(), how if pump is None else pump.how)


async def serve_proxy(
    network: Network,
    *,
    upstream: Address,
    rng: random.Random,
    plan: Plan = _NO_PLAN,
    triggers: Triggers | None = None,
    listen: Address = _LOOPBACK,
    observer: Observer | None = None,
    task_status: trio.TaskStatus[Proxy] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a proxy until cancelled; `nursery.start` gives the `Proxy` once it listens.

    Every connection to it is forwarded to `upstream`, under `plan`. It listens on loopback unless `listen` says
    otherwise; port 0 takes a free one. Raises `OSError` if it cannot listen, and what `check_triggers` raises.
    """
    proxy = await _listen(network, upstream, rng, plan, triggers, listen, observer)
    task_status.started(proxy)
    await proxy.run()


@asynccontextmanager
async def open_proxy(
    network: Network,
    *,
    upstream: Address,
    rng: random.Random,
    plan: Plan = _NO_PLAN,
    triggers: Triggers | None = None,
    listen: Address = _LOOPBACK,
    observer: Observer | None = None,
) -> AsyncIterator[Proxy]:
    """A proxy for as long as the body runs (see `serve_proxy`); what the body raises comes out as it is."""
    proxy = await _listen(network, upstream, rng, plan, triggers, listen, observer)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy.run)
            try:
                yield proxy
            except BaseException as error:
                failure = error
                raise
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if failure is not None and group.exceptions == (failure,):
            raise failure from failure.__cause__
        raise


async def _listen(
    network: Network,
    upstream: Address,
    rng: random.Random,
    plan: Plan,
    triggers: Triggers | None,
    listen: Address,
    observer: Observer | None,
) -> Proxy:
    known = triggers or {}
    check_triggers(plan, known)
    listener = await network.listen(*listen)
    return Proxy(
        network,
        listener,
        upstream=upstream,
        plan=plan,
        rng=rng,
        triggers=known,
        observer=observer or Observer(),
    )
