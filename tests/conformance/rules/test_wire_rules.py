"""The rules of the wire on made-up bodies: what each finds, what it leaves alone, and where it cannot tell."""

import gzip
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import EVENT_STREAM, TYPED, made_up, stream, terms

from conformance.dialect import Dialect, Matcher
from conformance.history import How, Record
from conformance.judging import judge_by
from conformance.rules import Judgement
from conformance.rules.wire import RULES
from fault_injection.faults import AtBytes, Blackhole, Disconnect, Plan
from reports.results import Level

RULE = {rule.name: rule for rule in RULES}
BOM = b"\xef\xbb\xbf"
CHUNKED = [*EVENT_STREAM, ("transfer-encoding", "chunked")]
GOOD = b'retry: 3000\n\nid: 1\ndata: {"type": "step"}\n\n: heartbeat\n\ndata: {"type": "done"}\n\n'


def judged(rule: str, *groups: list[Record], **kwargs: Any) -> Judgement:
    kwargs.setdefault("terms", terms(TYPED))
    return judge_by(made_up(*groups, **kwargs), RULE[rule])


def of(rule: str, body: bytes, how: How = "complete") -> str:
    """The verdict on a body that came in one piece."""
    return judged(rule, stream([(1.0, body)], how=how)).verdict


@pytest.mark.parametrize("rule", list(RULE))
def test_a_good_stream_conforms(rule: str) -> None:
    assert of(rule, GOOD) == "conforms"
    assert of(rule, BOM + GOOD.replace(b"\n", b"\r\n")) == "conforms"
    assert of(rule, GOOD.replace(b"\n", b"\r")) == "conforms"


@pytest.mark.parametrize("rule", list(RULE))
def test_what_is_no_event_stream_is_not_judged(rule: str) -> None:
    page = stream([(1.0, "<p>caf\xe9".encode("latin-1"))], headers=[("content-type", "text/html")])
    missing = stream([(1.0, "no such job")], status=404)
    for told in (page, missing):
        assert judged(rule, told).verdict == "not-applicable"
    assert judged(rule, stream(status=0, how="refused")).verdict == "inconclusive"


@pytest.mark.parametrize("rule", list(RULE))
def test_bytes_that_the_history_cannot_read_are_not_judged(rule: str) -> None:
    for coding in ("br", "zstd", "gzip, br"):
        told = stream([(1.0, b"\x1b\xff\x00\r")], headers=[*EVENT_STREAM, ("content-encoding", coding)])
        assert judged(rule, told).verdict == "inconclusive"
    swallowed = Plan((Blackhole(when=AtBytes(5), duration=1.0),))
    assert judged(rule, stream([(1.0, b"ta: x\n\n")]), plan=swallowed).verdict == "inconclusive"


@pytest.mark.parametrize("rule", [name for name in RULE if name != "wire.terminated"])
@pytest.mark.parametrize("coding", ["gzip", "utf-8", "none"])
def test_codings_that_the_history_reads_are_judged(rule: str, coding: str) -> None:
    body = gzip.compress(GOOD) if coding == "gzip" else GOOD
    told = stream([(1.0, body)], headers=[*EVENT_STREAM, ("content-encoding", coding)])
    assert judged(rule, told).verdict == "conforms"


@pytest.mark.parametrize(
    "rule", ["wire.utf-8", "wire.fields", "wire.json", "wire.no-data", "wire.event-size"]
)
def test_an_empty_stream_shows_nothing(rule: str) -> None:
    assert of(rule, b"") == "inconclusive"


# utf-8 and byte order marks


@pytest.mark.parametrize(
    "body",
    [
        b"data: caf\xe9\n\n",
        b"data: \xf0\x9f\x92\n\n",
        b": \xff\n\n",
        b"data: \xed\xa0\x80\n\n",
        b"data: \xc0\x80\n\n",
    ],
)
def test_bytes_that_are_not_utf_8(body: bytes) -> None:
    assert of("wire.utf-8", body) == "broken"


def test_the_evidence_names_the_bytes() -> None:
    judgement = judged("wire.utf-8", stream([(0.5, b"data: ok\n\n"), (1.0, b"data: caf\xe9!\n\n")]))
    evidence = judgement.findings[0].evidence[0]
    assert "e9" in judgement.reason
    assert (evidence.connection, evidence.offset, evidence.time) == ("a", 19, 1.0)
    assert "caf\\xe9!" in evidence.excerpt


