"""The rules of HTTP on made-up heads: what each finds, what it leaves alone, and where it cannot tell."""

from typing import Any, Literal

import msgspec
import pytest
from made_up import EVENT_STREAM, TASK, Body, answered, made_up, stream, terms
from made_up_tasks import asked, on

from conformance.config import Expect, Limits
from conformance.history import Head, How, Record
from conformance.judging import judge_by
from conformance.rules import Judgement, Rule
from conformance.rules.http import RULES
from fault_injection.faults import AtBytes, Buffer, Disconnect, Latency, Plan
from reports.results import Level

RULE = {rule.name: rule for rule in RULES}
Headers = list[tuple[str, str]]

IDENTITY = [("Accept-Encoding", "identity")]
DONE = "event: complete\ndata: {}\n\n"


def judged(rule: str, *groups: list[Record], **kwargs: Any) -> Judgement:
    return judge_by(made_up(*groups, **kwargs), RULE[rule])


def head(*headers: tuple[str, str], **kwargs: Any) -> list[Record]:
    """An event stream with one event, answered at once, with these headers besides."""
    return stream([(0.0, "data: 1\n\n")], headers=[*EVENT_STREAM, *headers], **kwargs)


def verdict(rule: str, *groups: list[Record], **kwargs: Any) -> str:
    return judged(rule, *groups, **kwargs).verdict


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.needs], ids=lambda rule: rule.name)
def test_no_answer_is_inconclusive(rule: Rule) -> None:
    refused = stream(status=0, how="refused", detail="connection refused")
    judgement = judged(rule.name, refused, scenario="subscribe")
    assert judgement.verdict == "inconclusive"
    assert "connection refused" in judgement.reason


ABOUT_THE_STREAM = [
    rule.name
    for rule in RULES
    if rule.name not in {"http.status", "http.connection", "http.auth", "http.unknown-stream"}
]


@pytest.mark.parametrize("rule", ABOUT_THE_STREAM)
def test_what_http_status_reports_is_not_reported_again(rule: str) -> None:
    missing = stream(status=404, headers=[("content-type", "text/html")])
    assert verdict(rule, missing) == "not-applicable"


@pytest.mark.parametrize("rule", [name for name in ABOUT_THE_STREAM if name != "http.content-type"])
def test_what_content_type_reports_is_not_reported_again(rule: str) -> None:
    page = stream(headers=[("content-type", "text/html")])
    assert verdict(rule, page) == "not-applicable"


# status


@pytest.mark.parametrize("status", [201, 206, 301, 304, 400, 404, 429, 500, 503])
def test_any_other_status_than_200_is_reported(status: int) -> None:
    judgement = judged("http.status", stream(status=status))
    assert judgement.verdict == "broken"
    assert judgement.findings[0].evidence[0].actual == str(status)


def test_204_is_for_those_who_come_back() -> None:
    assert verdict("http.status", stream(status=204)) == "broken"
    assert verdict("http.status", stream(status=204, sent=[("Last-Event-ID", "7")])) == "conforms"
    again = [stream([(0.0, "data: 1\n\n")], name="a"), stream(status=204, name="a-2", at=1.0)]
    assert verdict("http.status", *again) == "conforms"


def test_204_is_for_a_stream_that_is_over() -> None:
    late = stream(status=204, name="late", at=2.0)
    running = stream([(0.0, "data: 1\n\n")], name="a", how="watched", ended=3.0)
    over = stream([(1.0, DONE)], name="a", ended=1.0)
    assert verdict("http.status", running, late, terms=terms(TASK)) == "broken"
    assert verdict("http.status", over, late, terms=terms(TASK)) == "conforms"


def test_a_stream_without_a_known_completion_is_over_when_the_server_ended_it() -> None:
    late = stream(status=204, name="late", at=2.0)
    ended = stream([(1.0, "data: 1\n\n")], name="a", ended=1.5)
    left = stream([(1.0, "data: 1\n\n")], name="a", how="dropped", ended=1.5)
    page = stream([(1.0, "<p>")], name="a", headers=[("content-type", "text/html")], ended=1.5)
    assert verdict("http.status", ended, late) == "conforms"
    assert verdict("http.status", left, late) == "broken"
    assert verdict("http.status", page, late) == "broken"


