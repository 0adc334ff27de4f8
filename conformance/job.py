"""The main job from one end to the other: a configuration in, a run out."""

import time
from dataclasses import dataclass
from pathlib import Path

import trio

from conformance import __version__
from conformance.config import Loaded
from conformance.drive.outcome import first_of
from conformance.drive.scene import Setting
from conformance.drive.server_process import ServerError
from conformance.drive.target import TargetError, ready
from conformance.history.redact import Redaction
from conformance.judging import held
from conformance.outcome import Run
from conformance.rules import Rule
from conformance.run import Told, run
from conformance.scenarios import Scenario
from fault_injection.network import SocketNetwork
from reports.results import Results, summarise


@dataclass(frozen=True)
class Job:
    """What is to be done. `duration`: seconds for which an endless stream is watched. `folder` is where the
    histories and what the server prints are kept."""

    loaded: Loaded
    scenarios: tuple[Scenario, ...]
    rules: tuple[Rule, ...]
    folder: Path
    histories: Path
    seed: int = 0
    duration: float = 30.0
    toxiproxy: str | None = None
    verify: bool = True


async def do(job: Job, *, told: Told = lambda _what, _name: None, stop: trio.Event | None = None) -> Run:
    """Start the target if it has a command, drive, judge, stop it. A target that cannot be reached makes results
    that say so; nothing that a target does raises."""
    network, config = SocketNetwork(), job.loaded.config
    unreached = ""
    try:
        log = job.folder / "server.log"
        async with ready(config, network, log=log, verify=job.verify, folder=job.loaded.folder) as target:
            setting = Setting(
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
            )
            return await run(setting, job.scenarios, job.rules, told=told, stop=stop)
    except* (TargetError, ServerError) as group:
        unreached = str(first_of(group))
    without = Redaction(job.loaded.secrets)  # a server that fails may have printed them
    results = Results(
        target=without.url((config.target.url or job.loaded.source).partition("?")[0]),
        seed=job.seed,
        version=__version__,
        unreached=without.text(unreached),
        summary=summarise(()),
    )
    return Run({}, results, {})