@pytest.mark.parametrize("body", ["data: 😀 ÄÖ \ufffd\n\n".encode(), b"data: \xef\xbf\xbe\n\n"])
def test_text_of_other_planes_and_replacement_characters_are_utf_8(body: bytes) -> None:
    assert of("wire.utf-8", body) == "conforms"


def test_a_character_cut_by_the_end_of_the_watch_is_no_fault() -> None:
    assert of("wire.utf-8", b"data: 1\n\ndata: \xf0\x9f", how="watched") == "conforms"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BOM + b"data: 1\n\n", "conforms"),
        (b"data: 1\n\n" + BOM + b"data: 2\n\n", "broken"),
        (b"data: 1\r\n\r\n" + BOM + b"data: 2\r\n\r\n", "broken"),
        (b"id: 1\r" + BOM + b"data: 2\r\r", "broken"),
        (BOM + BOM + b"data: 1\n\n", "broken"),
        (b"data: " + BOM + b"text\n\n", "conforms"),  # U+FEFF within text is text
        (b"data: a" + BOM + b"b\n\n", "conforms"),
        (b"id:" + BOM + b"1\ndata: 1\n\n", "conforms"),
        (BOM + b"data: " + BOM + b"text\n\n", "conforms"),
        (b": " + BOM + b"\n\ndata: 1\n\n", "conforms"),
    ],
)
def test_a_byte_order_mark_is_reported_where_it_damages_a_field(body: bytes, expected: str) -> None:
    assert of("wire.bom", body) == expected


def test_a_field_damaged_by_a_byte_order_mark_is_reported_once() -> None:
    assert of("wire.fields", b"data: 1\n\n" + BOM + b"data: 2\n\n") == "conforms"


# fields


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"Data: 1\n\n", "'data' was meant"),
        (b"data : 1\n\n", "'data' was meant"),
        (b" data: 1\n\n", "'data' was meant"),
        (b"events: x\ndata: 1\n\n", "'event' was meant"),
        (b'data: {\n"a": 1\n}\n\n', "no client knows it"),
        (b"data: one\ntwo\n\n", "without a colon"),
        (b"done\n\n", "without a colon"),
    ],
)
def test_fields_that_no_client_knows(body: bytes, hint: str) -> None:
    judgement = judged("wire.fields", stream([(1.0, body)]))
    assert judgement.verdict == "broken"
    assert hint in judgement.reason


@pytest.mark.parametrize(
    "body", [b"data\n\n", b"data:\n\n", b":\n\ndata:1\n\n", b"id\nevent:x\ndata:  y\n\n"]
)
def test_fields_without_value_colon_or_space_are_fields(body: bytes) -> None:
    assert of("wire.fields", body) == "conforms"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"id: 1\0\ndata: 1\n\n", "broken"),
        (b"id: 1\ndata: \0\n\n", "conforms"),
        (b"id\ndata: 1\n\n", "conforms"),
    ],
)
def test_null_is_reported_in_ids_only(body: bytes, expected: str) -> None:
    assert of("wire.id-null", body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"retry: 0\n\n", "conforms"),
        (b"retry:3000\ndata: 1\n\n", "conforms"),
        (b"data: 1\n\n", "not-applicable"),
        (b"retry: 3s\n\n", "broken"),
        (b"retry: -1\n\n", "broken"),
        (b"retry: 1.5\n\n", "broken"),
        (b"retry\n\n", "broken"),
        (b"retry: 3000 \n\n", "broken"),
        ("retry: ٣\n\n".encode(), "broken"),
        (b"retry: 10\n\nretry: soon\n\n", "broken"),
    ],
)
def test_retry_is_digits(body: bytes, expected: str) -> None:
    assert of("wire.retry", body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: 1\n\r\n", "broken"),
        (b"data: a\rb\n\n", "broken"),
        (b"data: 1\r\n\r\ndata: 2\n\n", "broken"),
        (b"data: 1\r\rdata: 2\r\r", "conforms"),
    ],
)
def test_mixed_line_endings(body: bytes, expected: str) -> None:
    assert of("wire.line-endings", body) == expected


@pytest.mark.parametrize(
    ("how", "expected"),
    [("complete", "broken"), ("watched", "conforms"), ("dropped", "conforms"), ("reset", "conforms")],
)
def test_a_cr_at_a_cut_may_be_half_of_a_crlf(how: How, expected: str) -> None:
    assert of("wire.line-endings", b"data: 1\r\n\r\ndata: 2\r", how=how) == expected


# blocks


