"""Plays one schedule against a subject in virtual time, and judges what happened."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import msgspec
import trio

from conformance.config import Config
from conformance.determinism import seeded, virtual_clock
from conformance.drive.scene import Setting, play
from conformance.explore.rules import EXPLORED
from conformance.explore.schedule import Schedule
from conformance.explore.subjects import Subject
from conformance.explore.visits import scenario
from conformance.history import Concluded, History, Record, history
from conformance.judging import held, judge, on_assumed_terms
from conformance.rules import Rule
from conformance.rules.completion_fate import answer_of
from conformance.rules.resource import ERROR
from fault_injection.virtual import VirtualNetwork
from reports.results import Case, Verdict

_WALL = 1_700_000_000.0  # seconds since 1970 at the beginning of every schedule
_PATIENCE = 60.0  # seconds of virtual time
_WATCH = 120.0  # seconds of virtual time for a stream whose completion is not known


@dataclass(frozen=True)
class Exploration:
    """What is explored, and on which terms. `strict`: a broken SHOULD counts as a broken MUST."""

    subject: Subject
    config: Config
    rules: tuple[Rule, ...] = EXPLORED
    seed: int = 0
    subscribers: tuple[str, ...] = ("a", "b")
    secrets: frozenset[str] = frozenset()
    strict: bool = False

    @cached_property
    def patient(self) -> Config:
        """The configuration by which it is driven: with limits that no schedule reaches."""
        return _patient(self.config)

    @cached_property
    def declared(self) -> frozenset[str]:
        """The keys that rules can build on."""
        return held(self.config)

    @property
    def coming(self) -> tuple[str, ...]:
        """The subscribers that come: only the first one where a stream is not shared."""
        return self.subscribers if self.config.expect.shared else self.subscribers[:1]

    @property
    def apart(self) -> bool:
        """Whether other work can be told from the first: it has a name, or each request for a stream begins its own."""
        target, expect = self.config.target, self.config.expect
        if target.start is not None:
            return bool(target.start.capture)
        return target.status is None and not expect.shared and not expect.superseding


@dataclass(frozen=True)
class Played:
    """A schedule, the history that it gave, and what the rules said of it. `strict`: see `Exploration`."""

    schedule: Schedule
    history: History
    cases: tuple[Case, ...]
    strict: bool = False

    @property
    def broken(self) -> tuple[Case, ...]:
        """The cases for which one searches."""
        bad = {Verdict.FAIL, Verdict.ERROR, *({Verdict.WARN} if self.strict else ())}
        return tuple(case for case in self.cases if case.verdict in bad)

    @property
    def warned(self) -> tuple[Case, ...]:
        """The cases of a broken SHOULD."""
        return tuple(case for case in self.cases if case.verdict is Verdict.WARN)


def play_schedule(exploration: Exploration, schedule: Schedule) -> Played:
    """Run the subject through a schedule. The same schedule gives the same history, byte for byte."""
    with seeded(exploration.seed + schedule.order):
        recorded = trio.run(_run, exploration, schedule, clock=virtual_clock())
    return _judged(exploration, schedule, recorded)


def played_elsewhere(exploration: Exploration, schedule: Schedule, content: bytes) -> Played:
    """What another process has played: `content` is its history (see `history_bytes`)."""
    decoder = msgspec.json.Decoder(Record)
    return _judged(exploration, schedule, history(map(decoder.decode, content.splitlines())))


def _judged(exploration: Exploration, schedule: Schedule, recorded: History) -> Played:
    (settled,) = on_assumed_terms({"": recorded}).values()
    cases = judge(settled, exploration.rules, anywhere=True)
    return Played(schedule, recorded, tuple(cases), exploration.strict)


def undriven(plain: Played) -> str:
    """Why nothing can be explored, by the schedule in which nothing was chosen; "" where there is nothing in the way.

    What gives no event stream breaks no rule of one, in no schedule: that must not pass.
    """
    errors = [mark.detail for mark in plain.history.marked(ERROR)]
    for error in errors:
        if "--app-loop" in error:
            return f"the application needs another event loop: {error}"
    concluded = plain.history.concluded
    if concluded is None or concluded.outcome != "done":
        reason = concluded.reason if concluded is not None else "the record stops"
        return f"the application cannot be driven even without any disturbance: {reason}"
    streams = plain.history.streams
    if any(stream.is_event_stream for stream in streams):
        return ""
    answers = dict.fromkeys(map(answer_of, streams))
    where = streams[0].requested.url if streams else plain.history.began.target
    raised = f"; in the application: {errors[0]}" if errors else ""
    return f"no event stream at {where}: it answered with {', '.join(answers)}{raised}"


def history_bytes(played: Played) -> bytes:
    """The history as it would stand in a file."""
    encode = msgspec.json.encode
    return b"".join(encode(record) + b"\n" for record in played.history.records)


def digest(played: Played) -> str:
    """SHA-256 of the history, in hexadecimal."""
    return hashlib.sha256(history_bytes(played)).hexdigest()


def _patient(config: Config) -> Config:
    """Schedules hold things up on purpose, and waiting is free: no limit shall be what breaks. A head is waited for as
    long as a completion, and for long after nothing is held up any more: who has none by then hears of none."""
    limits = config.limits
    completion = max(limits.completion, 4 * _PATIENCE)
    patient = msgspec.structs.replace(
        limits,
        head=max(limits.head, completion),
        first_event=max(limits.first_event, _PATIENCE),
        close=max(limits.close, _PATIENCE),
        completion=completion,
        cancellation=max(limits.cancellation, _PATIENCE),
    )
    return msgspec.structs.replace(config, limits=patient)


async def _run(exploration: Exploration, schedule: Schedule) -> History:
    network, config = VirtualNetwork(), exploration.patient
    async with exploration.subject(network, schedule.moments) as running:
        host, port = running.address
        setting = Setting(
            network=network,
            config=config,
            origin=f"http://{host}:{port}",
            seed=exploration.seed,
            duration=_WATCH,
            declared=exploration.declared,
            secrets=exploration.secrets,
            clock="virtual",
            wall=lambda: _WALL + trio.current_time(),
        )
        recorded = await play(setting, scenario(schedule, exploration.coming))
    *records, last = recorded.records
    assert isinstance(last, Concluded)
    return history([*records, *running.seen, last])
