"""One of two subscribers leaves: who is served on, who is not, and servers that end responses for other reasons."""

import random
from collections import defaultdict
from dataclasses import replace

import msgspec
import pytest
import trio

from conformance.config import Config
from conformance.dialect import Dialect
from conformance.history import History
from conformance.judging import judge_by
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.rules import Judgement
from conformance.rules.cancel_streams import others_unaffected
from conformance.scenarios.staying import ROUNDS, SILENT_ROUNDS
from conformance.specimens import REFERENCE, SPECIMEN, Specimen, examine
from conformance.specimens.answers import job_of, own
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Wrap
from fault_injection.virtual import VirtualNetwork


async def judged(specimen: Specimen) -> tuple[History, Judgement]:
    with trio.fail_after(600):  # of virtual time
        history = await examine(specimen, VirtualNetwork(), scenario="one-leaves")
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    return history, judge_by(history, others_unaffected)


def named(wrap: Wrap) -> Specimen:
    return Specimen(wrap.__name__, "", (), "one-leaves", wrap)


async def test_one_round_is_enough_where_the_other_is_served_on(autojump_clock: object) -> None:
    history, judgement = await judged(REFERENCE)
    assert judgement.verdict == "conforms"
    assert [each.requested.subscriber for each in history.streams] == ["companion", "leaver"]


async def test_whose_stream_ends_when_another_one_leaves_is_affected(autojump_clock: object) -> None:
    history, judgement = await judged(SPECIMEN["leaving-together"])
    assert judgement.verdict == "broken"
    assert "and companion, who stayed, was ended at" in judgement.reason
    assert "tried 5 times, each time so" in judgement.reason
    assert len(judgement.findings) == len(ROUNDS)
    assert len(history.subscribers) == 2 * len(ROUNDS)


def first_one_stops_it(app: App) -> App:
    """Cancels the work when anybody leaves it."""

    async def handle(request: Request, respond: Responder) -> None:
        left = is_stream(request)
        try:
            await app(request, respond)
            left = False
        finally:
            with trio.CancelScope(shield=True):
                if left:
                    await own(app, "POST", f"/jobs/{job_of(request)}/cancel")

    return handle


def silent_for_the_rest(app: App) -> App:
    """Sends nobody anything more when one has left, and leaves the connections open."""
    left: set[str] = set()

    class Silenced(WrappedResponder):
        def __init__(self, inner: Responder, job: str) -> None:
            super().__init__(inner)
            self._job = job

        async def send(self, data: bytes) -> None:
            if self._job in left:
                await trio.sleep_forever()
            await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        gone = {job_of(request)}
        try:
            await app(request, Silenced(respond, job_of(request)))
            gone = set()
        finally:
            left.update(gone)

    return handle


def two_events_later(app: App) -> App:
    """Learns from its second write that a client has gone, and ends the responses of all then."""
    left: set[str] = set()

    class Noticing(WrappedResponder):
        def __init__(self, inner: Responder, job: str, scope: trio.CancelScope) -> None:
            super().__init__(inner)
            self._job, self._scope, self._writes = job, scope, 2

        async def send(self, data: bytes) -> None:
            await super().send(data)
            self._writes -= self._job in left and b"data:" in data
            if not self._writes:
                self._scope.cancel()

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        gone = {job_of(request)}
        with trio.CancelScope() as scope:
            try:
                await app(request, Noticing(respond, job_of(request), scope))
                gone = set()
            finally:
                left.update(gone)
        if scope.cancelled_caught:
            await respond.finish()

    return handle


@pytest.mark.parametrize(
    ("wrap", "said", "rounds"),
    [
        (two_events_later, "was ended at", len(ROUNDS)),
        (first_one_stops_it, "was told event", len(ROUNDS)),
        (silent_for_the_rest, "is still silent", SILENT_ROUNDS),
    ],
    ids=["later", "failed", "silent"],
)
async def test_a_late_end_a_failure_and_a_silence_are_found_as_well(
    wrap: Wrap, said: str, rounds: int, autojump_clock: object
) -> None:
    """In as many rounds as the scenario drives: the rule, which knows no scenario, asks for as many."""
    _, judgement = await judged(named(wrap))
    assert judgement.verdict == "broken"
    assert said in judgement.reason
    assert len(judgement.findings) == rounds


