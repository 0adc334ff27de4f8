"""The picture of a history: a lane for each connection, what the scenario did, and nothing without bounds."""

from typing import get_args

import pytest

from conformance.dialect import Dialect, effective_dialect
from conformance.history import (
    Began,
    Chunk,
    Connected,
    Ended,
    Fired,
    Gauge,
    Head,
    History,
    How,
    Mark,
    Record,
    Requested,
    Terms,
    history,
)
from conformance.picture import picture
from conformance.wire import encode_comment, encode_event
from fault_injection.faults import AtTrigger, Disconnect, Refuse
from reports.timeline import Lane, Series

BODY = (
    (0.3, encode_event("{}", id="1")),
    (0.4, encode_comment("hb") + b":\n\n"),
    (0.5, encode_event("{}", id="2", type="complete")),
)


def drawn(
    pieces: tuple[tuple[float, bytes], ...] = BODY,
    *,
    how: How | None = "complete",
    also: tuple[Record, ...] = (),
    status: int | None = 200,
) -> History:
    records: list[Record] = [
        Began(terms=Terms(dialect=effective_dialect(Dialect(preset="task-stream"))), scenario="subscribe"),
        Requested(time=0.1, exchange="a", purpose="stream", method="GET", url="/", subscriber="a"),
        Connected(time=0.1, exchange="a", local="here:1"),
    ]
    if status is not None:
        records.append(
            Head(
                time=0.2,
                exchange="a",
                status=status,
                reason="OK",
                headers=(("content-type", "text/event-stream"),),
            )
        )
    records += [Chunk.of(time, "a", data) for time, data in pieces]
    if how is not None:
        records.append(Ended(time=0.6, exchange="a", how=how, detail="why"))
    return history([*records, *also])


def lane(history: History, name: str = "a") -> Lane:
    return next(lane for lane in picture(history).lanes if lane.name == name)


def test_a_lane_shows_what_arrived_in_order() -> None:
    marks = [(mark.time, mark.tone, mark.label) for mark in lane(drawn()).marks]
    assert (0.2, "note", "head 200") in marks
    assert (0.3, "event", "message #1") in marks
    assert (0.5, "good", "complete #2") in marks
    assert (0.6, "note", "complete") in marks
    assert [time for time, _, _ in marks] == sorted(time for time, _, _ in marks)


@pytest.mark.parametrize("how", get_args(How))
def test_an_end_that_nobody_wanted_looks_bad(how: How) -> None:
    end = lane(drawn(how=how)).marks[-1]
    wanted = how in {"complete", "dropped", "watched", "body-limit"}
    assert (end.tone, end.label, end.detail) == ("note" if wanted else "bad", how, "why")


def test_the_connection_is_open_from_its_head_to_its_end() -> None:
    (span,) = lane(drawn()).spans
    assert (span.start, span.end) == (0.2, 0.6)
    (still,) = lane(drawn(how=None, also=(Mark(time=9, what="x"),))).spans
    assert (still.start, still.end) == (0.2, 9)
    assert lane(drawn((), status=None)).spans == ()


def test_faults_are_in_the_lane_that_they_hit_and_others_with_the_scenario() -> None:
    cut = Disconnect(when=AtTrigger("events", 1))
    also = (
        Fired(time=0.45, fault=cut, index=0, peer="here:1", detail="cut"),
        Fired(time=0.7, fault=Refuse(duration=1), index=1, peer="there:2", detail="refused"),
    )
    played = drawn(also=also)
    assert (0.45, "fault", "Disconnect", "cut") in [
        (m.time, m.tone, m.label, m.detail) for m in lane(played).marks
    ]
    assert [(m.time, m.tone, m.label) for m in lane(played, "scenario").marks] == [(0.7, "fault", "refused")]


