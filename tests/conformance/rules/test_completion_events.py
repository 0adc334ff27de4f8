"""The rules of the area completion that look at how the end is told, on histories that are made up."""

import json

import msgspec
import pytest
from made_up import TASK, marked, stream
from made_up_tasks import (
    CUT,
    ENDLESS,
    HEARTBEAT,
    RESUMABLE,
    TERMINATING,
    UNTOLD,
    WHOLE,
    Pieces,
    event,
    judged,
    on,
    sent,
)

from conformance.config import Expect
from conformance.dialect import Dialect, Matcher, Scope
from conformance.history import Record
from conformance.rules import Judgement
from conformance.rules.completion_closing import clean_close, server_closes
from conformance.rules.completion_events import end_marker, last, once
from conformance.wire import encode_event

# once, last, end-marker


def test_a_completion_that_is_told_twice_is_found() -> None:
    judgement = judged(once, stream(sent("progress", "complete", "complete")))
    assert judgement.verdict == "broken"
    assert judgement.reason == (
        "a was told of the completion again: event 3 (complete) at 0.300 s, after event 2 (complete) at 0.200 s"
    )
    assert len(judgement.findings[0].evidence) == 2


def test_a_failure_may_have_several_accounts_but_not_the_same_twice() -> None:
    first, other = event(1, "error", message="no"), event(2, "error", message="no answer from the model")
    assert judged(once, stream([(0.1, first), (0.2, other)])).verdict == "conforms"
    assert judged(once, stream([(0.1, first), (0.2, event(2, "error", message="no"))])).verdict == "broken"
    assert judged(once, stream([(0.1, first), (0.2, event(2, "complete"))])).verdict == "conforms"


def test_a_completion_may_be_replayed_but_not_told_anew() -> None:
    cut = stream(sent("complete"), how="truncated", fired=[(0.1, CUT)])

    def back(id: int) -> list[Record]:
        return stream([(0.5, event(id, "complete"))], name="a-2", at=0.4, sent=[("Last-Event-ID", "1")])

    assert judged(once, cut, back(1)).verdict == "conforms"
    assert judged(once, cut, back(2)).verdict == "broken"


def test_each_work_on_a_bus_completes_once() -> None:
    bus = Dialect(stream="/session", completion=(Matcher(event="idle"),), end=())

    def idle(*sessions: str) -> list[Record]:
        pieces: Pieces = [
            (0.1 * place, encode_event(json.dumps({"session": session}), type="idle"))
            for place, session in enumerate(sessions)
        ]
        return stream(pieces, how="watched", ended=5.0)

    endless = on(Expect(terminates=False), bus)
    assert judged(once, idle("s1", "s2"), terms=endless).verdict == "conforms"
    assert judged(once, idle("s1", "s2", "s1"), terms=endless).verdict == "broken"
    assert judged(last, idle("s1", "s2"), terms=endless).verdict == "conforms"
    unnamed = on(Expect(terminates=False), msgspec.structs.replace(bus, stream=None))
    for rule in (once, last):
        assert judged(rule, idle("s1", "s2", "s1"), terms=unnamed).verdict == "not-applicable"
    scoped = on(Expect(terminates=False), msgspec.structs.replace(bus, scope=Scope("/session", "s1")))
    assert judged(once, idle("s1", "s2", "s2"), terms=scoped).verdict == "conforms"


def test_more_work_after_the_completion_is_found() -> None:
    judgement = judged(last, stream(sent("progress", "complete", "progress")))
    assert judgement.verdict == "broken"
    assert judgement.reason == (
        "on a event 3 (progress) came at 0.300 s, after the completion, event 2 (complete) at 0.200 s"
    )


def test_all_that_follows_is_counted() -> None:
    judgement = judged(last, stream(sent("complete", "progress", "progress", "progress")))
    assert len(judgement.findings) == 1
    assert "event 2 (progress) came at 0.200 s and 2 more, after the completion" in judgement.reason


