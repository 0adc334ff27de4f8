"""Cancel: each verdict of each rule, on made-up histories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import made_up, stream
from made_up_looks import cancelled, event, held_to, left, look, sample

from conformance.config import Expect
from conformance.history import History, Record
from conformance.rules import Judgement
from conformance.rules.cancel import before_head, noticed
from conformance.rules.cancel_request import acknowledged, twice
from conformance.rules.cancel_streams import others_unaffected, stays_cancelled, stream_told, superseded
from conformance.rules.cancel_work import work_stops, work_survives
from conformance.rules.completion_fate import evidence_of

OTHER = {"job": "j2"}
STOPS = Expect(terminates=True, abandoned="stops", shared=True)
CONTINUES = Expect(terminates=True, abandoned="continues", shared=True)


def leaving(*groups: list[Record], **options: object) -> History:
    return made_up(*groups, terms=held_to(**options), scenario="leaving")  # type: ignore[arg-type]


def cancel(*groups: list[Record]) -> History:
    return made_up(*groups, terms=held_to(), scenario="cancel")


def abandoned(*groups: list[Record], expect: Expect = STOPS) -> History:
    return made_up(*groups, terms=held_to(expect), scenario="abandoned")


# noticed

WATCHED = (look(0.0, subscribers=0), left("a", 0.1, 1.0, 1), look(0.5, subscribers=1))


def test_a_subscriber_who_is_counted_no_more_was_noticed() -> None:
    assert noticed.judge(leaving(*WATCHED, look(1.1, subscribers=0))).verdict == "conforms"


def test_a_subscriber_who_is_still_counted_after_the_limit_was_not() -> None:
    judgement = noticed.judge(leaving(*WATCHED, look(1.1, subscribers=1), look(3.1, subscribers=1)))
    assert judgement.verdict == "broken"
    assert "a was gone at 1.000 s, and 2.1 s later the server still counted 1" in judgement.reason


def test_between_two_looks_around_the_limit_nothing_is_known() -> None:
    judgement = noticed.judge(leaving(*WATCHED, look(2.9, subscribers=1), look(3.1, subscribers=0)))
    assert judgement.verdict == "inconclusive"
    assert "not yet after 1.900 s, and so after 2.100 s" in judgement.reason


def test_an_answer_that_was_slow_counts_when_it_was_asked_for() -> None:
    slow = look(2.9, took=1.0, subscribers=1)  # it may have been so at 2.9 s, when the limit had not passed
    assert noticed.judge(leaving(*WATCHED, slow, look(4.0, subscribers=0))).verdict == "inconclusive"


def test_an_answer_that_came_after_the_limit_does_not_show_that_it_was_over_before() -> None:
    slow = look(2.9, took=0.3, subscribers=0)
    judgement = noticed.judge(leaving(*WATCHED, look(2.5, subscribers=1), slow))
    assert judgement.verdict == "inconclusive"
    assert "not yet after 1.500 s, and so after 2.200 s" in judgement.reason


def test_whoever_takes_long_to_be_gone_is_not_held_against_the_server() -> None:
    slow = (look(0.0, subscribers=0), left("a", 0.1, 1.0, 1, gone=1.5), look(0.5, subscribers=1))
    assert noticed.judge(leaving(*slow, look(3.2, subscribers=1))).verdict == "inconclusive"
    assert noticed.judge(leaving(*slow, look(3.6, subscribers=1))).verdict == "broken"


def test_a_count_that_never_rises_tells_nothing() -> None:
    still = (look(0.0, subscribers=0), left("a", 0.1, 1.0, 1), look(0.5, subscribers=0))
    judgement = noticed.judge(leaving(*still, look(1.1, subscribers=0)))
    assert judgement.verdict == "inconclusive"
    assert "did not rise" in judgement.reason


def test_other_works_count_is_of_no_concern() -> None:
    others = look(3.5, subscribers=7, names=OTHER)
    assert noticed.judge(leaving(*WATCHED, look(1.1, subscribers=0), others)).verdict == "conforms"


def test_the_gauge_counts_where_the_status_does_not() -> None:
    watched = (sample(0.0, subscribers=2), left("a", 0.1, 1.0, 1), sample(0.5, subscribers=3))
    assert noticed.judge(leaving(*watched, sample(1.1, subscribers=2), status=None)).verdict == "conforms"
    assert noticed.judge(leaving(*watched, sample(3.1, subscribers=3), status=None)).verdict == "broken"


def test_the_gauge_counts_whoever_comes_next_so_looks_end_there() -> None:
    watched = (sample(0.0, subscribers=0), left("a", 0.1, 1.0, 1), sample(0.5, subscribers=1))
    after = (
        sample(1.1, subscribers=0),
        left("b", 1.2, 4.0, 1),
        sample(3.5, subscribers=1),
        sample(4.1, subscribers=0),
    )
    assert noticed.judge(leaving(*watched, *after, status=None)).verdict == "conforms"


def test_what_nobody_looked_at_is_not_known() -> None:
    assert noticed.judge(leaving(left("a", 0.1, 1.0, 1))).verdict == "inconclusive"
    assert noticed.judge(leaving(*WATCHED)).verdict == "inconclusive"


@given(
    gone=st.floats(0.0, 5.0),
    took=st.floats(0.0, 0.8),
    every=st.floats(0.03, 0.3),
)
def test_however_slow_the_answers_no_verdict_is_wrong(gone: float, took: float, every: float) -> None:
    """A server that notices `gone` seconds after the subscriber left, whose answers are true in the middle of their
    way."""
    looks: list[Record] = []
    at = 1.0
    while at < 6.5:
        looks += look(at, took, subscribers=int(at + took / 2 < 1.0 + gone))
        at += every
    verdict = noticed.judge(leaving(*WATCHED, looks)).verdict
    assert verdict != ("broken" if gone <= 2 else "conforms")
    if abs(gone - 2) > took + every:
        assert verdict == ("broken" if gone > 2 else "conforms")


# before-head

KNOWN = ("target.probe.gauges.tasks",)


def test_a_client_that_was_gone_before_the_head_leaves_nothing() -> None:
    gone = left("a", 0.1, 0.2, head=False)
    before = (look(0.0, subscribers=0), sample(0.05, tasks=3), gone)
    after = (look(0.3, subscribers=0), sample(0.4, tasks=3))
    assert before_head.judge(leaving(*before, *after, also=KNOWN)).verdict == "conforms"
    kept = before_head.judge(leaving(*before, look(0.3, subscribers=0), sample(2.5, tasks=4), also=KNOWN))
    assert kept.verdict == "broken"
    assert "the gauge tasks was 3 before it came and is 4 2.3 s after it left" in kept.reason
    soon = before_head.judge(leaving(*before, look(0.3, subscribers=0), sample(1.5, tasks=4), also=KNOWN))
    assert soon.verdict == "inconclusive"


def test_a_client_that_got_the_head_is_no_such_client() -> None:
    judgement = before_head.judge(
        leaving(look(0.0, subscribers=0), left("a", 0.1, 1.0, 1), look(5.0, subscribers=1))
    )
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == "nobody was gone before the head came"


def test_where_nothing_is_counted_what_a_client_left_behind_is_not_known() -> None:
    judgement = before_head.judge(leaving(left("a", 0.1, 0.2, head=False)))
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == "no count and no gauge could be read before the client came that was gone"


# work-stops

WATCHING = stream(
    [(0.5, event("progress", 1)), (1.2, event("error", 2)), (1.2, event("stream_end", 3))],
    name="a",
    ended=1.2,
)
RUNS = look(0.8, state="running")


def test_work_that_is_seen_to_have_stopped_in_time() -> None:
    assert (
        work_stops.judge(cancel(WATCHING, RUNS, cancelled(1.0), look(1.5, state="cancelled"))).verdict
        == "conforms"
    )


def test_work_that_goes_on_after_the_limit() -> None:
    judgement = work_stops.judge(cancel(WATCHING, RUNS, cancelled(1.0), look(3.3, state="running")))
    assert judgement.verdict == "broken"
    assert "still 'running' 2.3 s after the request to cancel it was answered at 1.000 s" in judgement.reason


def test_work_is_given_the_time_until_the_cancel_was_answered() -> None:
    slow = cancel(
        WATCHING, RUNS, cancelled(1.0, took=0.5), look(3.3, state="running"), look(3.6, state="cancelled")
    )
    assert work_stops.judge(slow).verdict == "inconclusive"


def test_work_that_ended_by_itself_was_not_seen_to_stop() -> None:
    judgement = work_stops.judge(cancel(WATCHING, RUNS, cancelled(1.0), look(1.5, state="completed")))
    assert judgement.verdict == "inconclusive"
    assert "target.variants.long" in judgement.reason
    before = work_stops.judge(
        cancel(WATCHING, look(0.8, state="completed"), cancelled(1.0), look(1.5, state="completed"))
    )
    assert "had ended before" in before.reason


def test_work_that_the_server_knows_no_more_has_stopped() -> None:
    assert (
        work_stops.judge(cancel(WATCHING, RUNS, cancelled(1.0), look(1.5, status=404))).verdict == "conforms"
    )


def test_a_cancel_that_was_refused_is_another_rules_concern() -> None:
    judgement = work_stops.judge(
        cancel(WATCHING, RUNS, cancelled(1.0, status=405), look(3.3, state="running"))
    )
    assert judgement.verdict == "inconclusive"


def test_without_a_status_late_events_tell() -> None:
    on = stream(
        [(0.5, event("progress", 1)), (5.0, event("progress", 2))], name="a", how="dropped", ended=6.0
    )
    judgement = work_stops.judge(cancel(on, cancelled(1.0)))
    assert judgement.verdict == "broken"
    assert "4 s after" in judgement.reason
    soon = stream(
        [(0.5, event("progress", 1)), (3.5, event("progress", 2))], name="a", how="dropped", ended=6.0
    )
    assert work_stops.judge(cancel(soon, cancelled(1.0))).verdict == "inconclusive"


def test_work_that_tells_on_has_not_stopped_whatever_its_status_says() -> None:
    def judged(*times: float) -> Judgement:
        pieces = [(at, event("progress", place)) for place, at in enumerate((0.5, *times), 1)]
        on = stream(pieces, name="a", how="dropped", ended=9.0)
        states = look(0.9, state="running"), look(1.2, state="cancelled")
        return work_stops.judge(cancel(on, *states, cancelled(1.0)))

    judgement = judged(1.5, 4.5, 5.0)
    assert judgement.verdict == "broken"
    assert "4 s after" in judgement.reason
    assert "the status endpoint said 'cancelled' at 1.200 s" in judgement.reason
    assert judged(1.5, 2.0).verdict == "conforms"
    assert judged(1.5, 5.0).verdict == "conforms", "a last word"


def test_abandoned_work_counts_from_the_last_who_left() -> None:
    both = (left("first", 0.0, 1.0, 1), left("last", 0.0, 2.0, 1, 2), look(1.5, state="running"))
    assert work_stops.judge(abandoned(*both, look(2.5, state="cancelled"))).verdict == "conforms"
    assert (
        work_stops.judge(abandoned(*both, look(3.9, state="running"), look(3.95, state="cancelled"))).verdict
        == "conforms"
    )
    assert work_stops.judge(abandoned(*both, look(4.1, state="running"))).verdict == "broken"
    assert (
        work_stops.judge(abandoned(*both, look(4.1, state="running"), expect=CONTINUES)).verdict
        == "not-applicable"
    )


def test_the_gauge_of_active_work_stands_in_for_a_status() -> None:
    def judged(*after: list[Record]) -> str:
        history = made_up(
            sample(0.0, active=1),
            left("last", 0.1, 1.0, 1),
            sample(0.9, active=2),
            *after,
            terms=held_to(STOPS, status=None),
            scenario="abandoned",
        )
        return work_stops.judge(history).verdict

    assert judged(sample(1.5, active=1)) == "conforms"
    assert judged(sample(3.5, active=2)) == "broken"


# work-survives


def test_work_that_is_to_go_on_does() -> None:
    on = (left("last", 0.0, 1.0, 1), look(0.9, state="running"), look(1.5, state="running"))
    survives = work_survives.judge(abandoned(*on, look(3.0, state="completed"), expect=CONTINUES))
    assert survives.verdict == "conforms"
    killed = work_survives.judge(abandoned(*on, look(3.0, state="cancelled"), expect=CONTINUES))
    assert killed.verdict == "broken"
    dead = work_survives.judge(abandoned(*on, look(11.5, state="running"), expect=CONTINUES))
    assert dead.verdict == "broken"
    assert "did not end within limits.completion" in dead.reason
    unknown = work_survives.judge(abandoned(*on, look(5.0, state="running"), expect=CONTINUES))
    assert unknown.verdict == "inconclusive"
    assert work_survives.judge(abandoned(*on, look(3.0, state="cancelled"))).verdict == "not-applicable"


# acknowledged, twice


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "conforms"), (204, "conforms"), (404, "broken"), (500, "broken")]
)
def test_a_cancel_is_answered_2xx(status: int, verdict: str) -> None:
    history = cancel(WATCHING, RUNS, cancelled(1.0, status=status), look(1.5, state="cancelled"))
    judgement = acknowledged.judge(history)
    assert judgement.verdict == verdict
    if judgement.findings:
        [evidence] = judgement.findings[0].evidence
        assert evidence.actual.startswith(str(status)), "after `got`"


def test_cancelled_work_is_called_so() -> None:
    judgement = acknowledged.judge(cancel(WATCHING, RUNS, cancelled(1.0), look(1.5, state="failed")))
    assert judgement.verdict == "broken"
    assert "says 'failed' of work that was cancelled" in judgement.reason


def test_a_completion_that_came_first_is_no_failure_to_cancel() -> None:
    done = stream([(0.5, event("progress", 1)), (1.0, event("complete", 2))], name="a")
    history = cancel(done, RUNS, cancelled(1.0, status=409), look(1.5, state="completed"))
    assert acknowledged.judge(history).verdict == "inconclusive"


def test_work_that_goes_on_to_its_completion_had_not_ended_before_it_was_cancelled() -> None:
    done = stream([(0.5, event("progress", 1)), (9.0, event("complete", 2))], name="a")
    judgement = acknowledged.judge(cancel(done, RUNS, cancelled(1.0), look(9.5, state="completed")))
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == "the work went on and completed 8 s later: see cancel.work-stops"
    refused = cancel(done, RUNS, cancelled(1.0, status=409), look(9.5, state="completed"))
    assert acknowledged.judge(refused).verdict == "broken"  # cancel.work-stops says nothing of it


def test_to_cancel_twice_changes_nothing() -> None:
    once = (WATCHING, RUNS, cancelled(1.0), look(1.5, state="cancelled"))
    assert twice.judge(cancel(*once)).verdict == "inconclusive"
    again = cancelled(2.0, name="cancel-2", status=409)
    assert twice.judge(cancel(*once, again, look(2.5, state="cancelled"))).verdict == "conforms"
    assert twice.judge(cancel(*once, again, look(2.5, state="running"))).verdict == "broken"
    crash = cancelled(2.0, name="cancel-2", status=500)
    assert twice.judge(cancel(*once, crash, look(2.5, state="cancelled"))).verdict == "broken"


# stream-told, stays-cancelled


def test_who_watches_is_told_and_the_stream_ends() -> None:
    assert stream_told.judge(cancel(WATCHING, cancelled(1.0))).verdict == "conforms"


@pytest.mark.parametrize(
    ("watching", "said"),
    [
        (stream([(0.5, event("progress", 1))], name="a", ended=1.2), "without a word"),
        (stream([(0.5, event("progress", 1))], name="a", how="reset", ended=1.2), "cut off"),
        (stream([(0.5, event("progress", 1))], name="a", how="dropped", ended=7.0), "was told nothing"),
        (stream([(4.0, event("error", 1))], name="a", ended=4.0), "only 3 s after"),
        (stream([(4.0, event("complete", 1))], name="a", ended=4.0), "was told event 1 (complete) 3 s after"),
        (stream([(1.2, event("error", 1))], name="a", how="dropped", ended=7.0), "was still open"),
    ],
)
def test_who_watches_is_not_told_or_is_left_waiting(watching: list[Record], said: str) -> None:
    judgement = stream_told.judge(cancel(watching, cancelled(1.0)))
    assert judgement.verdict == "broken"
    assert said in judgement.reason


@pytest.mark.parametrize(
    "watching",
    [
        stream([(0.5, event("complete", 1))], name="a", ended=0.6),
        stream(
            [(0.5, event("progress", 1)), (4.0, event("progress", 2))], name="a", how="dropped", ended=7.0
        ),
        stream([(0.5, event("progress", 1))], name="a", how="dropped", ended=1.5),
        stream([(0.5, event("progress", 1))], name="a", ended=0.9),
        stream([(0.5, event("progress", 1))], name="a", how="reset", ended=0.9),
    ],
    ids=["it had completed", "the work went on", "left too early", "it had ended", "it had been cut off"],
)
def test_where_nobody_could_be_told(watching: list[Record]) -> None:
    assert stream_told.judge(cancel(watching, cancelled(1.0))).verdict == "inconclusive"


def returning(status: int = 200, how: str = "complete", ended: float = 2.1) -> list[Record]:
    body = [(2.1, event("error", 2))] if status == 200 and how == "complete" else []
    return stream(body, name="back", at=2.0, status=status, how=how, ended=ended)  # type: ignore[arg-type]


def test_a_response_that_ends_before_the_work_does_is_no_word_about_it() -> None:
    watching = stream([(0.5, event("progress", 1))], name="a", ended=1.5)
    late, stopped = look(1.7, state="cancelling"), look(2.5, state="cancelled")
    told = stream([(3.1, event("error", 2))], name="back", at=3.0)
    sent_away = stream(name="back", at=3.0, status=204)
    resumable = Expect(terminates=True, resumable=True)
    for expect, records, verdict in (
        (resumable, (late, stopped, told), "inconclusive"),
        (resumable, (late, stopped, sent_away), "broken"),  # and nobody says why
        (resumable, (stopped, told), "broken"),  # the work had stopped, for all that is known
        (Expect(terminates=True), (late, stopped, told), "broken"),  # nobody need come back for the rest
    ):
        history = made_up(watching, cancelled(1.0), *records, terms=held_to(expect), scenario="cancel")
        assert stream_told.judge(history).verdict == verdict


STOPPED = (WATCHING, RUNS, cancelled(1.0), look(1.5, state="cancelled"))


def test_who_comes_back_is_sent_away_or_told() -> None:
    for back in (returning(), returning(status=204), returning(status=404)):
        assert (
            stays_cancelled.judge(cancel(*STOPPED, back, look(3.0, state="cancelled"))).verdict == "conforms"
        )


def test_an_answer_that_is_no_stream_is_shown_as_what_was_got() -> None:
    judgement = stays_cancelled.judge(cancel(*STOPPED, returning(status=503)))
    assert judgement.verdict == "broken"
    assert judgement.findings[0].evidence[0].actual.startswith("503")


def test_what_is_no_http_is_shown_as_what_was_got() -> None:
    [cut] = made_up(stream(how="protocol", detail="redirected again and again")).streams
    assert evidence_of(cut, "its end").actual == "redirected again and again"


def test_who_comes_back_must_not_set_it_going_or_wait() -> None:
    anew = stays_cancelled.judge(cancel(*STOPPED, returning(), look(3.0, state="running")))
    assert anew.verdict == "broken"
    assert "the status endpoint says 'running'" in anew.reason
    waiting = stays_cancelled.judge(
        cancel(*STOPPED, returning(how="dropped", ended=6.0), look(7.0, state="cancelled"))
    )
    assert waiting.verdict == "broken"
    assert "still open 4 s later" in waiting.reason
    assert stays_cancelled.judge(cancel(*STOPPED, returning(status=503))).verdict == "broken"
    never = (WATCHING, RUNS, cancelled(1.0), look(1.5, state="running"))
    assert stays_cancelled.judge(cancel(*never, returning())).verdict == "inconclusive"


def test_a_cancelled_state_stays_so() -> None:
    for also in ((), (returning(), look(2.5, state="cancelled"))):
        turned = stays_cancelled.judge(cancel(*STOPPED, returning(), *also, look(6.0, state="completed")))
        assert turned.verdict == "broken"
        assert turned.reason == (
            "the work ran on after it was said to be cancelled: the status endpoint said 'cancelled' at 1.500 s, and "
            "'completed' at 6.000 s"
        )
    for later in (look(6.0, state="cancelled"), look(6.0, status=404), look(6.0, status=500), []):
        assert stays_cancelled.judge(cancel(*STOPPED, returning(), later)).verdict == "conforms"
    failed = (WATCHING, RUNS, cancelled(1.0), look(1.5, state="failed"), returning())
    assert stays_cancelled.judge(cancel(*failed, look(6.0, state="completed"))).verdict == "conforms"


def again(at: float, *ids: int, status: int = 200) -> list[Record]:
    """Who comes back once more, when the cancellation is long over."""
    body = [(at, event("progress", id)) for id in ids]
    return stream(body, name=f"back at {at:g}", subscriber="back", at=at, status=status, ended=at + 0.1)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (again(3.5, status=204), again(4.5, status=204), "conforms"),
        (again(3.5, status=204), again(4.5, 3, 4, 5), "broken"),
        (again(3.5, 3, 4, 5), again(4.5, 6, 7, 8), "broken"),
        (again(3.5, 1, 2, 3, 4), again(4.5, 1, 2, 3, 4), "conforms"),
        (again(3.5, 3), again(4.5, 4, 5), "conforms"),  # they may greet
        (again(2.5, status=204), again(3.5, 3, 4, 5), "conforms"),  # made while it could still stop
        (again(3.5, status=503), again(4.5, 3, 4, 5), "conforms"),  # nobody knows what there was by then
    ],
    ids=["204", "more", "more and more", "the same", "greeting", "in time", "unseen"],
)
def test_cancelled_work_tells_no_more(first: list[Record], second: list[Record], verdict: str) -> None:
    judgement = stays_cancelled.judge(cancel(*STOPPED, returning(), first, second))
    assert judgement.verdict == verdict
    if verdict == "broken":
        assert judgement.reason.startswith(
            "the work ran on after it was cancelled at 1.000 s: who had come back at"
        )


def test_what_is_sent_again_under_new_ids_is_no_more_of_the_work() -> None:
    def numbered(at: float, first: int) -> list[Record]:
        body = [(at, f"id: {first + step}\nevent: progress\ndata: {step}\n\n") for step in range(4)]
        return stream(body, name=f"back at {at:g}", subscriber="back", at=at, ended=at + 0.1)

    judgement = stays_cancelled.judge(cancel(*STOPPED, returning(), numbered(3.5, 10), numbered(4.5, 20)))
    assert judgement.verdict == "conforms"


# others-unaffected


def beside(*pieces: tuple[float, str], how: str = "complete", ended: float | None = None) -> list[Record]:
    return stream(pieces, name="other", names=OTHER, url="http://h/jobs/j2/events", how=how, ended=ended)  # type: ignore[arg-type]


def test_other_work_goes_on() -> None:
    on = beside((0.5, event("progress", 1)), (2.0, event("complete", 2)))
    assert others_unaffected.judge(cancel(WATCHING, on, cancelled(1.0))).verdict == "conforms"
    assert others_unaffected.judge(cancel(WATCHING, cancelled(1.0))).verdict == "not-applicable"


def test_other_work_ends_with_the_cancelled() -> None:
    for other in (
        beside((0.5, event("progress", 1)), (1.1, event("error", 2))),
        beside((0.5, event("progress", 1)), ended=1.1),
        beside((0.5, event("progress", 1)), how="reset", ended=1.1),
        beside((0.5, event("progress", 1)), how="timeout", ended=10.5),
    ):
        assert others_unaffected.judge(cancel(WATCHING, other, cancelled(1.0))).verdict == "broken"
    silent = beside(how="timeout", ended=10.5)  # it was so before
    assert others_unaffected.judge(cancel(WATCHING, silent, cancelled(1.0))).verdict == "inconclusive"
    early = beside((0.5, event("complete", 1)))
    assert others_unaffected.judge(cancel(WATCHING, early, cancelled(1.0))).verdict == "inconclusive"


def test_who_stays_is_served_when_another_one_leaves() -> None:
    first = left("first", 0.0, 1.0, 1)

    def judged(*pieces: tuple[float, str], how: str = "dropped", ended: float = 3.0) -> str:
        last = stream(pieces, name="last", how=how, ended=ended)  # type: ignore[arg-type]
        return others_unaffected.judge(abandoned(first, last)).verdict

    assert judged((0.5, event("progress", 1)), (2.0, event("progress", 2))) == "conforms"
    assert judged((0.5, event("progress", 1)), (1.1, event("error", 2))) == "broken"
    assert judged((0.5, event("progress", 1)), how="complete", ended=1.05) == "broken"
    assert judged((0.5, event("progress", 1)), how="reset") == "broken"
    assert judged((0.5, event("progress", 1))) == "inconclusive"
    assert judged((0.5, event("progress", 1)), how="complete") == "inconclusive", (
        "so late, that may be chance"
    )
    assert judged((0.5, event("progress", 1)), how="complete", ended=0.9) == "inconclusive", (
        "it was gone first"
    )
    assert others_unaffected.judge(abandoned(first)).verdict == "not-applicable"


# superseded

SESSIONS = Expect(terminates=True, superseding=True)


def supersede(older: list[Record], newer: list[Record]) -> History:
    return made_up(older, newer, terms=held_to(SESSIONS), scenario="supersede")


NEWER = stream(
    [(1.1, event("progress", 1)), (2.0, event("progress", 2))], name="newer", at=1.0, how="dropped", ended=5.0
)


def older(how: str, ended: float, *pieces: tuple[float, str]) -> list[Record]:
    begun = (0.5, event("progress", 1))
    records = stream([begun, *pieces], name="older", how=how, ended=ended)  # type: ignore[arg-type]
    return [*records[:-1], *left("older", 0.0, ended)[-2:-1], records[-1]] if how == "dropped" else records


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        (older("complete", 1.5), "conforms"),
        (older("reset", 1.5), "conforms"),
        (older("complete", 3.5), "broken"),
        (older("dropped", 3.5), "broken"),
        (older("dropped", 2.5), "inconclusive"),
        (older("complete", 0.8), "inconclusive"),
        (older("complete", 1.5, (1.4, event("complete", 2))), "inconclusive"),
    ],
)
def test_the_older_stream_ends_in_time(records: list[Record], verdict: str) -> None:
    assert superseded.judge(supersede(records, NEWER)).verdict == verdict


def test_a_newer_stream_that_is_refused_supersedes_nobody() -> None:
    refused = stream(name="newer", at=1.0, status=409)
    assert superseded.judge(supersede(older("dropped", 3.5), refused)).verdict == "inconclusive"


# what could not be seen, and why


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (look(3.3, other=1), "the status endpoint answered with no state at /state"),
        (look(3.3, status=500), "the status endpoint answered 500"),
        ([], "the status endpoint was not asked"),
    ],
)
def test_a_status_that_is_configured_and_tells_nothing_is_not_called_missing(
    answers: list[Record], why: str
) -> None:
    history = made_up(WATCHING, cancelled(1.0), answers, terms=held_to(), scenario="cancel")
    judgement = work_stops.judge(history)
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == f"whether the work has stopped could not be seen: {why}"
    without = made_up(WATCHING, cancelled(1.0), answers, terms=held_to(status=None), scenario="cancel")
    assert work_stops.judge(without).reason.startswith("needs target.status.pointer")


def test_why_subscribers_could_not_be_counted_is_said() -> None:
    blind = made_up(look(0.0, n=1), left("a", 0.1, 1.0, 1), terms=held_to(), scenario="leaving")
    judgement = noticed.judge(blind)
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == (
        "the subscribers were not counted before a came: the status endpoint answered with no number at /subscribers"
    )