@pytest.mark.parametrize(
    ("replay", "expected"), [("all", "broken"), ("none", "conforms"), (None, "conforms")]
)
def test_a_stream_that_is_over_may_be_gone_unless_it_is_to_be_replayed(
    replay: Literal["all", "none"] | None, expected: str
) -> None:
    over = stream([(1.0, DONE)], name="a", ended=1.0)
    late = stream(status=404, name="late", at=2.0)
    expect = Expect(replay=replay, shared=True)
    assert verdict("http.status", over, late, terms=terms(TASK, expect)) == expected


@pytest.mark.parametrize(("status", "expected"), [(400, "conforms"), (409, "conforms"), (401, "broken")])
def test_a_stream_that_is_over_may_be_refused_as_a_bad_request(status: int, expected: str) -> None:
    """Agent2Agent has it so: to subscribe to a task that has ended is an operation that is not supported."""
    over = stream([(1.0, DONE)], name="a", ended=1.0)
    late = stream(status=status, name="late", at=2.0)
    found = verdict("http.status", over, late, terms=terms(TASK, Expect(shared=True)))
    assert found == expected


@pytest.mark.parametrize(
    ("resumable", "state", "expected"),
    [
        (None, None, "inconclusive"),
        (None, "completed", "inconclusive"),
        (None, "running", "broken"),
        (True, None, "broken"),
    ],
)
def test_who_was_away_may_come_back_to_what_is_gone(
    resumable: bool | None, state: str | None, expected: str
) -> None:
    """Nobody stayed to see how it ended, so it may have ended."""
    left = stream(status=0, name="a", how="dropped")
    back = stream(status=410, name="a-2", subscriber="a", at=2.0)
    looks = [] if state is None else [asked(state, at=3.0)]
    found = verdict("http.status", left, back, *looks, terms=on(Expect(resumable=resumable)))
    assert found == expected


@pytest.mark.parametrize(
    ("state", "at", "expected"),
    [("completed", 2.1, "inconclusive"), ("running", 2.1, "broken"), ("completed", 60.0, "broken")],
)
def test_who_comes_too_late_may_find_what_is_gone(state: str, at: float, expected: str) -> None:
    """The work may be over before anybody asks for its stream; the status knows."""
    refused = stream(status=410, name="a", at=2.0)
    assert verdict("http.status", refused, asked(state, at=at), terms=on()) == expected


@pytest.mark.parametrize(
    ("lag", "states", "expected"),
    [
        (3.0, {2.1: "running", 4.9: "completed"}, "inconclusive"),
        (3.0, {2.1: "running", 5.1: "running"}, "broken"),
        (0.0, {2.1: "running", 4.9: "completed"}, "broken"),
    ],
)
def test_a_status_that_may_lag_does_not_say_that_the_work_went_on(
    lag: float, states: dict[float, str], expected: str
) -> None:
    refused = stream(status=410, name="a", at=2.0)
    looks = [record for at, state in states.items() for record in asked(state, at=at, name=f"status-{at:g}")]
    lagging = msgspec.structs.replace(on(), limits=Limits(status=lag))
    assert verdict("http.status", refused, looks, terms=lagging) == expected


@pytest.mark.parametrize(("shared", "expected"), [(True, "broken"), (False, "conforms"), (None, "conforms")])
def test_a_second_reader_may_be_refused_unless_streams_are_shared(shared: bool | None, expected: str) -> None:
    gone = stream([(0.0, "data: 1\n\n")], name="gone", how="dropped", ended=0.5)
    second = stream(status=409, name="a", at=0.6)
    assert verdict("http.status", gone, second, terms=terms(expect=Expect(shared=shared))) == expected


def test_another_stream_of_the_target_is_not_the_same_stream() -> None:
    over = stream([(1.0, DONE)], name="a", ended=1.0)
    other = stream(status=404, name="b", at=2.0, url="http://127.0.0.1:8000/jobs/j2/events")
    assert verdict("http.status", over, other, terms=terms(TASK)) == "broken"


def test_a_subscriber_that_was_cut_before_the_head_does_not_count() -> None:
    by_itself = stream(status=0, name="gone", how="dropped")
    by_the_link = stream(status=0, name="gone", how="reset", fired=[(0.1, Disconnect(AtBytes(0)))])
    in_the_link = stream(status=0, name="gone", how="reset", relayed=[(0.1, "data: 1\n\n")])
    for gone in (by_itself, by_the_link, in_the_link):
        found = verdict("http.status", gone, head(name="a", at=1.0), scenario="disconnect-before-head")
        assert found == "conforms"