def test_events_that_name_no_work_belong_to_the_only_one() -> None:
    def three(*works: str | None) -> list[Record]:
        types = ("progress", "complete", "progress")
        pieces: Pieces = [
            (0.1 * place, encode_event("{}" if work is None else json.dumps({"job": work}), type=type))
            for place, (work, type) in enumerate(zip(works, types, strict=True))
        ]
        return stream(pieces)

    for works in (("j1", "j1", None), ("j1", None, "j1"), (None, None, None)):
        assert judged(last, three(*works)).verdict == "broken", works
    assert judged(last, three("j1", "j1", "j2")).verdict == "conforms"  # of another stream: not this rule's
    bus = on(Expect(terminates=False))
    assert judged(last, three("j1", "j1", None), terms=bus).verdict == "conforms"


@pytest.mark.parametrize(
    ("types", "verdict"),
    [
        (("progress", "complete", "stream_end"), "conforms"),
        (("progress", "error", "complete"), "conforms"),  # an agent bus: session.error, then session.idle
        (("error", "progress", "complete"), "conforms"),
        (("progress", "error", "error"), "conforms"),
        (("progress", "error", "progress"), "broken"),
        (("progress", "complete", "error"), "broken"),
        (("progress", "complete", "complete"), "conforms"),  # `completion.once` has its say
        (("progress", "progress"), "inconclusive"),
    ],
)
def test_what_may_follow_the_end_of_the_work(types: tuple[str, ...], verdict: str) -> None:
    assert judged(last, stream(sent(*types))).verdict == verdict


def test_heartbeats_may_follow_the_completion() -> None:
    assert judged(last, stream([*sent("complete"), (0.5, HEARTBEAT)])).verdict == "conforms"


def test_usage_comes_before_done() -> None:
    chunk, usage = (
        '{"object":"chat.completion.chunk","choices":[{"delta":{}}]}',
        '{"choices":[],"usage":{"n":1}}',
    )
    chat = on(dialect=Dialect(preset="openai-chat"))
    right: Pieces = [(0.1, f"data: {chunk}\n\n"), (0.2, f"data: {usage}\n\n"), (0.3, "data: [DONE]\n\n")]
    wrong: Pieces = [right[0], right[2], (0.4, right[1][1])]
    assert judged(last, stream(right), terms=chat).verdict == "conforms"
    assert judged(last, stream(wrong), terms=chat).verdict == "broken"


def test_who_left_at_the_completion_did_not_see_what_followed() -> None:
    hasty = stream(sent("progress", "complete"), how="dropped")
    assert judged(last, hasty).verdict == "inconclusive"
    assert judged(end_marker, hasty).verdict == "inconclusive"
    assert judged(once, hasty).verdict == "conforms"


def test_an_error_on_an_endless_stream_may_pass() -> None:
    records = stream(sent("error", "progress"), how="watched", ended=5.0)
    assert judged(last, records, terms=on(Expect(terminates=False), TASK)).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("records", "verdict", "said"),
    [
        (stream(WHOLE), "conforms", "1 end marker"),
        (stream(sent("complete"), ended=0.3), "broken", "it was ended 0.2 s after event 1 (complete)"),
        (stream(sent("complete"), how="timeout", ended=2.1), "broken", "it was still open 2 s after event 1"),
        (stream(sent("complete"), how="reset", ended=0.1), "broken", "it was cut off 0 s after event 1"),
        (stream(sent("stream_end", "complete")), "broken", "came before the completion, event 2 (complete)"),
        (stream(sent("complete", "stream_end", "stream_end")), "broken", "came again at 0.300 s"),
        (
            stream(sent("complete", "stream_end", "progress")),
            "broken",
            "was not the last: event 3 (progress)",
        ),
        (
            stream(sent("error"), ended=0.3),
            "inconclusive",
            "",
        ),  # not every protocol marks the end of a failure
        (stream(sent("complete"), how="truncated", fired=[(0.1, CUT)]), "inconclusive", ""),
    ],
    ids=["right", "ended", "open", "reset", "too early", "twice", "not last", "failure", "cut by the link"],
)
def test_the_end_marker(records: list[Record], verdict: str, said: str) -> None:
    judgement = judged(end_marker, records)
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_an_end_marker_that_comes_after_coming_back_is_right() -> None:
    cut = stream(sent("complete"), how="truncated", ended=0.1)
    back = stream(sent("stream_end", at=0.4, first=2), name="a-2", at=0.4, sent=[("Last-Event-ID", "1")])
    assert judged(end_marker, cut, back).verdict == "conforms"


