"""Leaving, cancelling and superseding, against servers that are right in another way than the reference."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
import trio

from conformance.config import Config, Override, Variant
from conformance.history import History
from conformance.judging import judge_by
from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.rules import cancel, isolation
from conformance.rules.cancel_streams import stays_cancelled
from conformance.specimens import REFERENCE, Specimen, examine
from conformance.specimens.answers import Answer, answering, is_cancel, job_of, own
from conformance.specimens.cancel import SPECIMENS
from conformance.specimens.http import on_streams
from conformance.specimens.order import is_stream, sending
from conformance.specimens.specimen import Wrap
from fault_injection.virtual import VirtualNetwork

MINE = (
    "cancel",
    "abandoned",
    "leaving",
    "cut-off",
    "supersede",
    "side-by-side",
    "foreign-id",
    "two-subscribers",
)
RULES = (*cancel.RULES, *isolation.RULES)


async def driven(specimen: Specimen, scenario: str) -> History:
    with trio.fail_after(600):  # of virtual time
        return await examine(specimen, VirtualNetwork(), scenario=scenario)


async def verdicts(specimen: Specimen, scenario: str) -> dict[str, str]:
    """What the rules of both areas say of it."""
    history = await driven(specimen, scenario)
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    return {rule.name: judge_by(history, rule).verdict for rule in RULES if scenario in rule.scenarios}


def _deleting(app: App) -> App:
    """Answers 204 to a cancel, and knows nothing of the job from then on."""
    gone: set[str] = set()

    class Empty(WrappedResponder):
        async def start(self, status: int, headers: HeaderList = ()) -> None:
            await super().start(204 if status == 202 else status, ())

        async def send(self, data: bytes) -> None:
            """204 has no body."""

    async def handle(request: Request, respond: Responder) -> None:
        job = job_of(request)
        if job in gone:
            await respond.start(404, [("content-length", "0")])
            await respond.finish()
        else:
            await app(request, Empty(respond) if is_cancel(request) else respond)
            if is_cancel(request):
                gone.add(job)

    return handle


def _with_grace(app: App) -> App:
    """Gives who has left a second to come back before the work is stopped."""
    stopping: set[str] = set()

    async def handle(request: Request, respond: Responder) -> None:
        if request.path == "/jobs" and b'"abandoned"' in request.body:
            work = {**json.loads(request.body), "abandoned": "continues"}
            request = msgspec.structs.replace(request, body=json.dumps(work).encode())
            stopping.add("")
        left = is_stream(request) and bool(stopping)
        try:
            await app(request, respond)
            left = False
        finally:
            if left:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                    told = await own(app, "GET", f"/jobs/{job_of(request)}")
                    if told["subscribers"] == 0:
                        await own(app, "POST", f"/jobs/{job_of(request)}/cancel")

    return handle


def _counting_late(app: App) -> App:
    """Takes out who has left a second later, within the limit."""
    left: list[tuple[str, float]] = []

    def count(request: Request, told: Answer) -> Answer:
        stale = sum(job == job_of(request) and trio.current_time() < at + 1 for job, at in left)
        return {**told, "subscribers": told["subscribers"] + stale} if "subscribers" in told else told

    async def handle(request: Request, respond: Responder) -> None:
        try:
            await (app if is_stream(request) else answering(count)(app))(request, respond)
        finally:
            if is_stream(request):
                left.append((job_of(request), trio.current_time()))

    return handle


def _changing(change: Callable[[bytes], bytes]) -> Wrap:
    return sending(lambda _: lambda data: [change(data)])


class _Resetting(WrappedResponder):
    """Ends a superseded stream by a reset."""

    async def finish(self) -> None:
        self.inner.abort()


def _resetting(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        await app(request, _Resetting(respond) if "session" in request.query else respond)

    return handle


def _without_number(config: Config) -> Config:
    dialect = msgspec.structs.replace(config.dialect, sequence=None)
    return msgspec.structs.replace(config, dialect=dialect)


class _Greeting(WrappedResponder):
    """Greets everybody by two events that are like no others."""

    _greeted = False

    async def send(self, data: bytes) -> None:
        if not self._greeted:
            self._greeted = True
            for what in ("hello", "here-you-are"):
                now = trio.current_time()
                await super().send(f"id: {what}-{now}\nevent: {what}\ndata: {now}\n\n".encode())
        await super().send(data)


def _numbering_anew(app: App) -> App:
    """Gives what it sends a new id at every delivery, and sends everything again to who comes back."""
    ids = itertools.count(1000)

    def change(data: bytes) -> list[bytes]:
        lines = [b"id: %d" % next(ids) if line.startswith(b"id:") else line for line in data.split(b"\n")]
        return [b"\n".join(lines)]

    return sending(lambda _: change)(app)


DECOYS = (
    Specimen("greeting", "", (), "", on_streams(_Greeting)),
    Specimen("numbering anew", "", (), "", _numbering_anew, configure=_without_number),
    Specimen("deleting", "", (), "", _deleting),
    Specimen("with grace", "", (), "", _with_grace),
    Specimen("counting late", "", (), "", _counting_late),
    Specimen("CRLF", "", (), "", _changing(lambda data: data.replace(b"\n", b"\r\n"))),
    Specimen("no space", "", (), "", _changing(lambda data: data.replace(b": ", b":"))),
    Specimen("resetting", "", (), "", _resetting),
)


@pytest.mark.parametrize("scenario", MINE)
@pytest.mark.parametrize("decoy", DECOYS, ids=lambda decoy: decoy.name)
async def test_no_rule_reports_a_server_that_is_right(
    decoy: Specimen, scenario: str, autojump_clock: object
) -> None:
    assert "broken" not in (await verdicts(decoy, scenario)).values()


def _counting_all(config: Config) -> Config:
    """The reference, described without a count of each job's own: the gauge counts everybody."""
    assert config.target.status is not None
    status = msgspec.structs.replace(config.target.status, subscribers=None)
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, status=status))


