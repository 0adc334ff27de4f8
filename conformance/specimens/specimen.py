"""What a specimen is: a server that is wrong in one point, and where that shows."""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import msgspec
import trio

from conformance.config import Config, load_config
from conformance.drive.scenario import Drive, Scenario
from conformance.drive.scene import Setting, play
from conformance.drive.target import ready
from conformance.history import History
from conformance.judging import held
from conformance.reference.app import App
from conformance.reference.service import ServiceOptions
from conformance.scenarios import SCENARIOS
from conformance.specimens.clock import WALL
from conformance.specimens.program import GRACEFUL, InProcess, Manner
from fault_injection.network import Network, SocketNetwork

Wrap: TypeAlias = Callable[[App], App]


def _same(app: App) -> App:
    return app


@dataclass(frozen=True)
class Specimen:
    """A server that is wrong on purpose, made from the reference.

    `breaks` are the rules that must catch it, in the history of `scenario`. `wrap` makes it out of the
    reference's application; `options` are the service's. `configure` changes the configuration that it is
    judged by, where the reference's own does not show the flaw. One that does not `remember` has no jobs left
    after a restart. `manner`: how it ends when it is asked to. `process`: its flaw is to be seen only where it runs
    in a process of its own (`examine_process`). `implies` are further rules that the same flaw breaks, in whatever
    scenario: no other MUST may be broken by it (see `conformance.matrix`). `misdrive`: the server
    is right, and this is wrong with the harness.
    """

    name: str
    summary: str
    breaks: tuple[str, ...]
    scenario: str
    wrap: Wrap = _same
    options: ServiceOptions = ServiceOptions()
    configure: Callable[[Config], Config] = lambda config: config
    remembers: bool = True
    manner: Manner = GRACEFUL
    process: bool = False
    implies: tuple[str, ...] = ()
    misdrive: Callable[[Drive], Drive] = lambda drive: drive


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
        epoch = WALL if specimen.options.epoch is None else specimen.options.epoch
        state = folder if specimen.remembers else None
        server = InProcess(
            network,
            options=msgspec.structs.replace(specimen.options, epoch=epoch, state=state),
            wrap=specimen.wrap,
            manner=specimen.manner,
            seed=seed,
        )
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
        driven = scenario_named(scenario or specimen.scenario)
        return await play(setting, replace(driven, drive=specimen.misdrive(driven.drive)))


async def examine_process(specimen: Specimen, *, scenario: str | None = None, seed: int = 0) -> History:
    """Serve the specimen in a process of its own (`sse-conformance serve --specimen`), on sockets and in real time;
    drive a scenario, and give the history. Raises `ServerError` where it does not start."""
    with tempfile.TemporaryDirectory() as name:
        folder, config = Path(name), specimen.configure(reference_config())
        serve = (sys.executable, "-m", "conformance", "serve", "--port", "{port}")
        state = ["--state", str(folder / "jobs")] if specimen.remembers else []
        command = (*serve, "--specimen", specimen.name, *state)
        target = msgspec.structs.replace(config.target, url=None, command=command)
        config = msgspec.structs.replace(config, target=target)
        network = SocketNetwork()
        async with ready(config, network, log=folder / "server.log") as reached:
            assert reached.server is not None
            setting = Setting(
                network=network,
                config=config,
                origin=reached.origin,
                seed=seed,
                duration=5.0,
                declared=held(config),
                wall=time.time,
                server=reached.server,
            )
            try:
                return await play(setting, scenario_named(scenario or specimen.scenario))
            finally:
                with trio.CancelScope(shield=True):
                    await reached.server.kill()  # a specimen may not end otherwise
