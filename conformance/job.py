"""The main job from one end to the other: a configuration in, a run out."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import trio

from conformance import __version__
from conformance.config import Config, Loaded, stream_path
from conformance.drive.scene import Setting
from conformance.drive.server_process import ServerError
from conformance.drive.stage import Unreached
from conformance.drive.target import TargetError, ready
from conformance.errors import first_of
from conformance.history.redact import Redaction
from conformance.in_process import InProcess
from conformance.judging import held
from conformance.outcome import Run
from conformance.rules import Rule
from conformance.run import Told, run
from conformance.scenarios import Scenario
from fault_injection.network import SocketNetwork
from fault_injection.virtual import VirtualNetwork
from reports.results import Results, summarise


@dataclass(frozen=True)
class Job:
    """What is to be done. `duration`: seconds for which an endless stream is watched. `folder` is where the
    histories and what the server prints are kept. `app`: an application in this process is driven, in the place of
    what the configuration has as a server."""

    loaded: Loaded
    scenarios: tuple[Scenario, ...]
    rules: tuple[Rule, ...]
    folder: Path
    histories: Path
    seed: int = 0
    duration: float = 30.0
    toxiproxy: str | None = None
    verify: bool = True
    app: InProcess | None = None


def perform(job: Job, main: Callable[[Job], Awaitable[Run]] | None = None) -> Run:
    """Run `main` (`do`), which does the job, on the clock that the job takes."""
    main, started = main or do, time.time()
    if job.app is None:
        return trio.run(main, job)
    ran = job.app.main(job.seed, partial(main, job))
    at = datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
    return replace(ran, results=msgspec.structs.replace(ran.results, started=at))


async def do(job: Job, *, told: Told = lambda _what, _name: None, stop: trio.Event | None = None) -> Run:
    """Start the target if it has a command, drive, judge, stop it. A target that cannot be reached makes results
    that say so; nothing that a target does raises. For an application in this process see `perform`."""
    if job.app is not None:
        return await _in_process(job, job.app, told, stop)
    config = job.loaded.config
    unreached = ""
    beside = partial(_made_ready, job)
    try:
        async with beside(1) as setting:
            return await run(
                setting,
                job.scenarios,
                job.rules,
                told=told,
                stop=stop,
                beside=beside,
                instances=config.target.instances,
            )
    except* (TargetError, ServerError) as group:
        unreached = str(first_of(group))
    return _unreached(job, (config.target.url or job.loaded.source).partition("?")[0], unreached)


@asynccontextmanager
async def _made_ready(job: Job, number: int) -> AsyncIterator[Setting]:
    """The target, started if it has a command, and the setting that drives it. `number`: the first server that the
    command starts, or a further one."""
    network, config = SocketNetwork(), job.loaded.config
    log = job.folder / ("server.log" if number == 1 else f"server-{number}.log")
    async with ready(config, network, log=log, verify=job.verify, folder=job.loaded.folder) as target:
        yield Setting(
            network=network,
            config=config,
            origin=target.origin,
            seed=job.seed,
            duration=job.duration,
            declared=held(config),
            secrets=job.loaded.secrets,
            toxiproxy=job.toxiproxy,
            verify=job.verify,
            wall=time.time,
            histories=job.histories,
            server=target.server,
            pid=config.target.pid,
        )


async def _in_process(job: Job, app: InProcess, told: Told, stop: trio.Event | None) -> Run:
    """A fresh application for each scenario, one after the other."""
    network = SocketNetwork() if app.real_time else VirtualNetwork()
    config = _without_server(job.loaded.config)
    host, port = address = await app.address(network)
    try:
        await app.check(network, address)
    except Unreached as error:
        return _unreached(job, app.name, str(error))
    setting = Setting(
        network=network,
        config=config,
        origin=f"http://{host}:{port}",
        seed=job.seed,
        duration=job.duration,
        declared=held(config),
        secrets=job.loaded.secrets,
        toxiproxy=job.toxiproxy,
        clock="real" if app.real_time else "virtual",
        wall=app.wall,
        histories=job.histories,
        serve=partial(app.serve, network, address, config.limits),
    )
    alone = [replace(scenario, exclusive=True) for scenario in job.scenarios]
    ran = await run(setting, alone, job.rules, told=told, stop=stop)
    path = setting.target.removeprefix(setting.origin)
    results = msgspec.structs.replace(ran.results, target=f"{app.name} {path}", how=app.how)
    return replace(ran, results=results)


def _without_server(config: Config) -> Config:
    """The same requests, with nothing of a server that could be started or reached."""
    target = config.target
    stream = msgspec.structs.replace(target.stream, path=stream_path(target))
    target = msgspec.structs.replace(target, url=None, command=None, stream=stream)
    return msgspec.structs.replace(config, target=target)


def _unreached(job: Job, target: str, reason: str) -> Run:
    without = Redaction(job.loaded.secrets)  # a server that fails may have printed them
    results = Results(
        target=without.url(target),
        seed=job.seed,
        how=job.app.how if job.app else "",
        version=__version__,
        unreached=without.text(reason),
        summary=summarise(()),
    )
    return Run({}, results, {})