def _blind(config: Config) -> Config:
    target = msgspec.structs.replace(_counting_all(config).target, probe=None)
    return msgspec.structs.replace(config, target=target)


async def test_where_a_gauge_counts_everybody_one_leaves_after_the_other(autojump_clock: object) -> None:
    history = await driven(described(_counting_all), "leaving")
    for before, after in zip(history.streams, history.streams[1:], strict=False):
        assert before.ended is not None
        assert before.ended.time <= after.requested.time
    said = {rule.name: judge_by(history, rule) for rule in RULES if "leaving" in rule.scenarios}
    assert {judgement.verdict for judgement in said.values()} == {"conforms"}, said


async def test_a_gauge_shows_what_a_count_shows(autojump_clock: object) -> None:
    slow = next(each for each in SPECIMENS if each.name == "deaf-while-silent")

    def configure(config: Config) -> Config:
        return _counting_all(slow.configure(config))

    specimen = Specimen("deaf", "", (), "leaving", slow.wrap, options=slow.options, configure=configure)
    assert (await verdicts(specimen, "leaving"))["cancel.noticed"] == "broken"


@pytest.mark.parametrize("scenario", ["leaving", "cut-off"])
async def test_where_nothing_counts_it_is_said_what_is_needed(scenario: str, autojump_clock: object) -> None:
    history = await driven(described(_blind), scenario)
    assert history.concluded is not None
    assert history.concluded.outcome == "skipped"
    assert "target.status.subscribers or target.probe.gauges.subscribers" in history.concluded.reason


async def test_every_point_of_a_streams_life_is_left_at(autojump_clock: object) -> None:
    leaving, cut = await driven(REFERENCE, "leaving"), await driven(REFERENCE, "cut-off")
    assert set(leaving.subscribers) == {
        "before-head",
        "between-events",
        "by-reset",
        "in-silence",
        "at-completion",
        "after-the-end",
    }
    assert set(cut.subscribers) == {"before-head", "mid-head", "after-event", "mid-event"}
    assert all(stream.fired for stream in cut.streams), "the link cut each of them"
    by_name = {stream.name: stream for stream in (*cut.streams,)}
    assert by_name["mid-head"].head is None
    assert len(by_name["after-event"].events) == 1
    assert len(by_name["mid-event"].events) == 1
    assert b"\n\n" not in by_name["mid-event"].body.rpartition(b"id: 2")[2]


def described(configure: Callable[[Config], Config]) -> Specimen:
    return Specimen("described otherwise", "", (), "", configure=configure)


def _short(config: Config) -> Config:
    """Cancelled work that would have been over by the time at which it is looked at once more."""
    long = Variant(start=Override(json={"events": 14}))
    target = msgspec.structs.replace(config.target, variants={**config.target.variants, "long": long})
    return msgspec.structs.replace(config, target=target)


def _without_status(config: Config) -> Config:
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, status=None))


@pytest.mark.parametrize(
    ("configure", "said"),
    [(_short, "and 'completed' at"), (_without_status, "was told event")],
    ids=["state", "events"],
)
async def test_work_that_runs_on_is_found_by_what_shows(
    configure: Callable[[Config], Config], said: str, autojump_clock: object
) -> None:
    lying = next(each for each in SPECIMENS if each.name == "only-saying-so")
    rule = stays_cancelled
    assert said in judge_by(await driven(replace(lying, configure=configure), "cancel"), rule).reason
    assert judge_by(await driven(described(configure), "cancel"), rule).verdict == "conforms"
