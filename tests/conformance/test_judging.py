"""From histories to cases: unobserved is not passed, assumptions are said, timing is confirmed, the run survives."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import trio

from conformance.config import Config, Expect, Start, Target
from conformance.dialect import Dialect, Matcher
from conformance.drive.scene import Setting
from conformance.drive.stage import Stage
from conformance.history import (
    Began,
    Chunk,
    Concluded,
    Ended,
    Head,
    History,
    How,
    Mark,
    Record,
    Requested,
    Terms,
    history,
    load,
)
from conformance.judging import held, judge, judge_by, on_assumed_terms
from conformance.outcome import judge_recorded
from conformance.rules import RULES, Judgement, Rule
from conformance.rules.resource import ERROR
from conformance.rules.rule import broken, conforms, evidence_at, inconclusive, not_applicable
from conformance.run import run
from conformance.scenarios import Scenario
from conformance.unlocks import unlocks
from conformance.wire import encode_event
from fault_injection.virtual import VirtualNetwork
from reports.results import Finding, Level, Verdict

HEADERS = (("content-type", "text/event-stream"),)


def recorded(
    body: bytes,
    *,
    outcome: Literal["done", "skipped", "unreached", "failed", "interrupted"] | None = "done",
    how: How | None = "complete",
    terms: Terms | None = None,
    scenario: str = "subscribe",
    reason: str = "because",
) -> History:
    """A history with one stream of this body, concluded so (None: not at all)."""
    records: list[Record] = [
        Began(terms=terms or Terms(), scenario=scenario, target="http://h"),
        Requested(time=0.1, exchange="a", purpose="stream", method="GET", url="/", subscriber="a"),
        Head(time=0.2, exchange="a", status=200, headers=HEADERS),
        Chunk.of(0.3, "a", body),
    ]
    if how is not None:
        records.append(Ended(time=0.4, exchange="a", how=how))
    if outcome is not None:
        records.append(Concluded(time=0.5, outcome=outcome, reason=reason))
    return history(records, cut=outcome is None)


def saying(judgement: Judgement, name: str = "order.made-up", **changes: Any) -> Rule:
    """A rule that says this of every history."""
    rule = Rule(
        name=name,
        level=Level.MUST,
        claim="",
        why="",
        source="",
        mend="",
        scenarios=("subscribe", "quiet"),
        needs=(),
        timing=False,
        check=lambda _: judgement,
    )
    return replace(rule, **changes)


_BROKEN = {Verdict.FAIL, Verdict.WARN}
PASSES = conforms(3, "events")
BREAKS = broken([Finding("it broke")])


@pytest.mark.parametrize(
    ("judgement", "level", "verdict"),
    [
        (PASSES, Level.MUST, Verdict.PASS),
        (BREAKS, Level.MUST, Verdict.FAIL),
        (BREAKS, Level.SHOULD, Verdict.WARN),
        (inconclusive("?"), Level.MUST, Verdict.INCONCLUSIVE),
        (not_applicable("?"), Level.MUST, Verdict.NOT_APPLICABLE),
        (conforms(0, "events"), Level.MUST, Verdict.INCONCLUSIVE),
    ],
)
def test_what_a_rule_says_becomes_a_case(judgement: Judgement, level: Level, verdict: Verdict) -> None:
    (case,) = judge(recorded(b""), [saying(judgement, level=level)], file="h.jsonl")
    assert (case.verdict, case.reason, case.findings) == (verdict, judgement.reason, judgement.findings)
    assert (case.id, case.history) == ("subscribe/order.made-up", "h.jsonl")


def test_a_finding_shows_what_the_application_raised() -> None:
    """Where it runs in this process. Of many errors the first two; the rule that is about errors says it itself."""
    raised = [Mark(time=0.25, what=ERROR, detail=f"GET /: raised KeyError: {n}") for n in range(3)]
    failed = history([*recorded(b"").records, *raised])
    cut = Finding("it broke", (evidence_at(0.4, "a", actual="cut"), evidence_at(0.1, "a")))
    (case,) = judge(failed, [saying(broken([cut, Finding("again")]))])
    assert [(each.connection, each.actual) for each in case.findings[0].evidence] == [
        ("a", "cut"),
        ("", "GET /: raised KeyError: 0"),
        ("", "GET /: raised KeyError: 1"),
        ("a", ""),
    ]
    assert case.findings[1] == Finding("again")
    of_itself = Finding("GET /: raised KeyError: 0")
    (case,) = judge(failed, [saying(broken([of_itself]))])
    assert case.findings == (of_itself,)


@pytest.mark.parametrize("outcome", ["interrupted", "unreached", "failed", None])
@pytest.mark.parametrize("area", ["order", "wire"])
def test_what_was_not_driven_to_its_end_never_passes(outcome: Any, area: str) -> None:
    (case,) = judge(recorded(b"data: 1\n\n", outcome=outcome), [saying(PASSES, f"{area}.made-up")])
    assert case.verdict is (Verdict.ERROR if outcome == "failed" else Verdict.INCONCLUSIVE)
    assert case.reason


@pytest.mark.parametrize("outcome", ["interrupted", "unreached", "failed", "skipped", None])
def test_no_rule_of_the_catalogue_passes_what_was_not_driven(outcome: Any) -> None:
    body = encode_event("{}", id="1") + encode_event("{}", id="2", type="complete")
    terms = Terms(dialect=Dialect(completion=(Matcher(event="complete"),)), declared=("dialect.completion",))
    for scenario in {scenario for rule in RULES for scenario in rule.scenarios}:
        cases = judge(recorded(body, outcome=outcome, terms=terms, scenario=scenario), RULES)
        assert cases
        assert not [case.id for case in cases if case.verdict is Verdict.PASS]
        assert {case.rule.partition(".")[0] for case in cases if case.verdict in _BROKEN} <= {"http", "wire"}
        assert all(case.reason for case in cases)


@pytest.mark.parametrize(
    ("area", "verdict"), [("wire", Verdict.FAIL), ("http", Verdict.FAIL), ("order", Verdict.INCONCLUSIVE)]
)
def test_what_is_broken_in_the_bytes_stays_broken_where_the_record_stops(area: str, verdict: Verdict) -> None:
    (case,) = judge(recorded(b"", outcome="interrupted"), [saying(BREAKS, f"{area}.made-up")])
    assert case.verdict is verdict


def test_a_skipped_scenario_and_a_missing_key_are_not_applicable_with_the_reason() -> None:
    (skipped,) = judge(recorded(b"", outcome="skipped", reason="not here"), [saying(PASSES)])
    assert (skipped.verdict, skipped.reason) == (Verdict.NOT_APPLICABLE, "not here")
    (keyless,) = judge(recorded(b""), [saying(PASSES, needs=("expect.events",))])
    assert (keyless.verdict, keyless.reason) == (
        Verdict.NOT_APPLICABLE,
        "needs expect.events in the configuration",
    )


def test_a_rule_that_fails_is_an_error_and_the_others_are_heard() -> None:
    def fails(_: History) -> Judgement:
        raise ZeroDivisionError("oops")

    first, second = judge(recorded(b""), [saying(PASSES, check=fails), saying(PASSES, "order.other")])
    assert first.verdict is Verdict.ERROR
    assert first.reason.startswith(
        "the rule failed, which is a bug: ZeroDivisionError: oops (test_judging.py:"
    )
    assert second.verdict is Verdict.PASS
    with pytest.raises(ZeroDivisionError):
        judge_by(recorded(b""), saying(PASSES, check=fails))


def test_a_rule_is_judged_in_its_scenarios_only() -> None:
    assert judge(recorded(b"", scenario="restart"), [saying(PASSES)]) == []


def body(*events: tuple[str, str | None]) -> bytes:
    return b"".join(encode_event(data, type=type) for data, type in events)


OPENAI = body(("1", None), ("2", None), ("[DONE]", None))


def test_a_stream_that_ends_in_done_is_read_by_that_and_says_so() -> None:
    known = on_assumed_terms({"subscribe": recorded(OPENAI), "quiet": recorded(b"", scenario="quiet")})
    for each in known.values():
        assert each.terms.dialect.completion == (Matcher(data="[DONE]"),)
        assert "dialect.completion" in each.terms.declared
        (assumed,) = each.terms.assumed
        assert assumed.startswith('dialect.completion = [{ data = "[DONE]" }] (')
    outcome = judge_recorded({"a.jsonl": recorded(OPENAI)}, RULES)
    assert outcome.results.assumptions == known["subscribe"].terms.assumed
    (stream,) = outcome.histories["subscribe"].streams
    assert stream.completed is stream.events[-1]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(body(("1", None), ("2", None)), id="no sign"),
        pytest.param(body(("[DONE]", None)), id="nothing before"),
        pytest.param(body(("1", None), ("[DONE]", None), ("2", None)), id="not the last"),
        pytest.param(body(("1", None), ("[DONE]", None), ("[DONE]", None)), id="twice"),
        pytest.param(b"", id="empty"),
    ],
)
def test_where_there_is_doubt_nothing_is_assumed(events: bytes) -> None:
    before = {"subscribe": recorded(events)}
    assert on_assumed_terms(before) == before


@pytest.mark.parametrize("how", ["reset", "truncated", "dropped", "body-limit", None])
def test_a_stream_that_was_not_read_as_a_whole_settles_nothing(how: How | None) -> None:
    before = {"subscribe": recorded(OPENAI, how=how)}
    assert on_assumed_terms(before) == before


@pytest.mark.parametrize(
    "dialect", [Dialect(completion=(Matcher(event="end"),)), Dialect(preset="task-stream")]
)
def test_what_is_configured_is_never_overruled(dialect: Dialect) -> None:
    before = {"subscribe": recorded(OPENAI, terms=Terms(dialect=dialect))}
    assert on_assumed_terms(before) == before


def test_what_is_denied_does_not_count_as_declared() -> None:
    config = Config(target=Target(url="http://h"), expect=Expect(shared=False, resumable=True))
    assert "expect.resumable" in held(config)
    assert "expect.shared" not in held(config)
    assert "target.url" in held(config)


def test_what_waits_for_which_keys_is_said_with_the_most_rules_first() -> None:
    rules = [
        saying(PASSES, "a.one", needs=("expect.events",)),
        saying(PASSES, "a.two", needs=("dialect.sequence",)),
        saying(PASSES, "a.three", needs=("dialect.sequence",)),
        saying(PASSES, "a.judged"),
        saying(PASSES, "a.elsewhere", scenarios=("restart",), needs=("dialect.json",)),
        saying(PASSES, "a.both", scenarios=("two-subscribers",), needs=("dialect.stream",)),
    ]
    histories = {"subscribe": recorded(b""), "two": recorded(b"", scenario="two-subscribers")}
    assert unlocks(rules, histories) == (
        "dialect.sequence: a.three, a.two",
        "expect.events: a.one",
        "expect.shared and dialect.stream: a.both",
    )
    declared = Terms(declared=("dialect.sequence", "expect.events", "expect.shared", "dialect.stream"))
    told = {
        "s": recorded(b"", terms=declared),
        "t": recorded(b"", terms=declared, scenario="two-subscribers"),
    }
    assert unlocks(rules, told) == ()


class _Told:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, what: str, name: str) -> None:
        self.heard.append((what, name))


def setting(**changes: Any) -> Setting:
    config = Config(target=Target(url="http://h"))
    options: dict[str, Any] = {
        "network": VirtualNetwork(),
        "config": config,
        "origin": "http://user:hunter2@127.0.0.1:9",
        "seed": 3,
        "duration": 1.0,
        "declared": held(config),
        "clock": "virtual",
    }
    return Setting(**(options | changes))


async def _reads(stage: Stage) -> None:
    async with stage.subscribe() as subscriber:
        await subscriber.finished()


async def _waits(stage: Stage) -> None:
    await trio.sleep(50)


SUBSCRIBE = Scenario("subscribe", "", _reads)
QUIET = Scenario("quiet", "", _waits)


class _Flaky:
    """Finds something in so many histories, then no more."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, _: History) -> Judgement:
        self.left -= 1
        return BREAKS if self.left >= 0 else PASSES


