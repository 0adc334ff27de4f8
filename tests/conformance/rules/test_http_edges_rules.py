"""The rules of HTTP at the edge: another origin, no credentials, no such stream; and what no head may do to them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import EVENT_STREAM, TASK, made_up, stream, terms

from conformance.history import How, Record
from conformance.judging import judge_by
from conformance.rules import Judgement
from conformance.rules.http import RULES
from conformance.specimens import REFERENCE, examine
from fault_injection.virtual import VirtualNetwork

RULE = {rule.name: rule for rule in RULES}
Headers = list[tuple[str, str]]


def judged(rule: str, *groups: list[Record], **kwargs: Any) -> Judgement:
    return judge_by(made_up(*groups, **kwargs), RULE[rule])


def head(*headers: tuple[str, str], **kwargs: Any) -> list[Record]:
    """An event stream with one event, answered at once, with these headers besides."""
    return stream([(0.0, "data: 1\n\n")], headers=[*EVENT_STREAM, *headers], **kwargs)


def verdict(rule: str, *groups: list[Record], **kwargs: Any) -> str:
    return judged(rule, *groups, **kwargs).verdict


# other origins

ORIGIN = "https://sse-conformance.example"
ACAO, ACAC = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
NO_STORE = ("cache-control", "no-store")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], "not-applicable"),
        ([(ACAO, "*")], "conforms"),
        ([(ACAO, ORIGIN), ("vary", "Accept-Encoding, Origin")], "conforms"),
        ([(ACAO, ORIGIN), ("vary", "*")], "conforms"),
        ([(ACAO, ORIGIN), (ACAC, "true"), ("vary", "origin")], "conforms"),
        ([(ACAO, ORIGIN), NO_STORE], "conforms"),  # no cache to mix it up
        ([(ACAO, ORIGIN)], "broken"),
        ([(ACAO, "https://shop.example")], "conforms"),  # somebody else may, and always the same
        ([(ACAO, "http://localhost:3000")], "conforms"),
        ([(ACAO, "null")], "conforms"),
        ([(ACAO, "*"), (ACAC, "false")], "conforms"),
        ([(ACAO, "*"), (ACAC, "true")], "broken"),
        ([(ACAO, "*"), (ACAO, "*")], "broken"),
        ([(ACAO, f"{ORIGIN}, https://b.example"), NO_STORE], "broken"),
        ([(ACAO, "https://shop.example/")], "broken"),
        ([(ACAO, "shop.example")], "broken"),
        ([(ACAO, "*.shop.example")], "broken"),
        ([(ACAO, "https://*.shop.example")], "broken"),
        ([(ACAO, "")], "broken"),
    ],
)
def test_cors(headers: Headers, expected: str) -> None:
    told = head(*headers, sent=[("Origin", ORIGIN)])
    assert verdict("http.cors", told, scenario="other-origin") == expected


def test_cors_is_judged_on_refusals_too() -> None:
    told = stream(status=403, headers=[(ACAO, "a, b")], sent=[("Origin", ORIGIN)])
    assert verdict("http.cors", told, scenario="other-origin") == "broken"


# credentials

WITH_HEADERS = terms(TASK, also=["target.stream.headers"])
JSON_ERROR = [("content-type", "application/json")]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (stream(status=401), "conforms"),
        (stream(status=403, headers=JSON_ERROR), "conforms"),
        (stream(status=404), "conforms"),
        (stream(status=422, headers=JSON_ERROR), "conforms"),
        (stream(status=204), "conforms"),
        (stream(headers=[("content-type", "text/html")], led_to="http://127.0.0.1/login"), "conforms"),
        (stream(headers=[("content-type", "text/html")]), "broken"),
        (stream(status=500), "broken"),
        (stream([(0.1, "event: progress\ndata: {}\n\n")], how="watched"), "broken"),
        (stream(how="watched", ended=2.0), "broken"),
        (stream([(0.1, "event: progress\ndata: {}\n\n")], status=401), "broken"),
        (stream([(0.1, "event: error\ndata: {}\n\n")], status=401), "conforms"),
        (stream(status=0, how="timeout"), "inconclusive"),
    ],
)
def test_who_has_no_credentials_learns_nothing(told: list[Record], expected: str) -> None:
    assert verdict("http.auth", told, scenario="without-credentials", terms=WITH_HEADERS) == expected


def test_without_declared_credentials_there_is_nothing_to_leave_out() -> None:
    judgement = judged("http.auth", stream(), scenario="without-credentials", terms=terms(TASK))
    assert judgement.verdict == "not-applicable"
    assert "target.stream.headers" in judgement.reason


# streams that do not exist

WITH_CAPTURE = terms(TASK, also=["target.start.capture"])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (stream(status=404), "conforms"),
        (stream(status=410), "conforms"),
        (stream(status=400), "conforms"),
        (stream(status=401), "conforms"),
        (stream(status=204), "conforms"),
        (stream(status=500), "broken"),
        (stream(headers=[("content-type", "text/html")]), "broken"),
        (stream([(1.0, ": heartbeat\n\n")], how="watched", ended=2.0), "broken"),
        (stream(how="complete"), "broken"),
        (stream([(0.1, "event: progress\ndata: {}\n\n")], how="watched"), "broken"),
        (stream([(0.1, "event: error\ndata: {}\n\n")]), "conforms"),
        (stream(status=0, how="timeout"), "inconclusive"),
    ],
)
def test_a_stream_that_does_not_exist_is_refused(told: list[Record], expected: str) -> None:
    assert verdict("http.unknown-stream", told, scenario="unknown-stream", terms=WITH_CAPTURE) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"pieces": [(0.1, "event: progress\ndata: {}\n\n")]}, "inconclusive"),
        ({"pieces": [(0.1, "event: error\ndata: {}\n\n")]}, "conforms"),
        ({"pieces": [(0.1, ": heartbeat\n\n")], "how": "watched"}, "broken"),
        ({"how": "complete"}, "broken"),
        ({"headers": [("content-type", "text/html")]}, "broken"),
        ({"status": 404}, "conforms"),
        ({"status": 500}, "broken"),
    ],
)
def test_a_post_may_begin_the_stream_that_it_names(told: dict[str, Any], expected: str) -> None:
    """A chat's client chooses the name; a GET begins nothing."""
    lost = stream(**told, method="POST")
    judgement = judged("http.unknown-stream", lost, scenario="unknown-stream", terms=WITH_CAPTURE)
    assert judgement.verdict == expected
    if expected == "inconclusive":
        assert "a POST may begin what it names" in judgement.reason