def test_an_old_server_without_end_marker_is_right_by_its_own_dialect() -> None:
    old = on(dialect=msgspec.structs.replace(TASK, end=()))
    assert judged(end_marker, stream(sent("progress", "complete")), terms=old) == Judgement(
        "not-applicable", "needs dialect.end in the configuration"
    )


# server-closes, clean-close


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        (stream(WHOLE, ended=1.0), "conforms"),
        (stream(WHOLE, how="timeout", ended=2.4), "broken"),
        (stream(WHOLE, ended=3.0), "broken"),
        (stream(WHOLE, how="reset", ended=0.5), "conforms"),  # `completion.clean-close` has its say
        (stream(WHOLE, how="dropped", ended=0.5), "inconclusive"),
        (stream(UNTOLD, how="timeout", ended=10.0), "inconclusive"),
        (stream(status=404), "not-applicable"),
    ],
    ids=["closes", "open", "late", "reset", "left", "untold", "no stream"],
)
def test_the_server_closes(records: list[Record], verdict: str) -> None:
    assert judged(server_closes, records, terms=TERMINATING).verdict == verdict


def test_a_stream_that_is_not_to_end_need_not() -> None:
    open_stream = stream(WHOLE, how="timeout", ended=2.4)
    assert judged(server_closes, open_stream, terms=ENDLESS).verdict == "not-applicable"
    assert server_closes.timing


@pytest.mark.parametrize(
    ("records", "verdict", "said"),
    [
        (stream(WHOLE), "conforms", "1 response"),
        (
            stream(WHOLE, headers=[("content-type", "text/event-stream"), ("connection", "close")]),
            "conforms",
            "",
        ),
        (
            stream(WHOLE, how="truncated"),
            "broken",
            "by the end of the connection at 0.400 s, after event 3 (complete)",
        ),
        (
            stream(UNTOLD, how="reset"),
            "broken",
            "by a reset of the connection at 0.200 s, before any completion",
        ),
        (stream(UNTOLD, how="protocol"), "broken", "by bytes that are not HTTP"),
        (
            stream(UNTOLD, how="truncated", fired=[(0.2, CUT)]),
            "inconclusive",
            "no response was ended by the server",
        ),
        (stream(UNTOLD, how="dropped"), "inconclusive", ""),
        (stream(UNTOLD, how="watched", ended=5.0), "not-applicable", ""),
        (stream(status=0, how="reset"), "inconclusive", "no response"),
    ],
    ids=[
        "right",
        "to the FIN",
        "truncated",
        "reset",
        "garbage",
        "cut by the link",
        "left",
        "endless",
        "no head",
    ],
)
def test_the_response_ends_as_http_says(records: list[Record], verdict: str, said: str) -> None:
    judgement = judged(clean_close, records)
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_a_server_that_was_killed_is_not_blamed_for_it() -> None:
    killed = stream(UNTOLD, how="reset", ended=0.3)
    judgement = judged(clean_close, killed, marked("server killed", 0.25))
    assert judgement.verdict == "inconclusive"


def test_where_there_is_no_event_stream_nothing_is_said_of_its_end() -> None:
    page = stream([(0.1, "<html>")], headers=[("content-type", "text/html")])
    for rule in (once, last, end_marker, server_closes, clean_close):
        judgement = judged(rule, page, terms=TERMINATING)
        assert judgement == Judgement("not-applicable", "the response is no event stream"), rule.name


def test_why_no_end_marker_was_seen_is_said() -> None:
    assert judged(end_marker, stream(UNTOLD)).reason == "no subscriber saw a completion"
    early = stream(sent("complete"), ended=0.3)
    assert judged(end_marker, early, terms=RESUMABLE).reason == (
        "a was ended without it; whether it comes to who comes back was not tried"
    )
