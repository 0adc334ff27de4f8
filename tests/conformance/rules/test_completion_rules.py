"""The rules of the area completion that look at who is told, on histories that are made up."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import answered, made_up, stream
from made_up_tasks import (
    ALL,
    CUT,
    HEARTBEAT,
    NAMES,
    PLAIN,
    RESUMABLE,
    SHARED,
    SILENT_ON_FAILURE,
    STATUS,
    UNTOLD,
    WHOLE,
    Pieces,
    asked,
    event,
    judged,
    on,
    sent,
)

from conformance.config import Expect
from conformance.dialect import Dialect, Matcher
from conformance.history import Ended, History, How, Record, Requested, StatusTerms, Terms
from conformance.rules import Judgement
from conformance.rules.completion import delivered
from conformance.rules.completion_closing import clean_close
from conformance.rules.completion_events import end_marker, last, once
from conformance.rules.completion_late import late_subscriber
from conformance.rules.completion_status import status_agrees
from fault_injection.faults import Buffer, Latency, Plan, Slice

# delivered


def test_a_completion_that_came_is_delivered() -> None:
    assert judged(delivered, stream(WHOLE)) == Judgement("conforms", "1 subscriber that was told")
    assert judged(delivered, stream(sent("progress", "error"))).verdict == "conforms"


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            stream(UNTOLD, ended=0.3),
            "a was ended at 0.300 s without a completion, after event 2 (progress) at 0.200 s",
        ),
        (stream(ended=0.3), "a was ended at 0.300 s without a completion, without a single event"),
        (
            stream(UNTOLD, how="truncated", ended=0.3, detail="the connection ended before the response did"),
            "a was cut off at 0.300 s before the completion (the connection ended before the response did), "
            "after event 2 (progress) at 0.200 s",
        ),
        (
            stream([*UNTOLD, (4.0, HEARTBEAT), (8.0, HEARTBEAT)], how="timeout", ended=10.0),
            "a is still silent after 10 s (limits.completion), and nothing but 2 heartbeats came "
            "after event 2 (progress) at 0.200 s",
        ),
        (
            stream(how="timeout", ended=10.0),
            "a is still silent after 10 s (limits.completion), and nothing came",
        ),
        (
            stream(sent("progress", "stream_end"), how="timeout", ended=2.2),
            "a got the end marker at 0.200 s and no completion before it",
        ),
    ],
    ids=["ended", "empty", "cut off", "silent", "nothing at all", "marker only"],
)
def test_a_completion_that_did_not_come_says_how_it_was_missed(records: list[Record], said: str) -> None:
    judgement = judged(delivered, records)
    assert judgement.verdict == "broken"
    assert judgement.reason == said
    assert judgement.findings[0].evidence[0].connection == "a"


@pytest.mark.parametrize(
    ("how", "detail", "seen"),
    [
        ("complete", "", "the end of the response"),
        ("truncated", "no last chunk", "the response broke off: no last chunk"),
        ("reset", "the connection was reset", "the connection was reset"),
    ],
)
def test_the_end_of_a_response_does_not_read_as_a_completion(how: How, detail: str, seen: str) -> None:
    judgement = judged(delivered, stream(UNTOLD, how=how, ended=0.3, detail=detail))
    assert judgement.findings[0].evidence[0].actual == seen


def test_the_status_endpoint_that_knows_better_is_quoted() -> None:
    judgement = judged(delivered, stream(UNTOLD, ended=0.3), asked("completed"))
    assert judgement.reason.endswith("; the status endpoint said 'completed' at 1.000 s")
    assert "status" not in judged(delivered, stream(UNTOLD, ended=0.3), asked("running")).reason
    other = answered("status", at=1.0, body='{"state": "completed"}', names={"job": "j2"})
    assert "status" not in judged(delivered, stream(UNTOLD, ended=0.3), other).reason
    told = answered("other", at=1.0, body='{"state": "completed"}', names=NAMES)
    assert "status" not in judged(delivered, stream(UNTOLD, ended=0.3), told).reason


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (stream(UNTOLD, how="dropped"), "no subscriber stayed to the end"),
        (stream(UNTOLD, how="truncated", fired=[(0.2, CUT)]), "no subscriber stayed to the end"),
        (stream(status=0, how="refused", detail="nobody listens"), "no response (nobody listens)"),
        (
            stream([(t / 2, event(t)) for t in range(1, 20)], how="timeout", ended=10.0),
            "a still brought events",
        ),
        (
            stream(UNTOLD, how="watched", ended=5.0),
            "a was watched for 5 s, which is less than limits.completion",
        ),
        (stream(UNTOLD, how="body-limit"), "a is not known to its end: body-limit"),
        (stream(UNTOLD, how=None), "a is not known to its end: open"),
    ],
    ids=["left", "cut by the link", "refused", "goes on", "watched", "too much", "record stops"],
)
def test_what_the_record_does_not_show_is_not_judged(records: list[Record], reason: str) -> None:
    judgement = judged(delivered, records)
    assert judgement.verdict == "inconclusive"
    assert judgement.reason.startswith(reason)


PATIENT = msgspec.structs.replace(SHARED, limits=msgspec.structs.replace(SHARED.limits, head=10.0))
LEFT = stream(UNTOLD, how="dropped", ended=0.3)
UNANSWERED = stream(
    name="a-2",
    subscriber="a",
    at=1.0,
    status=0,
    how="timeout",
    ended=11.0,
    detail="no response head within 10 s",
)
SLICED = Plan((Slice(size=64, gap=0.01),))


@pytest.mark.parametrize(
    ("others", "terms", "plan", "verdict", "reason"),
    [
        ((), PATIENT, None, "broken", "no response head within 10 s"),
        ((), SHARED, None, "inconclusive", "no response head within 10 s"),  # usually it is given up before
        ((), PATIENT, Plan((CUT, Latency(0.5))), "broken", "within 10 s"),
        ((), PATIENT, Plan((Latency(6.0),)), "inconclusive", "; the link may have held the answer"),
        ((), PATIENT, SLICED, "broken", "within 10 s"),
        ((), PATIENT, Plan((Buffer(size=4096),)), "inconclusive", "; the link may have held the answer"),
        (
            [stream(name="b", how="dropped", ended=5.0)],
            PATIENT,
            None,
            "inconclusive",
            "for b, who was not there",
        ),
        (
            [stream(name="b", at=12.0, how="dropped", ended=13.0)],
            PATIENT,
            None,
            "inconclusive",
            "b, who was not there",
        ),
        ([stream(name="b", status=0, how="timeout", ended=11.5)], PATIENT, None, "broken", "within 10 s"),
        ([stream(WHOLE, name="b")], PATIENT, None, "broken", "within 10 s"),
        (
            [stream(name="b", how="dropped", ended=5.0), asked("completed", 11.0)],
            PATIENT,
            None,
            "broken",
            "; the status endpoint said 'completed' at 11.000 s",
        ),
    ],
)
def test_who_gets_no_head_for_as_long_as_the_work_may_take(
    others: list[list[Record]], terms: Terms, plan: Plan | None, verdict: str, reason: str
) -> None:
    judgement = judged(delivered, LEFT, UNANSWERED, *others, terms=terms, plan=plan)
    assert (judgement.verdict, judgement.reason[-len(reason) :]) == (verdict, reason)
    assert judgement.reason.startswith("a left at 0.300 s; coming back, a-2 got no response head")


def test_bytes_that_the_link_still_holds_are_not_the_servers_fault() -> None:
    whole = b"".join(piece if isinstance(piece, bytes) else piece.encode() for _, piece in WHOLE)
    held = stream([], how="timeout", ended=10.0, relayed=[(0.4, whole)])
    judgement = judged(delivered, held, plan=Plan((Buffer(size=4096),)), scenario="buffering-middlebox")
    assert judgement.verdict == "inconclusive"
    assert f"it still holds {len(whole)} bytes" in judgement.reason


def test_a_link_that_holds_nothing_back_is_no_excuse() -> None:
    plan = Plan((Buffer(size=4096),))
    for relayed in (None, UNTOLD):
        silent = stream(UNTOLD, how="timeout", ended=10.0, relayed=relayed)
        assert judged(delivered, silent, plan=plan, scenario="slow-network").verdict == "broken"


def test_an_answer_that_is_no_event_stream_is_left_to_the_http_rules() -> None:
    page = stream([(0.1, "<html>")], headers=[("content-type", "text/html")])
    assert judged(delivered, page) == Judgement("not-applicable", "the response is no event stream")
    assert judged(delivered, stream(status=404)).verdict == "not-applicable"


def test_a_server_that_can_resume_may_end_a_response_early() -> None:
    early = stream(UNTOLD, ended=0.3)
    rest = stream(sent("complete", at=0.4, first=3), name="a-2", at=0.4, sent=[("Last-Event-ID", "2")])
    assert judged(delivered, early, terms=RESUMABLE).verdict == "inconclusive"
    assert judged(delivered, early, rest, terms=RESUMABLE).verdict == "conforms"
    nothing = stream(name="a-2", at=0.4, ended=0.5, sent=[("Last-Event-ID", "2")])
    judgement = judged(delivered, early, nothing, terms=RESUMABLE)
    assert judgement.verdict == "broken"
    assert "coming back, a-2 was ended at 0.500 s" in judgement.reason
    stopped = stream(name="a-2", at=0.4, status=204, sent=[("Last-Event-ID", "2")])
    judgement = judged(delivered, early, stopped, terms=RESUMABLE)
    assert judgement.verdict == "broken"
    assert "coming back, a-2 was answered with 204" in judgement.reason
    gone = stream(name="a-2", at=0.4, status=404, sent=[("Last-Event-ID", "2")])
    assert judged(delivered, early, gone, terms=RESUMABLE).verdict == "inconclusive"


def test_every_subscriber_counts() -> None:
    silent = stream(UNTOLD, name="b", how="timeout", ended=10.0)
    judgement = judged(delivered, stream(WHOLE), silent, terms=SHARED, scenario="two-subscribers")
    assert judgement.verdict == "broken"
    assert judgement.reason.startswith("b is still silent")


@pytest.mark.parametrize(
    ("terms", "second", "verdict"),
    [
        (PLAIN, stream(name="a", at=1.0, ended=1.1), "inconclusive"),
        (SHARED, stream(name="a", at=1.0, ended=1.1), "inconclusive"),
        (ALL, stream(name="a", at=1.0, ended=1.1), "broken"),
        (SHARED, stream(name="a", at=1.0, how="timeout", ended=11.0), "broken"),
        (PLAIN, stream(name="a", at=1.0, how="timeout", ended=11.0), "inconclusive"),
    ],
    ids=["not shared", "shared, ended", "all promised", "shared, silent", "not shared, silent"],
)
def test_who_comes_second_is_told_as_far_as_was_promised(
    terms: Terms, second: list[Record], verdict: str
) -> None:
    gone = stream(UNTOLD, name="gone", how="dropped", ended=0.5)
    assert judged(delivered, gone, second, terms=terms, scenario="disconnect-mid-stream").verdict == verdict


def test_a_late_subscriber_is_not_judged_twice() -> None:
    late = stream(name="late", at=1.0, how="timeout", ended=11.0)
    assert (
        judged(delivered, stream(WHOLE), late, terms=SHARED, scenario="after-completion").verdict
        == "conforms"
    )


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_the_way_in_which_bytes_are_cut_changes_no_verdict(sizes: list[int]) -> None:
    whole = b"".join(piece if isinstance(piece, bytes) else piece.encode() for _, piece in WHOLE)
    pieces: Pieces = []
    while whole:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append((0.1, whole[:size]))
        whole = whole[size:]
    for rule in (delivered, once, last, end_marker, clean_close):
        assert judged(rule, stream(pieces)).verdict == "conforms", rule.name


# late-subscriber


def late(records: list[Record], terms: Terms = SHARED, first: list[Record] | None = None) -> Judgement:
    return judged(
        late_subscriber, first or stream(WHOLE, ended=0.4), records, terms=terms, scenario="after-completion"
    )


@pytest.mark.parametrize(
    ("records", "shared", "replayed"),
    [
        (stream(WHOLE[2:], name="late", at=1.0, ended=1.1), "conforms", "broken"),
        (stream(WHOLE, name="late", at=1.0, ended=1.1), "conforms", "conforms"),
        (stream(name="late", at=1.0, status=404), "conforms", "broken"),
        (stream(name="late", at=1.0, status=204), "conforms", "broken"),
        (stream(name="late", at=1.0, ended=1.1), "conforms", "broken"),
        (stream(name="late", at=1.0, how="timeout", ended=11.0), "broken", "broken"),
        (stream(name="late", at=1.0, status=0, how="timeout", ended=6.0), "broken", "broken"),
        (stream(name="late", at=1.0, status=500), "inconclusive", "inconclusive"),
        (
            stream(name="late", at=1.0, headers=[("content-type", "application/json")]),
            "inconclusive",
            "inconclusive",
        ),
        (stream(name="late", at=1.0, status=0, how="refused"), "inconclusive", "inconclusive"),
        (stream(name="late", at=1.0, how="truncated", ended=1.1), "inconclusive", "broken"),
        (stream(name="late", at=1.0, how="watched", ended=5.0), "not-applicable", "inconclusive"),
    ],
    ids=[
        *(
            "the end",
            "all",
            "404",
            "204",
            "ended",
            "silent",
            "no head",
            "500",
            "no stream",
            "refused",
            "truncated",
        ),
        "endless",
    ],
)
def test_who_comes_after_the_completion(records: list[Record], shared: str, replayed: str) -> None:
    assert late(records).verdict == shared
    assert late(records, ALL).verdict == replayed


def test_who_comes_in_the_middle_must_get_the_rest() -> None:
    first = stream(WHOLE, ended=0.4)
    got = stream(sent("progress", at=0.1, first=2), name="late", at=0.15, ended=0.4)
    judgement = judged(late_subscriber, first, got, terms=SHARED, scenario="late-subscriber")
    assert judgement.verdict == "broken"
    assert judgement.reason.startswith("late came in the middle of the stream and was ended at 0.400 s")


def test_what_a_late_subscriber_lost_is_named() -> None:
    judgement = late(stream(WHOLE[1:], name="late", at=1.0, ended=1.1), ALL)
    assert judgement.reason.startswith("late came after the completion and never got event 1")


def test_events_without_a_name_are_counted_where_it_is_known_how_many() -> None:
    typed = Dialect(completion=(Matcher(event="complete"),))
    whole: Pieces = [
        (0.1, event(None, text="x")),
        (0.2, event(None, text="x")),
        (0.3, event(None, "complete")),
    ]
    counted = on(Expect(shared=True, replay="all", events=3), typed)
    uncounted = on(Expect(shared=True, replay="all"), typed)
    first, less = stream(whole, ended=0.3), stream(whole[1:], name="late", at=1.0, ended=1.0)
    assert late(less, counted, first).verdict == "broken"
    assert late(stream(whole, name="late", at=1.0), counted, first).verdict == "conforms"
    assert late(stream(whole, name="late", at=1.0), uncounted, first).verdict == "conforms"
    other: Pieces = [(1.1, event(None, text="y")), *whole[2:]]
    assert late(stream(other, name="late", at=1.0, ended=1.1), uncounted, first).verdict == "inconclusive"


def test_without_a_completion_there_is_nothing_to_come_after() -> None:
    assert late(stream(WHOLE, name="late", at=1.0), first=stream(UNTOLD, ended=0.3)).verdict == "inconclusive"
    assert judged(late_subscriber, stream(WHOLE), terms=SHARED).verdict == "inconclusive"


# status-agrees


@pytest.mark.parametrize(
    ("groups", "verdict", "said"),
    [
        ([stream(WHOLE), asked("completed")], "conforms", "1 answer"),
        (
            [stream(WHOLE), asked("running")],
            "broken",
            "said 'running' at 1.000 s, but a had got event 3 (complete)",
        ),
        (
            [stream(UNTOLD, ended=0.3), asked("completed")],
            "broken",
            "but the stream never said so: a was ended",
        ),
        ([stream(how="timeout", ended=0.9), asked("completed")], "broken", "but the stream never said so"),
        ([stream(UNTOLD, ended=0.3), asked("running")], "inconclusive", "neither the stream nor the status"),
        ([stream(UNTOLD, how="dropped"), asked("completed")], "inconclusive", "a left at"),
        ([stream(UNTOLD, ended=3.0), asked("completed")], "inconclusive", "had not been read to its end"),
        (
            [stream(sent("complete", at=2.0)), asked("completed")],
            "inconclusive",
            "had not been read to its end",
        ),
        ([stream(WHOLE)], "inconclusive", "the status was not asked"),
        ([stream(WHOLE), asked("completed", status=404)], "inconclusive", "the status endpoint answered 404"),
        ([stream(WHOLE), answered("status", at=1.0, names=NAMES)], "inconclusive", "no value at /state"),
        ([stream(WHOLE), asked(True)], "broken", "said True"),
    ],
    ids=[
        *(
            "agree",
            "status late",
            "stream silent",
            "stream open",
            "both",
            "left",
            "not read",
            "later",
            "not asked",
        ),
        *("gone", "no state", "other type"),
    ],
)
def test_the_status_agrees(groups: list[list[Record]], verdict: str, said: str) -> None:
    judgement = judged(status_agrees, *groups)
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_a_status_endpoint_that_does_not_answer_says_nothing() -> None:
    unanswered: list[Record] = [
        Requested(
            time=1.0, exchange="status", purpose="status", method="GET", url="http://127.0.0.1", names=NAMES
        ),
        Ended(time=6.0, exchange="status", how="timeout", detail="no complete answer within 5 s"),
    ]
    judgement = judged(status_agrees, stream(WHOLE), unanswered)
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == "the status endpoint did not answer: no complete answer within 5 s"


def test_a_status_may_lag_where_that_is_declared() -> None:
    lagging = msgspec.structs.replace(PLAIN, limits=msgspec.structs.replace(PLAIN.limits, status=0.5))
    early = asked("running", 0.8)  # it was told at 0.3 s
    at_last, late = asked("completed", 0.85, name="status-2"), asked("running", 0.9, name="status-3")
    assert judged(status_agrees, stream(WHOLE), early, terms=PLAIN).verdict == "broken"
    alone = judged(status_agrees, stream(WHOLE), early, terms=lagging)
    assert alone.verdict == "inconclusive"
    assert alone.reason == "the status was asked only while it may lag behind the stream (limits.status)"
    assert judged(status_agrees, stream(WHOLE), early, at_last, terms=lagging).verdict == "conforms"
    judgement = judged(status_agrees, stream(WHOLE), early, late, terms=lagging)
    assert judgement.verdict == "broken"
    assert judgement.reason.endswith("at 0.300 s, more than 0.5 s before (limits.status)")
    assert len(judgement.findings) == 1  # the early one is none
    silent = judged(status_agrees, stream(UNTOLD, ended=0.3), asked("completed", 0.4), terms=lagging)
    assert silent.verdict == "broken"  # it may lag, and not run ahead


def test_a_failure_that_nobody_declared_may_have_been_told() -> None:
    groups = stream(UNTOLD, ended=0.3), asked("failed")
    for terms, verdict in ((PLAIN, "broken"), (SILENT_ON_FAILURE, "inconclusive")):
        assert judged(status_agrees, *groups, terms=terms, scenario="failing-job").verdict == verdict


def test_a_state_of_another_work_says_nothing() -> None:
    other = answered("status", at=1.0, body='{"state": "running"}', names={"job": "j2"})
    assert judged(status_agrees, stream(WHOLE), other).verdict == "inconclusive"


def test_true_is_not_one() -> None:
    terms = msgspec.structs.replace(PLAIN, status=StatusTerms(pointer="/state", finished=(1,)))
    assert judged(status_agrees, stream(WHOLE), asked(1), terms=terms).verdict == "conforms"
    assert judged(status_agrees, stream(WHOLE), asked(True), terms=terms).verdict == "broken"


def test_a_history_survives_its_file(tmp_path: Any) -> None:
    """Terms with a status are written and read like the rest."""
    from conformance.history import load

    records = made_up(stream(WHOLE), asked("running"), terms=PLAIN).records
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    loaded: History = load(path)
    assert loaded.terms.status == STATUS
    assert status_agrees.judge(loaded).verdict == "broken"