@pytest.mark.parametrize("how", ["complete", "truncated", "reset", "protocol"])
def test_who_is_hung_up_on_without_a_response_has_none(how: How) -> None:
    gone = stream(status=0, name="late", at=1.0, how=how, detail="the connection was reset")
    judgement = judge_by(made_up(head(), gone), RULE["http.status"])
    assert judgement.verdict == "broken"
    assert judgement.reason == "late asked for the stream and got no response (the connection was reset)"


@pytest.mark.parametrize("how", ["refused", "unreachable", "tls"])
def test_who_was_not_let_in_was_not_hung_up_on(how: How) -> None:
    assert verdict("http.status", head(), stream(status=0, name="late", at=1.0, how=how)) == "conforms"


# content-type and charset


@pytest.mark.parametrize(
    "value",
    [
        "text/event-stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream; charset=UTF-8",
        'TEXT/Event-Stream ; charset="utf-8"',
        "text/event-stream;",
    ],
)
def test_content_types_that_are_fine(value: str) -> None:
    told = stream(headers=[("Content-Type", value)])
    assert verdict("http.content-type", told) == "conforms"
    assert verdict("http.charset", told) == "conforms"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", "")],
        [("content-type", "text/html")],
        [("content-type", "application/octet-stream")],
        [("content-type", "text/event-stream2")],
        [("content-type", "text/event-stream, text/html")],
        [("content-type", "text/event-stream"), ("content-type", "text/event-stream")],
    ],
)
def test_content_types_that_clients_refuse(headers: Headers) -> None:
    assert verdict("http.content-type", stream(headers=headers)) == "broken"


def test_the_evidence_says_what_stood_there() -> None:
    page = judged("http.content-type", stream(headers=[("Content-Type", "text/html")], head=0.25))
    evidence = page.findings[0].evidence[0]
    assert (evidence.connection, evidence.time, evidence.actual) == ("a", 0.25, "Content-Type: text/html")
    nothing = judged("http.content-type", stream(headers=[]))
    assert nothing.findings[0].evidence[0].actual == "no content-type"
    assert "no Content-Type" in nothing.reason
    assert "2 Content-Type headers" in judged("http.content-type", stream(headers=[*EVENT_STREAM] * 2)).reason


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf8", '"windows-1252"', "utf-16", ""])
def test_charsets_that_are_not_utf_8(charset: str) -> None:
    told = stream(headers=[("content-type", f"text/event-stream; charset={charset}")])
    assert verdict("http.charset", told) == "broken"
    assert verdict("http.content-type", told) == "conforms"


# caches


@pytest.mark.parametrize(
    "value",
    [
        "no-store",
        "no-cache",
        "No-Cache, no-transform",
        "no-cache, no-store, must-revalidate, max-age=0",
        "private,max-age=0",
        "max-age=0, s-maxage=0",
    ],
)
def test_cache_controls_that_are_fine(value: str) -> None:
    assert verdict("http.cache-control", head(("Cache-Control", value))) == "conforms"


def test_cache_controls_in_two_headers_count_together() -> None:
    both = head(("cache-control", "no-transform"), ("cache-control", "no-cache"))
    assert verdict("http.cache-control", both) == "conforms"


@pytest.mark.parametrize(
    "value",
    [
        "public",
        "max-age=60",
        "private",
        "no-transform",
        'no-cache="Set-Cookie"',
        "max-age=0, s-maxage=60",
        'ext="no-store"',
        "x-no-store",
    ],
)
def test_cache_controls_that_let_caches_keep_it(value: str) -> None:
    assert verdict("http.cache-control", head(("cache-control", value))) == "broken"


def test_no_cache_control_is_reported_where_caches_would_keep_the_answer() -> None:
    assert verdict("http.cache-control", head()) == "broken"
    assert verdict("http.cache-control", head(method="POST")) == "not-applicable"
    assert verdict("http.cache-control", head(("cache-control", "max-age=9"), method="POST")) == "broken"