@pytest.mark.parametrize(
    ("times", "verdict", "reason"),
    [
        (2, Verdict.FAIL, "it broke (driven twice, seen twice)"),
        (1, Verdict.PASS, "3 events; seen once and not again when driven a second time: it broke"),
        (0, Verdict.PASS, "3 events"),
    ],
)
@pytest.mark.parametrize("exclusive", [False, True])
async def test_timing_is_confirmed_by_driving_again(
    autojump_clock: trio.testing.MockClock,
    times: int,
    verdict: Verdict,
    reason: str,
    exclusive: bool,
    tmp_path: Path,
) -> None:
    told = _Told()
    rule = saying(PASSES, timing=True, check=_Flaky(times))
    scenario = replace(SUBSCRIBE, exclusive=exclusive)
    outcome = await run(setting(histories=tmp_path), [scenario], [rule], told=told)
    (case,) = outcome.results.cases
    assert (case.verdict, case.reason) == (verdict, reason)
    assert bool(case.findings) is (verdict is Verdict.FAIL)
    assert [what for what, _ in told.heard] == ["started", "ended", *(["again", "ended"] if times else [])]
    again = "subscribe-2.jsonl" if times else "subscribe.jsonl"
    assert load(tmp_path / again).scenario == "subscribe"
    expected = "subscribe-2.jsonl" if times == 1 else "subscribe.jsonl"
    assert case.history == f"{tmp_path.name}/{expected}"