def test_silence_and_an_end_are_told_apart() -> None:
    def said(*groups: list[Record]) -> str:
        return judged("http.unknown-stream", *groups, scenario="unknown-stream", terms=WITH_CAPTURE).reason

    assert "empty stream" in said(stream(how="complete"))
    assert "says nothing" in said(stream(how="watched", ended=2.0))


def test_an_event_that_nobody_can_read_may_be_a_refusal() -> None:
    told = stream([(0.1, "event: oops\ndata: no such job\n\n")])
    undeclared = terms(also=["target.start.capture"])
    assert verdict("http.unknown-stream", told, scenario="unknown-stream", terms=undeclared) == "inconclusive"


async def test_without_credentials_to_leave_out_the_scenario_is_skipped(autojump_clock: object) -> None:
    history = await examine(REFERENCE, VirtualNetwork(), scenario="without-credentials")
    assert history.concluded is not None
    assert history.concluded.outcome == "skipped"
    assert judge_by(history, RULE["http.auth"]).verdict == "not-applicable"


# whatever comes


_NAMES = st.sampled_from(
    [
        "content-type",
        "cache-control",
        "expires",
        "date",
        "vary",
        "connection",
        "transfer-encoding",
        "content-length",
        "content-encoding",
        "x-accel-buffering",
        "server",
        "access-control-allow-origin",
    ]
)


@given(
    headers=st.lists(st.tuples(_NAMES, st.text(max_size=30)), max_size=6),
    status=st.integers(100, 599),
    body=st.binary(max_size=60),
    how=st.sampled_from(["complete", "truncated", "reset", "watched", "protocol"]),
)
def test_no_head_makes_a_rule_fail(headers: Headers, status: int, body: bytes, how: How) -> None:
    told = stream(
        [(0.1, body)],
        status=status,
        headers=headers,
        how=how,
        sent=[("Accept-Encoding", "identity"), ("Origin", ORIGIN)],
    )
    every = terms(TASK, also=["target.stream.headers", "target.start.capture"])
    for name in RULE:
        judgement = judged(name, told, terms=every)
        assert judgement.verdict != "broken" or judgement.findings