DATE = ("Date", "Tue, 14 Nov 2023 22:13:20 GMT")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], "not-applicable"),
        ([("cache-control", "no-store")], "not-applicable"),
        ([("pragma", "no-cache")], "conforms"),
        ([("expires", "0")], "conforms"),
        ([("expires", "-1"), ("pragma", "no-cache")], "conforms"),
        ([("expires", "Thu, 01 Jan 1970 00:00:00 GMT")], "conforms"),
        ([("expires", DATE[1]), DATE], "conforms"),
        ([("expires", "Wed, 15 Nov 2023 22:13:20 GMT"), DATE], "broken"),
        ([("expires", "Wed, 15 Nov 2023 22:13:20 GMT")], "broken"),
        ([("expires", "Tue, 14 Nov 2023 22:14:20 GMT")], "conforms"),  # within what clocks may differ
        ([("expires", "Fri, 31 Dec 9999 23:59:59 GMT"), ("cache-control", "no-store")], "broken"),
        ([("expires", "nonsense 99999999999999999999")], "conforms"),
    ],
)
def test_expires_is_judged_by_the_date_of_the_response(headers: Headers, expected: str) -> None:
    assert verdict("http.pragma-expires", head(*headers)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("X-Accel-Buffering", "no")], "conforms"),
        ([("x-accel-buffering", "No")], "conforms"),
        ([("x-accel-buffering", "yes")], "broken"),
        ([("x-accel-buffering", "yes"), ("server", "nginx")], "broken"),
        ([], "broken"),
        ([("server", "uvicorn")], "broken"),
        ([("server", "nginx/1.27.0")], "not-applicable"),
        ([("server", "openresty")], "not-applicable"),
    ],
)
def test_nginx_is_asked_not_to_buffer_and_keeps_the_request_to_itself(
    headers: Headers, expected: str
) -> None:
    assert verdict("http.proxy-buffering", head(*headers)) == expected


# framing


@pytest.mark.parametrize(
    ("coding", "sent", "expected"),
    [
        (None, IDENTITY, "conforms"),
        ("identity", IDENTITY, "conforms"),
        ("none", IDENTITY, "conforms"),
        ("gzip", IDENTITY, "broken"),
        ("br", [("accept-encoding", "identity;q=1")], "broken"),
        ("utf-8", IDENTITY, "broken"),
        ("gzip", [("Accept-Encoding", "gzip, identity")], "not-applicable"),
        ("gzip", [], "not-applicable"),
    ],
)
def test_coding_is_reported_where_only_identity_was_accepted(
    coding: str | None, sent: Headers, expected: str
) -> None:
    headers = [("content-encoding", coding)] if coding else []
    assert verdict("http.compression", head(*headers, sent=sent)) == expected


SLOW: Body = [(0.9, "data: 1\n\n"), (1.0, DONE)]
LENGTH = [*EVENT_STREAM, ("content-length", "36")]


def test_a_length_is_reported_where_the_stream_was_going_on() -> None:
    assert verdict("http.no-length", stream(SLOW)) == "conforms"
    assert verdict("http.no-length", stream(SLOW, headers=LENGTH)) == "broken"
    assert verdict("http.no-length", stream(SLOW, headers=LENGTH, head=0.9)) == "broken"


def test_a_length_is_fine_where_the_stream_was_over() -> None:
    first = stream(SLOW, name="a", how="dropped")
    for late in (
        stream([(2.0, DONE)], name="late", at=2.0, headers=LENGTH),
        stream([(2.0, DONE)], name="a-2", at=2.0, headers=LENGTH, sent=[("Last-Event-ID", "1")]),
    ):
        assert verdict("http.no-length", first, late, terms=terms(TASK)) == "conforms"


def test_a_length_is_inconclusive_where_all_came_at_once() -> None:
    at_once = stream([(0.1, DONE)], headers=LENGTH)
    slowly = stream(SLOW, name="b", headers=LENGTH)
    assert verdict("http.no-length", at_once) == "inconclusive"
    assert verdict("http.no-length", at_once, slowly) == "broken"


CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.mark.parametrize(
    ("headers", "version", "expected"),
    [
        ([CHUNKED], "HTTP/1.1", "conforms"),
        ([], "HTTP/1.1", "conforms"),
        ([], "HTTP/1.0", "conforms"),
        ([("connection", "close")], "HTTP/1.1", "conforms"),
        ([("Connection", "Keep-Alive"), ("keep-alive", "timeout=5")], "HTTP/1.1", "conforms"),
        ([("content-length", "9")], "HTTP/1.1", "conforms"),
        ([CHUNKED, ("content-length", "9")], "HTTP/1.1", "broken"),
        ([CHUNKED], "HTTP/1.0", "broken"),
        ([("connection", "keep-alive, Content-Type")], "HTTP/1.1", "broken"),
        ([("connection", "keep-alive")], "HTTP/2", "broken"),
        ([CHUNKED], "HTTP/2", "broken"),
        ([], "HTTP/2", "conforms"),
    ],
)
def test_framing_is_unambiguous(headers: Headers, version: str, expected: str) -> None:
    assert verdict("http.connection", head(*headers, version=version)) == expected