async def test_what_is_no_matter_of_timing_is_not_driven_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told = _Told()
    outcome = await run(setting(), [SUBSCRIBE], [saying(BREAKS)], told=told)
    assert outcome.results.cases[0].verdict is Verdict.FAIL
    assert [what for what, _ in told.heard] == ["started", "ended"]


@pytest.mark.parametrize("when", [10, 60])
async def test_stopped_it_judges_what_was_driven_and_confirms_nothing(
    autojump_clock: trio.testing.MockClock, when: float
) -> None:
    """At 10 s the first drive of `quiet` is under way; at 60 s the second."""
    stop = trio.Event()
    rules = [saying(BREAKS, "a.timing", timing=True), saying(BREAKS, "a.other"), saying(BREAKS, "wire.bytes")]

    async def stops() -> None:
        await trio.sleep(when)
        stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stops)
        outcome = await run(setting(), [QUIET, SUBSCRIBE], rules, stop=stop)
    assert trio.current_time() < when + 1
    assert outcome.results.interrupted
    cases = {case.id: case for case in outcome.results.cases}
    assert list(cases) == [f"{s}/{rule.name}" for s in ("quiet", "subscribe") for rule in rules]
    timing = cases["subscribe/a.timing"]
    assert cases["subscribe/a.other"].verdict is Verdict.FAIL
    assert cases["quiet/a.timing"].verdict is Verdict.INCONCLUSIVE
    assert cases["quiet/wire.bytes"].verdict is Verdict.FAIL
    if when == 10:
        assert timing.verdict is Verdict.INCONCLUSIVE
        assert timing.reason == "seen once, and stopped before it could be driven a second time: it broke"
        assert cases["quiet/a.other"].verdict is Verdict.INCONCLUSIVE
    else:
        assert timing.reason == "it broke (driven twice, seen twice)"


