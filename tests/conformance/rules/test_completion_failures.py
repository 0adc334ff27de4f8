"""Completion: failures, and clients that leave early, on histories that are made up."""

from typing import Any

import pytest
from made_up import marked, stream
from made_up_tasks import (
    PLAIN,
    RESUMABLE,
    SILENT_ON_FAILURE,
    UNTOLD,
    WHOLE,
    Pieces,
    asked,
    event,
    judged,
    sent,
)

from conformance.history import Ended, Record, Requested, Terms
from conformance.rules import Judgement
from conformance.rules.completion_closing import early_close_tolerated
from conformance.rules.completion_failure import failure_reported

# failure-reported


def failing(pieces: Pieces, terms: Terms = PLAIN, **others: Any) -> Judgement:
    return judged(failure_reported, stream(pieces, **others), terms=terms, scenario="failing-job")


@pytest.mark.parametrize(
    ("pieces", "declared", "undeclared"),
    [
        (sent("progress", "error", "stream_end"), "conforms", "inconclusive"),
        (sent("progress"), "broken", "broken"),
        ([], "broken", "broken"),
        (sent("progress", "complete"), "broken", "inconclusive"),
        ([(0.1, event(1, "complete", error="out of memory"))], "conforms", "conforms"),
        ([(0.1, event(1, "complete", state="failed"))], "conforms", "conforms"),
        ([(0.1, event(1, "complete", result={"status": "error"}))], "conforms", "conforms"),
        ([(0.1, event(1, "complete", error=None))], "broken", "inconclusive"),
        ([(0.1, event(1, "step_failed")), (0.2, event(2, "complete"))], "inconclusive", "inconclusive"),
    ],
    ids=["told", "bare end", "empty", "success", "error", "state", "nested", "no error", "hint"],
)
def test_a_failure_is_reported(pieces: Pieces, declared: str, undeclared: str) -> None:
    assert failing(pieces).verdict == declared
    assert failing(pieces, SILENT_ON_FAILURE).verdict == undeclared


def test_a_failure_may_be_told_before_the_stream_begins() -> None:
    assert failing([], status=400).verdict == "conforms"
    assert failing([], status=0, how="refused").verdict == "inconclusive"
    assert failing([], how="timeout", ended=10.0).verdict == "broken"
    assert failing([], Terms()).verdict == "not-applicable"


def test_a_failure_that_is_not_told_is_quoted_from_the_status() -> None:
    judgement = judged(failure_reported, stream(UNTOLD, ended=0.3), asked("failed"), scenario="failing-job")
    assert judgement.reason.startswith("the work failed and nobody was told: a was ended at 0.300 s")
    assert judgement.reason.endswith("; the status endpoint said 'failed' at 1.000 s")


def test_204_to_who_comes_back_tells_of_no_failure() -> None:
    ended = stream(UNTOLD, ended=0.3)
    back = stream(status=204, name="a-2", subscriber="a", at=1.3, sent=[("Last-Event-ID", "1")])
    judgement = judged(failure_reported, ended, back, terms=RESUMABLE, scenario="failing-job")
    assert judgement.verdict == "broken"
    assert judgement.reason.startswith("the work failed and nobody was told: a was ended at 0.300 s")
    assert judgement.reason.endswith("; it came back, and got 204")
    assert judged(failure_reported, ended, terms=RESUMABLE, scenario="failing-job").verdict == "inconclusive"


# early-close-tolerated


def left(*groups: list[Record]) -> Judgement:
    hasty = stream(sent("progress", "complete"), name="hasty", how="dropped")
    return judged(early_close_tolerated, hasty, *groups, scenario="close-at-completion")


def next_one(pieces: Pieces, **others: Any) -> list[Record]:
    return stream(pieces, at=1.0, names={"job": "j2"}, **others)


AFTERWARDS = sent("progress", "complete", at=1.0)


@pytest.mark.parametrize(
    ("groups", "verdict", "said"),
    [
        ([asked("completed"), next_one(AFTERWARDS)], "conforms", "1 stream after it"),
        (
            [asked("running", 0.1, name="before"), asked("x", status=500), next_one(AFTERWARDS)],
            "broken",
            "after a client had left at the completion, the status endpoint answered 500",
        ),
        (
            [asked("x", 0.1, name="before", status=500), asked("x", status=500), next_one(AFTERWARDS)],
            "inconclusive",
            "before the client had left at the completion, too, the status endpoint answered 500",
        ),
        ([next_one([], status=0, how="refused", detail="nobody listens")], "broken", "nobody listens"),
        ([next_one([], status=0, how="timeout", ended=6.0)], "broken", "the next stream got no response"),
        ([next_one([], status=503)], "broken", "the next stream was answered with 503"),
        ([next_one([], how="timeout", ended=11.0)], "broken", "the next stream is still silent"),
        ([next_one([], ended=1.1)], "inconclusive", "was ended"),  # `completion.delivered` has its say
        ([marked("not started again", 0.6, "POST /jobs answered 500")], "broken", "POST /jobs answered 500"),
        ([], "inconclusive", "no stream came after it"),
    ],
    ids=[
        "right",
        "status",
        "status before",
        "refused",
        "hangs",
        "503",
        "silent",
        "ended",
        "not started",
        "nothing",
    ],
)
def test_an_early_close_does_no_harm(groups: list[list[Record]], verdict: str, said: str) -> None:
    judgement = left(*groups)
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_without_a_hasty_subscriber_there_was_no_early_close() -> None:
    for records in (stream(UNTOLD, name="hasty"), stream(name="hasty", status=404), stream(WHOLE, name="b")):
        judgement = judged(
            early_close_tolerated, records, next_one(AFTERWARDS), scenario="close-at-completion"
        )
        assert judgement == Judgement("inconclusive", "the hasty subscriber saw no completion to leave at")


def unanswered(name: str, at: float) -> list[Record]:
    return [
        Requested(time=at, exchange=name, purpose="status", method="GET", url="http://127.0.0.1:8000"),
        Ended(time=at + 5, exchange=name, how="timeout", detail="no complete answer within 5 s"),
    ]


def test_a_status_endpoint_that_answers_no_more_is_harm() -> None:
    judgement = left(asked("running", 0.1, name="before"), unanswered("status", 0.5), next_one(AFTERWARDS))
    assert judgement.verdict == "broken"


def test_a_status_endpoint_that_never_answered_was_not_harmed() -> None:
    judgement = left(unanswered("before", 0.1), unanswered("status", 0.5), next_one(AFTERWARDS))
    assert judgement.verdict == "inconclusive"
    assert judgement.reason.endswith("too, the status endpoint did not answer: no complete answer within 5 s")
    unknown = left(unanswered("status", 0.5), next_one(AFTERWARDS))
    assert unknown.verdict == "inconclusive"
    assert unknown.reason.endswith("and it was not asked before the client left at the completion")
    assert judgement.reason.endswith("the status endpoint did not answer: no complete answer within 5 s")