@pytest.mark.parametrize(
    ("how", "plan", "expected"),
    [
        ("truncated", Plan(), "broken"),
        ("reset", Plan(), "broken"),
        ("protocol", Plan(), "broken"),
        ("truncated", Plan((Disconnect(when=AtBytes(10)),)), "conforms"),
        ("reset", Plan((Disconnect(when=AtBytes(10), how="rst"),)), "conforms"),
        ("dropped", Plan(), "conforms"),
        ("watched", Plan(), "conforms"),
        ("complete", Plan(), "conforms"),
    ],
)
def test_a_response_that_ends_before_its_length_is_the_servers_unless_a_fault_or_we_ended_it(
    how: How, plan: Plan, expected: str
) -> None:
    told = head(("content-length", "1000"), how=how)
    assert verdict("http.connection", told, plan=plan) == expected


def test_a_cut_without_a_length_is_left_to_the_rules_of_completion() -> None:
    assert verdict("http.connection", head(CHUNKED, how="truncated")) == "conforms"


# the head and the first event


def first_at(head_at: float, body: Body, how: How = "complete", ended: float | None = None) -> list[Record]:
    return stream(body, head=head_at, how=how, ended=ended)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (first_at(0.01, [(0.3, "data: 1\n\n")]), "conforms"),
        (first_at(0.01, [(0.01, "retry: 5\n\n"), (0.3, "data: 1\n\n")]), "conforms"),
        (first_at(2.0, [(2.0, "data: 1\n\n")]), "broken"),
        (first_at(2.0, [(2.01, "data: 1\n\n")]), "broken"),
        (first_at(15.0, [(15.0, ": heartbeat\n\n"), (17.0, "data: 1\n\n")]), "broken"),
        (first_at(0.01, [(0.01, "data: 1\n\n")]), "inconclusive"),
        (first_at(0.3, [(0.3, "data: 1\n\n")]), "inconclusive"),
        (first_at(2.0, [(3.0, "data: 1\n\n")]), "conforms"),  # slow, but not waiting for an event
        (first_at(0.01, [], "watched", 5.0), "conforms"),
        (first_at(0.01, [(1.0, ": heartbeat\n\n")], "watched", 5.0), "conforms"),
        (stream(status=0, how="timeout", ended=5.0, detail="no response head within 5 s"), "inconclusive"),
    ],
)
def test_the_head_does_not_wait_for_the_first_event(told: list[Record], expected: str) -> None:
    assert verdict("http.head-before-first-event", told) == expected


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (0.01, "the first event came at once: there was nothing that the head could wait for"),
        (
            0.45,
            "the head came 0.45 s after the request, in one go with the first bytes of the body: it may have",
        ),
    ],
)
def test_a_head_that_may_have_waited_is_not_said_to_have_come_at_once(head: float, said: str) -> None:
    judgement = judged("http.head-before-first-event", first_at(head, [(head, "data: 1\n\n")]))
    assert judgement.reason.startswith(said)


def test_a_slow_target_is_judged_by_its_own_pace() -> None:
    quick = answered("start")
    slow = [*quick[:1], Head(time=0.8, exchange="start", status=200), *quick[2:]]
    told = stream([(2.9, "data: 1\n\n")], at=1.0, head=2.9)
    assert verdict("http.head-before-first-event", slow, told) == "inconclusive"
    assert verdict("http.head-before-first-event", quick, told) == "broken"


@pytest.mark.parametrize("fault", [Buffer(size=4096), Latency(delay=1.0)])
def test_a_link_may_have_held_the_head(fault: Buffer | Latency) -> None:
    told = first_at(2.0, [(2.0, "data: 1\n\n")])
    assert verdict("http.head-before-first-event", told, plan=Plan((fault,))) == "inconclusive"


def test_levels() -> None:
    should = {rule.name.partition(".")[2] for rule in RULES if rule.level is Level.SHOULD}
    assert should == {
        "cache-control",
        "proxy-buffering",
        "pragma-expires",
        "compression",
        "no-length",
        "head-before-first-event",
    }
