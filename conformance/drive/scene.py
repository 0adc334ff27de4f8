"""Drives one scenario once: its link, its stage, its history."""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import trio

from conformance import __version__
from conformance.config import Config, stream_path
from conformance.dialect import Dialect, effective_dialect
from conformance.drive.census import Counted, Household, look_at_tasks, look_back
from conformance.drive.links import open_link
from conformance.drive.own_memory import resident
from conformance.drive.scenario import Scenario
from conformance.drive.server_process import ServerError
from conformance.drive.stage import Restartable, Skipped, Stage, Unreached
from conformance.drive.stalls import watching_for_stalls
from conformance.drive.staying_up import Lookout, key_of
from conformance.errors import described, first_of
from conformance.history import (
    Began,
    Concluded,
    History,
    Mark,
    Recorder,
    StatusTerms,
    Terms,
    history,
)
from conformance.transport import address_of
from fault_injection.faults import AtTrigger, Buffer, Latency, Plan, SlowClose
from fault_injection.network import Address, Network
from fault_injection.toxiproxy import ToxiproxyError, unsupported

_OVERHEAD = 10.0  # seconds beyond what a scenario's own waits add up to
_CYCLE = 1.0  # seconds that a cycle of a storm may take
_OF_A_CROWD = 0.02  # seconds that each of its streams may take of this process's time
_SHUTDOWN = 60.0  # seconds that an application in this process may take to shut down
_IN_THIS_ONE = "needs a server in a process of its own, and the application runs in this one (--app)"
_OUT_OF_REACH = "Toxiproxy reaches no application in virtual time; --real-time serves it on sockets"


@dataclass(frozen=True)
class Setting:
    """What all scenarios of a run share.

    `duration`: seconds for which an endless stream is watched. `wall`: seconds since the epoch, now.
    `histories`: the folder for the histories, or None to keep them in memory. `pid`: the process of a server that
    runs already on this machine. `serve`: where each drive has a target of its own in this process, what serves it
    meanwhile and records what it leaves behind. `household`: what this process held before.
    """

    network: Network
    config: Config
    origin: str
    seed: int
    duration: float
    declared: frozenset[str]
    secrets: frozenset[str] = frozenset()
    toxiproxy: str | None = None
    verify: bool = True
    clock: Literal["real", "virtual"] = "real"
    wall: Callable[[], float] = lambda: 0.0
    histories: Path | None = None
    server: Restartable | None = None
    pid: int | None = None
    serve: Callable[[Recorder], AbstractAsyncContextManager[None]] | None = None
    household: Household | None = None

    @property
    def target(self) -> str:
        """What the subject is called in histories and reports: the address of its stream, without the query."""
        return self.origin + stream_path(self.config.target).partition("?")[0]

    @property
    def upstream(self) -> Address:
        """The server's address."""
        return address_of(self.origin)


async def play(
    setting: Setting,
    scenario: Scenario,
    *,
    take: int = 1,
    keep: Callable[[History], None] = lambda _: None,
    file: Path | None = None,
) -> History:
    """Drive a scenario and give its history. `take` counts the times it is driven in one run.

    Whatever the target does ends up in the history; a failure of the harness too, as its conclusion. `keep`
    gets the history also when driving is cancelled. `file` is where it is written, if not into the folder of
    the setting.
    """
    terms = Terms(
        dialect=effective_dialect(setting.config.dialect),
        expect=setting.config.expect,
        limits=setting.config.limits,
        status=StatusTerms.of(setting.config.target.status),
        declared=tuple(sorted(setting.declared)),
    )
    recorder = Recorder(
        Began(
            harness=__version__,
            at=setting.wall(),
            clock=setting.clock,
            target=setting.target,
            scenario=scenario.name,
            seed=setting.seed,
            plan=scenario.plan,
            link="none" if not scenario.plan else "toxiproxy" if setting.toxiproxy else "proxy",
            terms=terms,
        ),
        zero=trio.current_time(),
        file=_file(file or (setting.histories and setting.histories / file_name(scenario.name, take))),
        secrets=setting.secrets,
    )
    concluded = Concluded(outcome="interrupted", reason="the run was interrupted")
    try:
        key = key_of(setting.server, setting.pid)
        with setting.household.driving(scenario.name, key) if setting.household else nullcontext():
            concluded = await _driven(setting, scenario, recorder, terms.dialect, take)
    finally:
        recorder.conclude(concluded)
        played = history(recorder.records)
        keep(played)
    return played


