"""What rules of work that is due to its end say of work that somebody cancelled, and of what was not asked to stop."""

from typing import Literal, TypeAlias

import msgspec
import pytest
from made_up import made_up, stream
from made_up_looks import JOB, cancelled, event, held_to, left, look

from conformance.config import Expect
from conformance.history import History, How, Record
from conformance.rules.cancel_request import twice
from conformance.rules.cancel_streams import others_unaffected, stays_cancelled, stream_told
from conformance.rules.completion import delivered
from conformance.rules.completion_closing import clean_close
from conformance.rules.completion_events import end_marker
from conformance.rules.completion_status import status_agrees
from conformance.rules.http_head import status
from conformance.rules.order_subscribers import subscribers_agree
from conformance.rules.resume import no_gap
from conformance.rules.resume_outcomes import completion_survives
from conformance.rules.rule import Rule

OTHER = {"job": "j2"}
Replayed: TypeAlias = Literal["all", "none", "since-id"]
EXPECT = Expect(terminates=True, shared=True, resumable=True, replay="all")


def explored(*records: list[Record]) -> History:
    return made_up(
        *records,
        terms=held_to(EXPECT, also=("target.status.pointer", "target.status.finished")),
        scenario="explore",
    )


def part(name: str, *ids: int, ended: float = 2.0, at: float = 0.0, how: How = "complete") -> list[Record]:
    """A subscriber who is sent these events of progress, and no end."""
    body = [(id / 10, event("progress", id)) for id in ids]
    return stream(body, name=name, subscriber=name, names=JOB, at=at, ended=ended, how=how)


REFUSED = cancelled(0.25, status=409)

DUE = [
    (delivered, (part("a", 1, 2, how="timeout", ended=20.0),)),
    (clean_close, (part("a", 1, 2, how="reset"),)),
    (
        end_marker,
        (
            stream(
                [(0.1, event("complete", 1))], name="a", names=JOB, how="timeout", ended=9.0, subscriber="a"
            ),
        ),
    ),
    (status_agrees, (part("a", 1, how="timeout", ended=20.0), look(30.0, state="completed"))),
    (status, (part("a", 1), stream(name="b", subscriber="b", at=1.0, status=404, names=JOB))),
    (subscribers_agree, (part("a", 1, 2, 3, 4, 5), part("b", 1, 3))),
    (
        completion_survives,
        (
            left("a", 0.0, 0.2, 1),
            stream(
                name="a-2", subscriber="a", at=1.0, how="timeout", ended=20.0, sent=[("Last-Event-ID", "1")]
            ),
        ),
    ),
]


@pytest.mark.parametrize(("rule", "records"), DUE, ids=lambda each: getattr(each, "name", ""))
def test_cancelled_work_is_not_due_to_its_end(rule: Rule, records: tuple[list[Record], ...]) -> None:
    named = tuple(_named(each) for each in records)
    assert rule.judge(explored(*named)).verdict == "broken"
    assert rule.judge(explored(*named, REFUSED)).verdict == "broken", "the request was turned away"
    assert rule.judge(explored(*named, cancelled(0.25))).verdict != "broken"


def _named(records: list[Record]) -> list[Record]:
    return [
        msgspec.structs.replace(record, names=JOB) if hasattr(record, "names") else record
        for record in records
    ]


def test_who_waits_for_work_that_was_cancelled_must_be_told() -> None:
    waiting = part("a", 1, how="timeout", ended=20.0)
    told = stream([(0.4, event("error", 2))], name="a-2", subscriber="a", names=JOB, at=0.3, ended=0.5)
    late = part("b", how="timeout", ended=20.0, at=0.5)
    assert stream_told.judge(explored(waiting, cancelled(0.25))).verdict == "broken"
    assert stream_told.judge(explored(part("a", 1, ended=0.28), cancelled(0.25), told)).verdict == "conforms"
    assert "b was told nothing" in stream_told.judge(explored(cancelled(0.25), late)).reason


def test_who_comes_back_without_a_word_was_not_told() -> None:
    wordless = (part("a", 1, ended=0.3), cancelled(0.25))
    back = stream(name="a-2", subscriber="a", names=JOB, at=1.3, ended=1.4)
    for records in (wordless, (*wordless, back)):
        judgement = stream_told.judge(explored(*records))
        assert judgement.verdict == "broken"
        assert "a was ended at 0.300 s without a word" in judgement.reason
    assert stream_told.judge(explored(cancelled(0.25), back)).verdict == "inconclusive", "it came late"