def _undeclared(config: Config) -> Config:
    return msgspec.structs.replace(config, dialect=Dialect(json=True))


async def test_where_no_completion_is_known_an_end_may_be_that_of_the_work(autojump_clock: object) -> None:
    together = replace(SPECIMEN["leaving-together"], configure=_undeclared)
    _, judgement = await judged(together)
    assert judgement.verdict == "inconclusive"


# servers that end responses for other reasons


async def _for(app: App, request: Request, respond: Responder, seconds: float) -> None:
    with trio.move_on_after(seconds) as scope:
        await app(request, respond)
    if scope.cancelled_caught:
        await respond.finish()


def lasting(seconds: float) -> Wrap:
    """Ends each response after so many seconds."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            await _for(app, request, respond, seconds if is_stream(request) else 60)

        return handle

    return wrap


def lasting_by_chance(seed: int) -> Wrap:
    """Ends each response after a time that nobody can foresee."""

    def wrap(app: App) -> App:
        rng = random.Random(seed)

        async def handle(request: Request, respond: Responder) -> None:
            await _for(app, request, respond, rng.uniform(0.2, 3) if is_stream(request) else 60)

        return handle

    return wrap


def sweeping(every: float) -> Wrap:
    """Ends all responses at once, every so often."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            await _for(
                app, request, respond, every - trio.current_time() % every if is_stream(request) else 60
            )

        return handle

    return wrap


def counting(events: int) -> Wrap:
    """Ends each response after so many events."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            with trio.CancelScope() as scope:
                await app(request, _Counting(respond, events, scope) if is_stream(request) else respond)
            if scope.cancelled_caught:
                await respond.finish()

        return handle

    return wrap


class _Counting(WrappedResponder):
    def __init__(self, inner: Responder, events: int, full: trio.CancelScope) -> None:
        super().__init__(inner)
        self._left, self._full = events, full

    async def send(self, data: bytes) -> None:
        await super().send(data)
        self._left -= b"data:" in data
        if self._left == 0:
            self._full.cancel()


def superseding(app: App) -> App:
    """Whoever subscribes to work ends the streams of those who had before; they notice at their next event."""
    newest: defaultdict[str, int] = defaultdict(int)

    class Older(WrappedResponder):
        def __init__(self, inner: Responder, job: str, scope: trio.CancelScope) -> None:
            super().__init__(inner)
            self._job, self._scope, self._number = job, scope, newest[job]

        async def send(self, data: bytes) -> None:
            await super().send(data)
            if newest[self._job] != self._number:
                self._scope.cancel()

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        newest[job_of(request)] += 1
        with trio.CancelScope() as scope:
            await app(request, Older(respond, job_of(request), scope))
        if scope.cancelled_caught:
            await respond.finish()

    return handle


RIGHT = {
    "superseding": superseding,
    **{f"{seconds:g} s": lasting(seconds) for seconds in (0.05, 0.3, 0.5, 1.0, 1.3)},
    **{f"{events} events": counting(events) for events in (1, 2, 3, 5)},
    **{f"every {every:g} s": sweeping(every) for every in (0.7, 1.0, 1.9)},
    **{f"by chance, {seed}": lasting_by_chance(seed) for seed in range(12)},
}


@pytest.mark.parametrize("wrap", RIGHT.values(), ids=RIGHT.keys())
async def test_a_server_that_ends_responses_of_its_own_is_not_reported(
    wrap: Wrap, autojump_clock: object
) -> None:
    _, judgement = await judged(named(wrap))
    assert judgement.verdict != "broken", judgement.reason