async def test_the_results_are_in_the_order_of_the_catalogue_and_without_passwords(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outcome = await run(setting(), [QUIET, SUBSCRIBE], [saying(PASSES)])
    assert [each.name for each in outcome.results.scenarios] == ["quiet", "subscribe"]
    assert list(outcome.histories) == ["quiet", "subscribe"]
    assert b"hunter2" not in msgspec.json.encode(outcome.results)
    assert "connection refused, nobody listens at this address" in (outcome.results.unreached or "")


async def test_scenarios_that_disturb_come_alone_and_last(autojump_clock: trio.testing.MockClock) -> None:
    running: list[str] = []
    seen: list[tuple[str, ...]] = []

    def named(name: str) -> Scenario:
        async def drive(_: Stage) -> None:
            running.append(name)
            await trio.sleep(1)
            seen.append(tuple(sorted(running)))
            await trio.sleep(1)
            running.remove(name)

        return Scenario(name, "", drive, exclusive=name.isupper())

    await run(setting(), [named(name) for name in ("A", "a", "B", "b")], [])
    assert seen == [("a", "b"), ("a", "b"), ("A",), ("B",)]


def test_recorded_histories_of_one_scenario_are_told_apart() -> None:
    first, second = recorded(OPENAI), recorded(body(("1", None)))
    outcome = judge_recorded({"x/a.jsonl": first, "y/a.jsonl": second}, [saying(PASSES)])
    assert [case.id for case in outcome.results.cases] == [
        "subscribe/order.made-up",
        "subscribe-2/order.made-up",
    ]
    assert [case.history for case in outcome.results.cases] == ["x/a.jsonl", "y/a.jsonl"]
    assert outcome.results.target == "http://h"


def test_judging_twice_gives_the_same() -> None:
    files = {"a.jsonl": recorded(OPENAI)}
    assert judge_recorded(files, RULES).results == judge_recorded(files, RULES).results


async def test_an_unreached_start_is_the_reason_of_the_run(autojump_clock: trio.testing.MockClock) -> None:
    async def starts(stage: Stage) -> None:
        await stage.start()

    config = Config(target=Target(url="http://h", start=Start(path="/jobs")))
    outcome = await run(setting(config=config), [Scenario("subscribe", "", starts)], [saying(PASSES)])
    assert outcome.results.cases[0].verdict is Verdict.INCONCLUSIVE
    assert "POST /jobs: connection refused, nobody listens at this address" in (
        outcome.results.unreached or ""
    )