def test_where_nothing_is_replayed_who_is_on_the_way_in_may_miss_the_word() -> None:
    empty = stream(name="a", subscriber="a", names=JOB, at=0.2, head=0.21, ended=0.3)
    cases: tuple[tuple[Replayed, list[Record], str], ...] = (
        ("none", empty, "inconclusive"),
        ("since-id", empty, "inconclusive"),
        ("all", empty, "broken"),
        ("none", part("a", 1, ended=0.3), "broken"),  # it was there
    )
    for replay, there, verdict in cases:
        expect = Expect(terminates=True, shared=True, replay=replay)
        records = made_up(there, cancelled(0.25), terms=held_to(expect), scenario="explore")
        assert stream_told.judge(records).verdict == verdict, replay


@pytest.mark.parametrize("rule", [delivered, status_agrees], ids=lambda rule: rule.name)
def test_where_nothing_is_replayed_who_was_held_up_may_miss_the_completion(rule: Rule) -> None:
    def judged(replay: Replayed, *ids: int, names: dict[str, str] = JOB) -> str:
        expect = Expect(terminates=True, replay=replay)
        body = [(0.6, event("progress", id)) for id in ids]
        late = stream(body, name="a", subscriber="a", names=names, at=0.5, ended=0.7)
        over = look(1.0, state="completed", names=names)
        terms = held_to(expect, also=("target.status.pointer", "target.status.finished"))
        return rule.judge(made_up(late, over, terms=terms, scenario="explore")).verdict

    assert judged("none") == judged("since-id") == "inconclusive"
    assert judged("all") == judged("none", 3) == "broken"
    assert judged("none", names={}) == "broken", "its own request began the work"


def test_who_comes_back_to_work_that_was_stopped_is_not_due_all_its_events() -> None:
    expect = msgspec.structs.replace(EXPECT, events=3)

    def judged(kind: str) -> str:
        back = stream([(0.4, event(kind, 1))], name="a-2", subscriber="a", at=0.3, ended=0.5)
        records = (_named(left("a", 0.0, 0.2)), _named(back))
        return no_gap.judge(made_up(*records, terms=held_to(expect), scenario="explore")).verdict

    assert judged("complete") == "broken"
    assert judged("error") == "inconclusive"


@pytest.mark.parametrize("rule", [delivered, status_agrees, completion_survives], ids=lambda rule: rule.name)
def test_who_comes_back_when_the_work_is_over_is_owed_nothing_that_is_not_replayed(rule: Rule) -> None:
    gone = stream(name="a", subscriber="a", names=JOB, how="dropped", ended=0.1)
    for replay, asked, verdict in (
        ("all", [], "broken"),
        ("none", [], "inconclusive"),
        ("since-id", [("Last-Event-ID", "1")], "broken"),
    ):
        back = stream(name="a-2", subscriber="a", names=JOB, at=1.0, ended=1.1, sent=asked)
        terms = held_to(
            msgspec.structs.replace(EXPECT, replay=replay),
            also=("target.status.pointer", "target.status.finished"),
        )
        records = (gone, back, look(2.0, state="completed"))
        judgement = rule.judge(made_up(*records, terms=terms, scenario="explore"))
        assert judgement.verdict == verdict, (replay, judgement)


def test_to_cancel_what_had_ended_changes_nothing() -> None:
    ended, running = look(0.1, state="completed"), look(0.1, state="running")
    turned, kept = look(3.0, state="cancelled"), look(3.0, state="completed")
    assert twice.judge(explored(part("a", 1), ended, cancelled(0.25), turned)).verdict == "broken"
    assert twice.judge(explored(part("a", 1), ended, cancelled(0.25, status=500))).verdict == "broken"
    assert twice.judge(explored(part("a", 1), ended, cancelled(0.25), kept)).verdict == "conforms"
    assert twice.judge(explored(part("a", 1), running, cancelled(0.25), turned)).verdict == "inconclusive"


def test_a_cancel_that_crosses_the_end_does_not_turn_it_into_a_cancelled_one() -> None:
    crossing = cancelled(0.25, took=0.5)
    done, later = look(0.5, state="completed"), (look(3.0, state="cancelled"), look(3.0, state="completed"))
    judgement = twice.judge(explored(part("a", 1), crossing, done, later[0]))
    assert judgement.verdict == "broken"
    assert (
        "crossed the end of the work: the status endpoint said 'completed', and 'cancelled'"
        in judgement.reason
    )
    assert twice.judge(explored(part("a", 1), crossing, done, later[1])).verdict == "inconclusive"


