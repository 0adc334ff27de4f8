"""Puts a link with faults between the subscribers and the server, and writes down what happens on it."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conformance.dialect import Dialect
from conformance.history import Fired, Mark, Recorder, Relayed
from conformance.transport import Route
from conformance.triggers import triggers
from conformance.wire.framing import BodyFinder
from fault_injection import link as engine
from fault_injection.faults import Direction, Plan
from fault_injection.network import Address, Network
from fault_injection.observer import Observer
from fault_injection.proxy import open_proxy
from fault_injection.toxiproxy import open_toxiproxy


@asynccontextmanager
async def open_link(
    network: Network,
    upstream: Address,
    plan: Plan,
    *,
    recorder: Recorder,
    rng: random.Random,
    dialect: Dialect,
    toxiproxy: str | None = None,
) -> AsyncIterator[Route | None]:
    """The way to `upstream` under `plan`: direct (None), through the embedded proxy, or through a real Toxiproxy
    whose API is at the URL `toxiproxy`. Raises `UnsupportedPlan` where Toxiproxy cannot do the plan."""
    if not plan:
        yield None
    elif toxiproxy is not None:
        async with open_toxiproxy(toxiproxy, upstream, plan, rng=rng) as real:
            yield _led_to(real.address, upstream)
    else:
        async with open_proxy(
            network,
            upstream=upstream,
            plan=plan,
            rng=rng,
            triggers=triggers(dialect),
            observer=_Recording(recorder),
        ) as proxy:
            yield _led_to(proxy.address, upstream)


def _led_to(link: Address, upstream: Address) -> Route:
    """The link stands before one server; where redirects lead elsewhere they are followed without it."""
    return lambda host, port: link if (host, port) == upstream else (host, port)


class _Recording(Observer):
    """Writes into the history which faults fired, and when the server's bytes reached the link."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._peers: dict[int, str] = {}
        self._finders: dict[int, BodyFinder] = {}
        self._ends: dict[int, int] = {}

    def accepted(self, connection: int, peer: Address, time: float) -> None:
        self._peers[connection] = _named(peer)
        self._finders[connection] = BodyFinder()
        self._ends[connection] = 0

    def ingress(self, connection: int, direction: Direction, data: bytes, time: float) -> None:
        if direction == "downstream":
            size = sum(len(piece) for _, piece in self._finders[connection].feed(data))
            if size:
                self._ends[connection] += size
                self._recorder.record(
                    Relayed(
                        time=self._recorder.now(), peer=self._peers[connection], end=self._ends[connection]
                    )
                )

    def fired(self, connection: int, fired: engine.Fired) -> None:
        self._write(self._peers[connection], fired)

    def refused(self, attempt: int, peer: Address, fired: engine.Fired) -> None:
        self._write(_named(peer), fired)

    def upstream_unreachable(self, connection: int, error: OSError, time: float) -> None:
        self._recorder.record(
            Mark(
                time=self._recorder.now(),
                what="server unreachable",
                detail=f"the link could not connect: {error}",
            )
        )

    def _write(self, peer: str, fired: engine.Fired) -> None:
        self._recorder.record(
            Fired(
                time=self._recorder.now(),
                fault=fired.fault,
                index=fired.fault_index,
                peer=peer,
                detail=fired.detail,
            )
        )


def _named(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