def test_what_the_scenario_did_and_asked_has_a_lane_of_its_own() -> None:
    also = (
        Mark(time=0.7, what="server killed", detail="by SIGKILL"),
        Mark(time=0.71, what="completion seen", exchange="a"),
        Requested(time=0.8, exchange="status", purpose="status", method="GET", url="/s"),
        Head(time=0.9, exchange="status", status=200),
        Chunk.of(0.9, "status", b'{"state": "\xff"}'),
        Requested(time=1, exchange="status-2", purpose="status", method="GET", url="/s"),
        Ended(time=2, exchange="status-2", how="refused", detail="nobody there"),
        Requested(time=3, exchange="status-3", purpose="status", method="GET", url="/s"),
    )
    assert [(m.label, m.detail) for m in lane(drawn(also=also), "scenario").marks] == [
        ("server killed", "by SIGKILL"),
        ("GET status", '200 {"state": "\ufffd"}'),
        ("GET status-2", "nobody there"),
        ("GET status-3", "no answer"),
    ]


def test_without_doings_there_is_no_lane_for_them() -> None:
    assert [each.name for each in picture(drawn()).lanes] == ["a"]


def test_a_hostile_stream_makes_a_bounded_picture() -> None:
    many = tuple((0.3 + number / 1e5, encode_event("x" * 1000)) for number in range(20_000))
    marks = lane(drawn(many)).marks
    assert len(marks) < 2_100
    assert sum(int(mark.label.split()[0]) for mark in marks if mark.label.endswith(" marks")) > 15_000
    long = lane(drawn(((0.3, encode_event("x" * 100_000)),))).marks
    assert max(len(mark.detail) for mark in long) <= 300


def test_a_history_of_one_record_can_be_drawn() -> None:
    assert picture(history([Began(scenario="s")])).lanes == ()


def test_gauges_that_were_looked_at_again_are_drawn_and_the_requests_for_them_are_not() -> None:
    looks = [
        Gauge(time=time, name=name, value=value)
        for time, name, value in (
            (1.0, "process.memory", 80e6),
            (1.0, "tasks", 1.0),
            (1.5, "tasks", None),
            (2.0, "process.memory", 81e6),
            (2.0, "tasks", 3.0),
            (2.0, "once", 3.0),
        )
    ]
    asked = Requested(time=1.0, exchange="probe", purpose="probe", method="GET", url="http://h/debug")
    drawn = picture(history([Began(terms=Terms()), asked, *looks]))
    assert drawn.series == (
        Series("process.memory", ((1.0, 80e6), (2.0, 81e6)), "bytes"),
        Series("tasks", ((1.0, 1.0), (2.0, 3.0))),
    )
    assert drawn.lanes == ()


@pytest.mark.parametrize(("connections", "lanes"), [(12, 12), (13, 1)])
def test_a_storm_of_one_subscriber_is_one_lane(connections: int, lanes: int) -> None:
    records: list[Record] = [Began(terms=Terms())]
    for number in range(connections):
        name = f"storm-{number}"
        records += [
            Requested(
                time=number,
                exchange=name,
                purpose="stream",
                method="GET",
                url="http://h/",
                subscriber="storm",
            ),
            Head(time=number, exchange=name, status=200),
            Ended(time=number + 0.5, exchange=name, how="dropped"),
        ]
    drawn = picture(history(records))
    assert len(drawn.lanes) == lanes
    assert sum(len(lane.marks) for lane in drawn.lanes) == 2 * connections
    if lanes == 1:
        assert drawn.lanes[0].name == "storm, 13 connections"


def test_of_a_crowd_those_are_drawn_who_were_not_told() -> None:
    untold = {"crowd-30", "crowd-77"}
    records: list[Record] = [
        Began(terms=Terms(dialect=effective_dialect(Dialect(preset="task-stream"))), scenario="crowd")
    ]
    for number in range(1, 101):
        name = f"crowd-{number}"
        records += [
            Requested(time=0.1, exchange=name, purpose="stream", method="GET", url="/", subscriber=name),
            Head(time=0.2, exchange=name, status=200, headers=(("content-type", "text/event-stream"),)),
            *(Chunk.of(time, name, data) for time, data in BODY[: 2 if name in untold else 3]),
            Ended(time=0.6, exchange=name, how="complete"),
        ]
    lanes = picture(history(records)).lanes
    assert len(lanes) == 13
    assert untold <= {lane.name for lane in lanes}
    assert lanes[-1].name == "88 other subscribers"
    assert sum(mark.tone == "good" for mark in lanes[-1].marks) == 88