def test_other_work_is_not_cancelled_with_it() -> None:
    def other(kind: str) -> list[Record]:
        body = [(0.1, event("progress", 1, "j2")), (0.5, event(kind, 2, "j2"))]
        return stream(body, name="other", subscriber="other", names=OTHER, ended=0.6)

    assert others_unaffected.judge(explored(part("a", 1), cancelled(0.25), other("complete"))).verdict == (
        "conforms"
    )
    stopped, failed = (look(1.0, state=state, names=OTHER) for state in ("cancelled", "failed"))
    judgement = others_unaffected.judge(explored(part("a", 1), cancelled(0.25), other("error"), stopped))
    assert judgement.reason == ("other work was cancelled at 0.250 s, and other was told event 2 (error)")
    for records in (
        (other("error"), cancelled(0.55), stopped),  # before
        (cancelled(0.25), other("error"), failed),  # for a reason of its own
    ):
        assert others_unaffected.judge(explored(part("a", 1), *records)).verdict == "inconclusive"


def test_without_a_state_what_cancelled_work_is_told_tells_that_other_work_was_cancelled() -> None:
    def fails(name: str, job: str, why: str) -> list[Record]:
        body = [(0.5, event("error", 2, job, why=why))]
        return stream(body, name=name, subscriber=name, names={"job": job}, ended=0.6)

    terms = msgspec.structs.replace(held_to(EXPECT), status=None)
    for why, verdict in (("stopped", "broken"), ("out of luck", "inconclusive")):
        records = (cancelled(0.25), fails("a", "j1", "stopped"), fails("other", "j2", why))
        assert others_unaffected.judge(made_up(*records, terms=terms, scenario="explore")).verdict == verdict


def test_work_that_fails_though_the_cancel_was_refused_was_not_cancelled_with_other_work() -> None:
    failing = stream([(0.5, event("error", 2))], name="a", subscriber="a", names=JOB, ended=0.6)
    for state in ("failed", "cancelled"):
        judgement = others_unaffected.judge(explored(REFUSED, failing, look(1.0, state=state)))
        assert judgement.verdict == "not-applicable"


def test_other_work_that_was_left_alone_may_stop_for_that() -> None:
    def judged(abandoned: str | None) -> str:
        expect = msgspec.structs.replace(EXPECT, abandoned=abandoned)
        names = {"job": "j2"}
        leaves = [
            msgspec.structs.replace(each, names=names) if hasattr(each, "names") else each
            for each in left("other", 0.0, 0.3, 1)
        ]
        back = stream(
            [(0.5, event("error", 2, "j2"))], name="other-2", subscriber="other", names=names, at=0.4
        )
        records = (part("a", 1), cancelled(0.25), leaves, back, look(1.0, state="cancelled", names=names))
        return others_unaffected.judge(made_up(*records, terms=held_to(expect), scenario="explore")).verdict

    assert judged("continues") == "broken"
    assert judged("stops") == judged(None) == "inconclusive"


def test_work_is_not_stopped_for_one_who_leaves() -> None:
    leaves = _named(left("b", 0.0, 0.3, 1))

    def stays(kind: str, at: float = 0.5) -> list[Record]:
        body = [(0.1, event("progress", 1)), (at, event(kind, 2))]
        return stream(body, name="a", subscriber="a", names=JOB, ended=at + 0.1)

    unwatched = stream(name="c", subscriber="c", names=JOB, how="dropped", ended=0.0)
    stopped = look(1.0, state="cancelled")
    judgement = others_unaffected.judge(explored(leaves, stays("error"), stopped))
    assert judgement.verdict == "broken"
    assert "a, who stayed, was told event 2 (error), though nobody had cancelled the work" in judgement.reason
    for records, verdict in (
        ((leaves, stays("error"), look(1.0, state="failed")), "inconclusive"),  # for a reason of its own
        ((leaves, stays("error", 0.2), stopped), "inconclusive"),  # before
        ((leaves, stays("complete"), look(1.0, state="completed")), "conforms"),
        ((stays("error"), stopped), "not-applicable"),  # nobody left
        ((unwatched, leaves, stays("error"), stopped), "inconclusive"),  # for who had left before
    ):
        assert others_unaffected.judge(explored(*records)).verdict == verdict


@pytest.mark.parametrize("rule", [stream_told, stays_cancelled, twice])
def test_that_nobody_cancelled_is_said(rule: Rule) -> None:
    judgement = rule.judge(explored(part("a", 1, 2)))
    assert (judgement.verdict, judgement.reason) == ("inconclusive", "nobody cancelled the work")
