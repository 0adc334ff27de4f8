"""What a specimen is: a server that is wrong in one point, and where that shows."""

import random
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import msgspec
import trio

from conformance.config import Config, load_config
from conformance.drive.scenario import Scenario
from conformance.drive.scene import Setting, play
from conformance.history import History
from conformance.judging import held
from conformance.reference.app import App
from conformance.reference.service import ServiceOptions, open_service
from conformance.scenarios import SCENARIOS
from fault_injection.network import Network

Wrap: TypeAlias = Callable[[App], App]

WALL = 1_700_000_000.0
"""Seconds since 1970 at trio's time 0: specimens live in a time of their own."""


def _same(app: App) -> App:
    return app


@dataclass(frozen=True)
class Specimen:
    """A server that is wrong on purpose, made from the reference.

    `breaks` are the rules that must catch it, in the history of `scenario`. `wrap` makes it out of the
    reference's application; `options` are the service's. `configure` changes the configuration that it is
    judged by, where the reference's own does not show the flaw. One that does not `remember` has no jobs left
    after a restart.
    """

    name: str
    summary: str
    breaks: tuple[str, ...]
    scenario: str
    wrap: Wrap = _same
    options: ServiceOptions = ServiceOptions()
    configure: Callable[[Config], Config] = lambda config: config
    remembers: bool = True


REFERENCE = Specimen("reference", "The reference service, correct.", (), "subscribe")


@cache
def reference_config() -> Config:
    """The configuration of the reference service, from its own file."""
    with resources.as_file(resources.files("conformance.reference") / "sse-conformance.toml") as path:
        return load_config(path, environ={}).config


def scenario_named(name: str) -> Scenario:
    """The scenario of this name. Raises `KeyError`."""
    return {scenario.name: scenario for scenario in SCENARIOS}[name]


async def examine(
    specimen: Specimen,
    network: Network,
    *,
    scenario: str | None = None,
    seed: int = 0,
    virtual: bool = True,
) -> History:
    """Serve the specimen on the network, drive a scenario (its own, unless told otherwise), give the history."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = _InProcess(specimen, network, folder, seed)
        await stack.enter_async_context(server.running())
        config = specimen.configure(reference_config())
        setting = Setting(
            network=network,
            config=config,
            origin=f"http://127.0.0.1:{server.port}",
            seed=seed,
            duration=5.0,
            declared=held(config) | {"target.command"},
            clock="virtual" if virtual else "real",
            wall=lambda: WALL + trio.current_time(),
            server=server,
        )
        return await play(setting, scenario_named(scenario or specimen.scenario))


class _InProcess:
    """A service that can be killed and started again at its address, like a process."""

    def __init__(self, specimen: Specimen, network: Network, folder: Path, seed: int) -> None:
        self.port = 0
        self._specimen = specimen
        self._network = network
        self._seed = seed
        self._options = msgspec.structs.replace(
            specimen.options,
            epoch=WALL if specimen.options.epoch is None else specimen.options.epoch,
            state=folder if specimen.remembers else None,
        )
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as self._nursery:
            await self.start()
            yield
            await self.kill()

    async def start(self) -> None:
        assert self._nursery is not None
        self._over = trio.Event()
        await self._nursery.start(self._live)

    async def kill(self) -> None:
        self._scope.cancel()
        await self._over.wait()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._scope:
            async with open_service(
                self._network,
                port=self.port,
                options=self._options,
                rng=random.Random(self._seed),
                wrap=self._specimen.wrap,
            ) as service:
                self.port = service.address[1]
                task_status.started()
                await trio.sleep_forever()
        self._over.set()