async def _driven(
    setting: Setting, scenario: Scenario, recorder: Recorder, dialect: Dialect, take: int
) -> Concluded:
    if missing := [key for key in scenario.needs if key not in setting.declared]:
        if setting.serve and "target.command" in missing:
            return Concluded(outcome="skipped", reason=_IN_THIS_ONE)
        return Concluded(outcome="skipped", reason=f"needs {' and '.join(missing)} in the configuration")
    if setting.toxiproxy and scenario.plan and setting.clock == "virtual":
        return Concluded(outcome="skipped", reason=_OUT_OF_REACH)
    if setting.toxiproxy and scenario.plan and (reason := unsupported(scenario.plan)):
        return Concluded(outcome="skipped", reason=reason)
    if setting.origin.startswith("https:") and (reason := _blinded(scenario.plan)):
        return Concluded(outcome="skipped", reason=reason)
    if scenario.exclusive and setting.server is not None and setting.server.ended is not None:
        await _bring_back(recorder, setting.server)
    lookout = Lookout(recorder, setting.server, setting.pid)
    lookout.before()
    rng = random.Random(f"{setting.seed} {scenario.name} {take}")
    network = Counted(setting.network)
    allowance = _allowance(scenario.plan)
    most = _most(setting, allowance)
    concluded = Concluded()
    with trio.move_on_after(most) as scope:
        try:
            async with (
                setting.serve(recorder) if setting.serve else nullcontext(),
                open_link(
                    network,
                    setting.upstream,
                    scenario.plan,
                    recorder=recorder,
                    rng=rng,
                    dialect=dialect,
                    toxiproxy=setting.toxiproxy,
                ) as route,
                watching_for_stalls(recorder) if setting.clock == "real" else nullcontext(),
                trio.open_nursery() as nursery,
            ):
                await scenario.drive(
                    Stage(
                        network=network,
                        config=setting.config,
                        dialect=dialect,
                        recorder=recorder,
                        nursery=nursery,
                        origin=setting.origin,
                        watch=setting.duration,
                        allowance=allowance,
                        held_back=any(isinstance(fault, Buffer) for fault in scenario.plan.faults),
                        route=route,
                        server=setting.server,
                        pid=setting.pid,
                        ours=setting.server is not None or setting.serve is not None,
                        scales=resident if setting.clock == "real" else None,
                        verify=setting.verify,
                        secrets=setting.secrets,
                    )
                )
                await look_at_tasks(recorder, nursery)
                nursery.cancel_scope.cancel()
        except* Skipped as skipped:
            concluded = Concluded(outcome="skipped", reason=str(first_of(skipped)))
        except* (Unreached, ServerError, ToxiproxyError) as unreached:
            concluded = Concluded(outcome="unreached", reason=str(first_of(unreached)))
        except* Exception as failed:  # noqa: BLE001  (it is said in the results, as an error of ours)
            concluded = Concluded(outcome="failed", reason=f"the harness failed: {described(failed)}")
    if scope.cancelled_caught:
        return Concluded(outcome="failed", reason=f"the scenario did not end within {most:g} s")
    await lookout.after(setting.household)
    await look_back(recorder, network, setting.household)
    return concluded


async def _bring_back(recorder: Recorder, server: Restartable) -> None:
    """Start a server again that ended by itself before: what it did then was told there."""
    with suppress(ServerError):  # then nobody answers, which is what the record shows
        await server.start()
        recorder.record(
            Mark(time=recorder.now(), what="server started again", detail="it had ended by itself")
        )


def _blinded(plan: Plan) -> str:
    """Why a link that carries TLS cannot do the plan; "" where it can."""
    if any(isinstance(getattr(fault, "when", None), AtTrigger) for fault in plan.faults):
        return "the stream is encrypted, so the link cannot see the event at which the fault shall happen"
    if any(isinstance(fault, Buffer) for fault in plan.faults):
        return "the stream is encrypted, and a link that holds bytes back would hold back the TLS handshake"
    return ""


def _allowance(plan: Plan) -> float:
    """How much later things may come because of the faults, in seconds."""
    return sum(
        fault.delay + getattr(fault, "jitter", 0.0)
        for fault in plan.faults
        if isinstance(fault, Latency | SlowClose)
    )


def _most(setting: Setting, allowance: float) -> float:
    """The longest that any scenario may take, in seconds. None waits for more than five streams in a row: one that
    is read to its end, and two subscribers of it who come back, for one more time than fits the limit."""
    limits = setting.config.limits
    one = max(limits.completion, setting.duration) + limits.head + limits.close + allowance
    shutdown = limits.shutdown + (_SHUTDOWN + limits.completion + limits.close if setting.serve else 0.0)
    many = _CYCLE * (limits.cycles or 0) + _OF_A_CROWD * (limits.crowd or 0)
    return 5 * one + shutdown + many + _OVERHEAD


def _file(path: Path | None) -> BinaryIO | None:
    return None if path is None else path.open("wb", buffering=0)


def file_name(scenario: str, take: int = 1) -> str:
    """The name of a history's file."""
    return f"{scenario}.jsonl" if take == 1 else f"{scenario}-{take}.jsonl"