@pytest.mark.parametrize(
    "rest", [b"data: x\n", b"data: x", b"id: 3\n", b"event: done\n", b"retry: 5\ndata: x\r\n", b"data"]
)
@pytest.mark.parametrize("before", [b"", b"data: 1\n\n"])
def test_a_block_without_its_blank_line_is_lost(before: bytes, rest: bytes) -> None:
    assert of("wire.terminated", before + rest) == "broken"


@pytest.mark.parametrize(
    "rest", [b"", b"retry: 5\n", b": bye", b": bye\n", b"\n", b"source: x\n", b"id: 1\n\n"]
)
def test_an_end_at_which_nothing_is_lost(rest: bytes) -> None:
    assert of("wire.terminated", b"data: 1\n\n" + rest) == "conforms"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("complete", "broken"),
        ("truncated", "inconclusive"),
        ("reset", "inconclusive"),
        ("watched", "not-applicable"),
        ("dropped", "not-applicable"),
        ("timeout", "not-applicable"),
        ("body-limit", "not-applicable"),
    ],
)
def test_only_an_end_by_the_server_loses_the_block(how: How, expected: str) -> None:
    assert of("wire.terminated", b"data: 1\n\ndata: 2\n", how=how) == expected


TORN = [(1.0, b"data: 1\n\ndata: 2\n")]
CUT = Disconnect(when=AtBytes(20), how="fin", connections=1)


def test_a_cut_that_looks_like_an_end_is_not_the_servers() -> None:
    cut, fired = Plan((CUT,)), [(1.0, CUT)]
    until_close = stream(TORN, fired=fired)  # neither chunked nor of a length
    unknown = judged("wire.terminated", until_close, plan=cut)
    assert unknown.verdict == "inconclusive"
    assert unknown.reason.startswith("the link cut a, which has neither chunks nor a length")
    assert judged("wire.terminated", stream(TORN, headers=CHUNKED, fired=fired), plan=cut).verdict == "broken"
    assert judged("wire.terminated", stream(TORN)).verdict == "broken"


def test_who_comes_back_after_a_cut_sees_the_end_that_the_server_gives() -> None:
    cut = stream([(1.0, b"data: 1\n\n")], fired=[(1.0, CUT)])
    back = stream([(2.0, b"data: 2\n")], name="a-2", at=1.5)
    whole = stream([(2.0, b"data: 2\n\n")], name="a-2", at=1.5)
    assert judged("wire.terminated", cut, back, plan=Plan((CUT,))).verdict == "broken"
    assert judged("wire.terminated", cut, whole, plan=Plan((CUT,))).verdict == "conforms"
    silent = judged("wire.terminated", cut, back, plan=Plan((CUT,)), link="toxiproxy")
    assert silent.verdict == "inconclusive"  # it does not tell which it cut


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"how": "truncated"}, "no response came to its end: that of a was cut off"),
        ({"headers": (*EVENT_STREAM, ("content-encoding", "gzip"))}, "a is coded as gzip"),
    ],
    ids=["cut off", "coded"],
)
def test_why_the_end_is_not_known_is_said(ended: dict[str, Any], said: str) -> None:
    assert judged("wire.terminated", stream(**ended)).reason.startswith(said)


def test_one_stream_that_was_cut_does_not_hide_another() -> None:
    cut = stream([(1.0, b"data: 1\n\ndata: 2\n")], name="a", how="reset")
    whole = stream([(2.0, b"data: 1\n\ndata: 2\n")], name="a-2", at=1.5)
    left = stream([(2.0, b"data: 1\n\n")], name="b", how="dropped")
    assert judged("wire.terminated", cut, whole).verdict == "broken"
    assert judged("wire.terminated", cut, left).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: 1\n\nevent: done\n\n", "broken"),
        (b"event: done\nid: 4\n\n", "broken"),
        (b"event: done\r\n\r\n", "broken"),
        (b"event: done\ndata:\n\n", "conforms"),
        (b"event: done\ndata\n\n", "conforms"),
        (b"data: 1\n\nid: 5\n\n", "conforms"),
        (b"data: 1\n\nevent:\n\n", "conforms"),
        (b"data: 1\n\nevent: ping\n\n", "conforms"),
        (b"data: 1\n\nretry: 5\nevent:Keep-Alive\n\n", "conforms"),
        (b"data: 1\n\nevent: pinged\n\n", "broken"),
        (b"data: 1\n\nevent: ping\nevent: done\n\n", "broken"),  # the last type counts
    ],
)
def test_a_type_without_data_is_reported_unless_it_only_keeps_alive(body: bytes, expected: str) -> None:
    assert of("wire.no-data", body) == expected


