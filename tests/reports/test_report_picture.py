"""The geometry of a timeline: bounded, honest about how many, and at the right place."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from report_sample import burst, resume, steady

from reports.picture import LANES, draw
from reports.shapes import LEFT, RIGHT, WORDS
from reports.timeline import Lane, Mark, Span, Timeline, Tone


def test_a_burst_is_one_tower_with_its_number_and_a_steady_stream_is_a_carpet() -> None:
    steady_lane, held_lane, _ = draw(burst()).lanes
    assert [bar.count for bar in held_lane.bars] == [40]
    assert [label.text for label in held_lane.counts] == ["×40"]
    assert held_lane.note == "40 events from 8.00 s to 8.02 s, longest gap 0.001 s"
    assert len([group for group in steady_lane.groups if group.tone == "event"]) == 40
    assert not steady_lane.bars
    assert not steady_lane.counts


def test_a_higher_tower_is_a_greater_burst() -> None:
    marks = [
        Mark(time, "event", "e") for time, count in ((1.0, 1), (3.0, 10), (7.0, 1_000)) for _ in range(count)
    ]
    (lane,) = draw(Timeline("bursts", 10.0, (Lane("one", tuple(marks)),))).lanes
    one, few, many = (bar.height for bar in lane.bars)
    assert 2 < one < few / 1.5 < many / 3
    assert many < lane.strip - lane.band
    assert sorted(label.text for label in lane.counts) == ["×1,000", "×10"]


def test_faults_and_broken_ends_stand_where_they_happened() -> None:
    picture = draw(resume())
    at = {group.tone: group for lane in picture.lanes for group in lane.groups}
    width = RIGHT - LEFT
    assert math.isclose(at["fault"].x, LEFT + width * 1.0 / 3.6, abs_tol=0.1)
    assert math.isclose(at["bad"].x, LEFT + width * 1.02 / 3.6, abs_tol=0.1)
    assert picture.fault_lines == (at["fault"].x,)
    assert [label.text for lane in picture.lanes for label in lane.labels] == [
        *("reset", "subscribe", "complete", "reconnect", "Disconnect(RST)"),
    ]


def test_the_picture_is_told_in_words() -> None:
    told = draw(resume()).description
    assert told.startswith("3 lanes over 3.60 s. GET /jobs/7/events #1: 3 events from 0.300 s to 0.900 s")
    assert "reset at 1.02 s" in told
    assert "Disconnect(RST) at 1.00 s" in told


def test_a_hundred_thousand_events_are_drawn_as_a_few_hundred_and_none_is_lost() -> None:
    marks = tuple(Mark(n / 1000, "event", f"seq {n}", "detail " * 40) for n in range(100_000))
    picture = draw(Timeline("many", 100.0, (Lane("one", marks), Lane("two", marks[::7]))))
    for lane, count in zip(picture.lanes, (100_000, len(marks[::7])), strict=True):
        assert len(lane.groups) <= 240
        assert sum(group.count for group in lane.groups) == count
        assert sum(bar.count for bar in lane.bars) == count


def test_of_many_lanes_those_that_tell_something_are_drawn_and_the_rest_as_one() -> None:
    lanes = [steady(f"lane {n}", count=3) for n in range(200)]
    lanes[150] = Lane("the broken one", (Mark(0.5, "bad", "reset"),))
    picture = draw(Timeline("crowd", 2.0, tuple(lanes)))
    assert len(picture.lanes) == LANES + 1
    assert "the broken one" in [lane.name for lane in picture.lanes]
    assert picture.lanes[-1].name == "188 more lanes, drawn as one"
    assert sum(group.count for lane in picture.lanes for group in lane.groups) == 199 * 5 + 1


def test_ticks_are_round_numbers_of_seconds() -> None:
    assert [words for _, words in draw(Timeline("t", 8.42)).ticks] == ["0 s", "2 s", "4 s", "6 s", "8 s"]
    assert [words for _, words in draw(Timeline("t", 0.3)).ticks][:2] == ["0.00 s", "0.05 s"]
    assert [words for _, words in draw(Timeline("t", 300.0)).ticks][-1] == "300 s"


tones = st.sampled_from(sorted(WORDS))
times = st.one_of(st.floats(), st.floats(0, 10), st.just(5.0))


@st.composite
def lanes(draw_from: st.DrawFn) -> Lane:
    def mark(time: float, tone: Tone, text: str) -> Mark:
        return Mark(time, tone, text, text)

    marks = draw_from(st.lists(st.builds(mark, times, tones, st.text(max_size=80)), max_size=30))
    spans = draw_from(st.lists(st.builds(Span, times, times, tones, st.text(max_size=80)), max_size=5))
    return Lane(draw_from(st.text(max_size=80)), tuple(marks), tuple(spans))


@given(st.lists(lanes(), max_size=LANES), times)
def test_whatever_comes_stays_within_the_picture(found: list[Lane], duration: float) -> None:
    picture = draw(Timeline("any", duration, tuple(found)))
    assert math.isfinite(picture.height)
    assert 1 <= len(picture.ticks) <= 9
    for lane, drawn in zip(found, picture.lanes, strict=True):
        known = [mark for mark in lane.marks if abs(mark.time) < 1e9]
        assert sum(group.count for group in drawn.groups) == len(known)
        for group in drawn.groups:
            assert LEFT <= group.x <= RIGHT
            assert group.title.isprintable()
        for bar in drawn.bars:
            assert drawn.band < drawn.strip - bar.height < drawn.strip < drawn.bottom
        for stretch in drawn.stretches:
            assert LEFT <= stretch.x <= RIGHT
            assert stretch.width > 0


@given(st.lists(st.tuples(st.floats(0, 10), tones), max_size=60))
def test_words_never_stand_upon_each_other(found: list[tuple[float, Tone]]) -> None:
    marks = tuple(Mark(time, tone, "a label of some length") for time, tone in found)
    (lane,) = draw(Timeline("any", 10.0, (Lane("one", marks),))).lanes
    spans = []
    for label in lane.labels:
        width = 9.0 * len(label.text)
        left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
        spans.append((left, left + width))
    spans.sort()
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
