"""Roles, sequence, stream, timestamp and scope of wire items: what a rule asks of a dialect."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.dialect import (
    Dialect,
    Matcher,
    Parsed,
    Role,
    Scope,
    classify,
    in_scope,
    matches,
    parse,
    parse_json,
    parse_timestamp,
    sequence_of,
    stream_of,
    timestamp_of,
)
from conformance.pointer import ABSENT
from conformance.wire.event import Comment, Defect, Event, Reconnection, Violation


def event(data: Any = "", type: str = "message", id: str | None = None) -> Parsed:
    return parse(Event(type=type, data=data if isinstance(data, str) else json.dumps(data), id=id))


# JSON


@pytest.mark.parametrize(
    ("text", "value"), [("null", None), (' {"a": [1, 2.5]} ', {"a": [1, 2.5]}), ('"x"', "x"), ("0", 0)]
)
def test_json_is_any_one_value(text: str, value: Any) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text", ["", "[DONE]", "NaN", "{'a': 1}", '{"a":1}{"b":2}', "[" * 100_000, "\\ud800"]
)
def test_what_is_not_json_is_absent(text: str) -> None:
    assert parse_json(text) is ABSENT


def test_half_an_escaped_character_is_still_json() -> None:
    assert parse_json('{"delta": "\\ud83d"}') == {"delta": "?"}
    assert parse_json('{"delta": "\\ud83d", "x": NaN}') is ABSENT


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), st.lists))
def test_what_json_writes_is_read_back(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


# matchers


@pytest.mark.parametrize(
    ("matcher", "yes", "no"),
    [
        (Matcher(event="complete"), event("x", type="complete"), event("complete")),
        (Matcher(data="[DONE]"), event("[DONE]"), event("[DONE] ")),
        (Matcher(pointer="/type", equals="done"), event({"type": "done"}), event('say "type": "done"')),
        (Matcher(pointer="/n", equals=1), event({"n": 1.0}), event({"n": True})),
        (Matcher(pointer="/ok", equals=True), event({"ok": True}), event({"ok": 1})),
        (Matcher(pointer="/n", equals=0), event({"n": 0}), event({"n": False})),
        (Matcher(pointer="/error"), event({"error": {}}), event({"error": None})),
        (Matcher(pointer="/n"), event({"n": 0}), event({"n": False})),
        (Matcher(pointer="/error"), event({"error": "cancelled"}), event({"error": ""})),
        (Matcher(comment=True), parse(Comment(" ping")), event("ping")),
    ],
)
def test_a_matcher_tells_one_thing(matcher: Matcher, yes: Parsed, no: Parsed) -> None:
    assert matches(matcher, yes)
    assert not matches(matcher, no)


@pytest.mark.parametrize(
    "matcher", [Matcher(event="message"), Matcher(data=""), Matcher(pointer="/a"), Matcher(comment=True)]
)
def test_what_is_neither_event_nor_comment_matches_nothing(matcher: Matcher) -> None:
    assert not matches(matcher, parse(Reconnection(1000)))
    assert not matches(matcher, parse(Violation(Defect.NO_DATA, "no data")))


# roles

CHAT = Dialect(
    completion=(Matcher(pointer="/type", equals="done"),),
    failure=(Matcher(pointer="/error"),),
    end=(Matcher(event="stream_end"),),
    heartbeat=(Matcher(comment=True), Matcher(event="ping")),
)


@pytest.mark.parametrize(
    ("item", "role"),
    [
        (event({"type": "delta"}), Role.PROGRESS),
        (event("no JSON at all"), Role.PROGRESS),
        (event({"type": "done"}), Role.COMPLETION),
        (event({"type": "done", "error": None}), Role.COMPLETION),
        (event({"type": "done", "error": "stream_cancelled"}), Role.FAILURE),
        (event("", type="stream_end"), Role.END),
        (event("{}", type="ping"), Role.HEARTBEAT),
        (parse(Comment("")), Role.HEARTBEAT),
        (parse(Reconnection(1)), None),
    ],
)
def test_each_item_has_one_role(item: Parsed, role: Role | None) -> None:
    assert classify(CHAT, item) is role


def test_without_a_dialect_events_are_progress_and_comments_are_nothing() -> None:
    assert classify(Dialect(), event({"type": "done"})) is Role.PROGRESS
    assert classify(Dialect(), parse(Comment("ping"))) is None


# sequence and stream


@pytest.mark.parametrize(
    ("id", "expected"),
    [("7", 7), ("007", 7), ("job:7", "job:7"), ("", ""), (None, None), ("٧", "٧"), ("9" * 40, "9" * 40)],
)
def test_the_sequence_of_an_id(id: str | None, expected: int | str | None) -> None:
    assert sequence_of(Dialect(sequence="id"), event("x", id=id)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"seq": 3}, 3),
        ({"seq": "a3"}, "a3"),
        ({"seq": True}, None),
        ({"seq": [3]}, None),
        ({}, None),
        ("x", None),
    ],
)
def test_the_sequence_in_data(data: Any, expected: int | str | None) -> None:
    assert sequence_of(Dialect(sequence="/seq"), event(data, id="99")) == expected


def test_a_comment_has_no_sequence() -> None:
    assert sequence_of(Dialect(sequence="id"), parse(Comment("7"))) is None


@pytest.mark.parametrize(
    ("data", "expected"), [({"job": "a"}, "a"), ({"job": 12}, "12"), ({"job": None}, None), ("x", None)]
)
def test_the_stream_an_event_belongs_to(data: Any, expected: str | None) -> None:
    assert stream_of(Dialect(stream="/job"), event(data)) == expected


def test_nothing_is_read_that_was_not_declared() -> None:
    item = event({"seq": 1, "job": "a", "timestamp": 5}, id="1")

    assert sequence_of(Dialect(), item) is None
    assert stream_of(Dialect(), item) is None
    assert timestamp_of(Dialect(), item) is None


# time


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2025-11-04T00:57:05.470Z", 1762217825.47),
        ("2025-11-04T02:57:05.470+02:00", 1762217825.47),
        ("2025-11-04 00:57:05", 1762217825.0),
        ("20251104T005705", 1762217825.0),
        ("2025-11-04T00:57:05.470123456Z", 1762217825.470123),
        (1762217825.47, 1762217825.47),
        (1762217825470, 1762217825.47),
        (12.5, 12.5),
        (0, 0.0),
    ],
)
def test_a_timestamp(value: Any, seconds: float) -> None:
    assert parse_timestamp(value) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        "2025-11-04",
        "20251104",
        "1762217825",
        "yesterday at noon, or so",
        "",
        "0001-01-01T00:00:00+23:59",
        True,
        None,
        [],
        {},
        -1,
        10**400,
        float("nan"),
        float("inf"),
        1e14,
    ],
)
def test_what_is_no_timestamp(value: Any) -> None:
    assert parse_timestamp(value) is None


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_three_ways_to_say_one_moment(naive: datetime, offset: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    seconds = moment.astimezone(UTC).timestamp()

    assert parse_timestamp(moment.isoformat()) == pytest.approx(seconds, abs=1e-3)
    if seconds * 1000 >= 1e11:  # from March 1973: before, milliseconds would pass for seconds
        assert parse_timestamp(seconds * 1000) == pytest.approx(seconds, abs=1e-3)
    assert parse_timestamp(seconds) == pytest.approx(seconds)


@given(st.text() | st.floats() | st.integers() | st.lists(st.integers()))
def test_no_value_breaks_the_reading_of_a_timestamp(value: Any) -> None:
    seconds = parse_timestamp(value)
    assert seconds is None or 0 <= seconds < 1e12


# scope

BUS = Dialect(scope=Scope(pointer="/properties/sessionID", equals="ses_1"))


@pytest.mark.parametrize(
    ("item", "judged"),
    [
        (event({"properties": {"sessionID": "ses_1"}}), True),
        (event({"properties": {"sessionID": "ses_2"}}), False),
        (event({"properties": {}}), False),
        (event("ses_1"), False),
        (parse(Comment("")), True),
    ],
)
def test_on_a_bus_only_the_scope_is_judged(item: Parsed, judged: bool) -> None:
    assert in_scope(BUS, item) is judged
    assert in_scope(Dialect(), item)