def test_a_heartbeat_may_be_declared() -> None:
    body = stream([(1.0, b"data: 1\n\nevent: tick\n\n")])
    declared = terms(Dialect(heartbeat=(Matcher(event="tick"),)))
    assert judged("wire.no-data", body).verdict == "broken"
    assert judged("wire.no-data", body, terms=declared).verdict == "conforms"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'data: {"a": 1}', "conforms"),
        (b'data: {\ndata: "a": 1\ndata: }', "conforms"),
        (b"data: 1", "conforms"),
        (b'data: "\\ud83d"', "conforms"),
        (b"data: hello", "broken"),
        (b"data: {'a': 1}", "broken"),
        (b'data: {"a": NaN}', "broken"),
        (b'data: {"a": 1} {"b": 2}', "broken"),
        (b'data: {"a": ', "broken"),
        (b"data:", "broken"),
        (b"data: " + BOM + b'{"a": 1}', "broken"),
    ],
)
def test_json(data: bytes, expected: str) -> None:
    assert of("wire.json", data + b"\n\n") == expected


def test_what_the_dialect_knows_by_its_text_is_not_parsed() -> None:
    body = stream([(1.0, b"data: {}\n\nevent: ping\ndata: now\n\ndata: [DONE]\n\n")])
    known = Dialect(json=True, completion=(Matcher(data="[DONE]"),), heartbeat=(Matcher(event="ping"),))
    assert judged("wire.json", body, terms=terms(known)).verdict == "conforms"
    assert judged("wire.json", body, terms=terms(Dialect(json=True))).verdict == "broken"


def test_json_is_judged_where_it_is_declared() -> None:
    body = stream([(1.0, b"data: hello\n\n")])
    assert judged("wire.json", body, terms=terms()).verdict == "not-applicable"
    assert judged("wire.json", body, terms=terms(Dialect(json=False))).verdict == "not-applicable"


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_lines_of_64_kib_and_more(ending: bytes) -> None:
    def body(*sizes: int) -> bytes:
        return b"".join(b"data:" + b"x" * (size - 5) + 2 * ending for size in sizes)

    assert of("wire.event-size", body(10, 65_535, 65_535)) == "conforms"
    assert of("wire.event-size", body(65_536)) == "broken"
    judgement = judged("wire.event-size", stream([(0.5, body(10)), (1.0, body(70_000, 20, 300_000))]))
    places = [(each.evidence[0].offset, each.evidence[0].actual) for each in judgement.findings]
    first = 10 + 2 * len(ending)
    second = first + 70_000 + 20 + 4 * len(ending)
    assert places == [(first, "70000 bytes"), (second, "300000 bytes")]
    assert judgement.findings[0].evidence[0].time == 1.0


def test_many_lines_make_a_long_event_bearable() -> None:
    assert of("wire.event-size", b"data: 0123456789\n" * 20_000 + b"\n") == "conforms"
    assert of("wire.event-size", b"data: 1\n\ndata: " + b"x" * 70_000, how="watched") == "broken"


# whatever comes


_PARTS = st.sampled_from(
    [
        b"data: ",
        b"data",
        b"id: ",
        b"event: done",
        b"retry: ",
        b":",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        BOM,
        BOM[:2],
        b"{}",
        b'{"a": 1}',
        b"\0",
        b"x",
        b"7",
        b"ping",
        b" ",
        b"\xff",
        "ä".encode(),
    ]
)
_BODIES = st.lists(_PARTS, max_size=40).map(b"".join)


@given(body=_BODIES, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_the_verdict_does_not_depend_on_where_the_body_was_cut(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [(1.0, body[a:b]) for a, b in pairwise(edges)]
    for name in RULE:
        whole = judged(name, stream([(1.0, body)]))
        assert judged(name, stream(pieces)) == whole, name


@given(events=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\ufeff"))))
def test_any_text_in_proper_blocks_breaks_no_rule(events: list[str]) -> None:
    body = "".join(f"id: {number}\ndata: {text}\n\n" for number, text in enumerate(events)).encode()
    for name in RULE:
        if name != "wire.json":
            assert of(name, body) != "broken", name


def test_levels() -> None:
    should = {rule.name.partition(".")[2] for rule in RULES if rule.level is Level.SHOULD}
    assert should == {"fields", "line-endings", "event-size"}
