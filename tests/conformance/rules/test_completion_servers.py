"""No rule of the areas completion and resume complains of a server that is right."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
import trio
from made_up_tasks import event

from conformance.config import Config
from conformance.judging import judge_by
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.rules import RULES, Judgement
from conformance.rules.completion import delivered
from conformance.scenarios import SCENARIOS
from conformance.specimens import Specimen, examine
from conformance.specimens.completion import SPECIMENS as COMPLETION
from conformance.specimens.completion import LiveOnly, bulky, changing, is_event
from conformance.specimens.http import on_streams
from conformance.specimens.order import is_stream
from fault_injection.virtual import VirtualNetwork
from reports.results import Verdict

# servers that are right


class _Polled(WrappedResponder):
    """Ends each response after three events; who wants more comes back."""

    def __init__(self, inner: Responder, full: trio.CancelScope) -> None:
        super().__init__(inner)
        self._full = full
        self._left = 3

    async def send(self, data: bytes) -> None:
        await super().send(data)
        self._left -= b"data:" in data
        if self._left == 0:
            self._full.cancel()


def polled(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        with trio.CancelScope() as full:
            await app(request, _Polled(respond, full))
        await respond.finish()

    return handle


class _NothingKept(LiveOnly):
    """Whoever comes late gets what is new, and an end."""

    async def finish(self) -> None:
        await self.inner.finish()


def _error_first(data: bytes) -> Iterable[bytes]:
    """Tells of a failure, and then that all is over, as an agent's bus does."""
    return (data, event(None, "complete")) if is_event(data, "error") else (data,)


def _expecting(**changes: Any) -> Any:
    def configure(config: Config) -> Config:
        return msgspec.structs.replace(config, expect=msgspec.structs.replace(config.expect, **changes))

    return configure


def _unmarked(config: Config) -> Config:
    return msgspec.structs.replace(config, dialect=msgspec.structs.replace(config.dialect, end=()))


DECOYS = [
    Specimen(
        "old server",
        "Knows no end marker, as its dialect says.",
        (),
        "subscribe",
        changing(lambda data: () if is_event(data, "stream_end") else (data,)),
        configure=_unmarked,
    ),
    Specimen("polled", "Ends each response after three events.", (), "subscribe", polled),
    Specimen("error first", "Fails, then completes.", (), "failing-job", changing(_error_first)),
    Specimen(
        "nothing kept",
        "Replays nothing, and ends what has nothing more to say.",
        (),
        "subscribe",
        on_streams(_NothingKept),
        configure=_expecting(replay="none", resumable=False, events=None),
    ),
]
BULKY = Specimen("bulky", "Sends much, and waits until all is sent.", (), "subscribe", configure=bulky)
OURS = [rule for rule in RULES if rule.area in {"completion", "resume"}]


PAIRS = [
    *((decoy, scenario.name) for decoy in DECOYS for scenario in SCENARIOS),
    *(
        (BULKY, name)
        for name in ("subscribe", "slow-network", "buffering-middlebox", "completion-while-away")
    ),
]


@pytest.mark.parametrize(("decoy", "scenario"), PAIRS, ids=[f"{decoy.name}-{name}" for decoy, name in PAIRS])
async def test_servers_that_are_right_are_not_reported(
    decoy: Specimen, scenario: str, autojump_clock: object
) -> None:
    with trio.fail_after(600):
        history = await examine(decoy, VirtualNetwork(), scenario=scenario)
    assert history.concluded is not None
    assert history.concluded.outcome in {"done", "skipped"}, history.concluded
    broken = {
        rule.name: judgement
        for rule in OURS
        if scenario in rule.scenarios and (judgement := judge_by(history, rule)).verdict == "broken"
    }
    assert not broken


async def test_a_polled_stream_is_followed_to_its_completion(autojump_clock: object) -> None:
    polling = next(decoy for decoy in DECOYS if decoy.name == "polled")
    history = await examine(polling, VirtualNetwork())
    assert [each.name for each in history.streams] == ["a", "a-2", "a-3"]
    assert judge_by(history, delivered).verdict == "conforms"


async def test_sleeping_before_destroying_is_enough_on_a_fast_network_only(autojump_clock: object) -> None:
    sleeping = next(specimen for specimen in COMPLETION if specimen.name == "sleeping")
    fast = await examine(sleeping, VirtualNetwork(), scenario="subscribe")
    slow = await examine(sleeping, VirtualNetwork(), scenario="slow-network")
    assert judge_by(fast, delivered).verdict == "conforms"
    assert judge_by(slow, delivered).verdict == "broken"


def test_levels_and_claims() -> None:
    for rule in OURS:
        assert rule.check is not None
        assert Judgement("broken").at(rule.level) is Verdict.FAIL
        assert rule.source.startswith("https://")
        assert rule.mend
        assert rule.why
        assert rule.claim.endswith(".")
