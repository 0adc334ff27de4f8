"""Numbers over time: bounded, within their place, honest about the least and the greatest."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import gauges

from reports.charts import CHARTS, amount, charts
from reports.picture import draw
from reports.shapes import LEFT, RIGHT
from reports.timeline import Series, Timeline


def across(time: float) -> float:
    return LEFT + (RIGHT - LEFT) * min(max(time / 10, 0), 1)


def test_what_changes_comes_first_and_is_drawn_between_its_least_and_greatest_value() -> None:
    (descriptors, memory, threads), left_out = charts(gauges(), across, 100.0)
    assert left_out == 0
    assert [each.name for each in (descriptors, memory, threads)] == [
        "process.descriptors",
        "process.memory",
        "process.threads",
    ]
    assert descriptors.note == "9 to 117, 9 at first, 117 at last"
    assert [label.text for _, label in descriptors.labels] == ["117", "9"]
    assert [label.text for _, label in memory.labels] == ["80.64 MB", "80.40 MB"]
    assert threads.note == "4 throughout"
    assert threads.labels == ()
    assert len(threads.points) == 2
    heights = [point.y for point in descriptors.points]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 28
    assert descriptors.bottom == memory.top


def test_charts_stand_under_the_lanes_and_lengthen_the_time() -> None:
    picture = draw(Timeline("gauges", 1.0, (), gauges()))
    assert picture.charts[0].points[-1].x == RIGHT  # the last sample is the end of the picture
    assert picture.axis == picture.charts[-1].bottom
    assert "process.threads: 4 throughout." in picture.description


def test_ten_thousand_points_are_drawn_as_a_few_hundred_with_the_extremes_among_them() -> None:
    wave = ((n / 1000, math.sin(n / 300)) for n in range(10_000))
    points = (*wave, (7.7771, 55.0), (3.3331, -55.0))
    ((chart,), _) = charts([Series("wave", points)], across, 0.0)
    assert chart.note.startswith("-55 to 55, ")
    assert len(chart.points) <= 244
    assert {"55", "-55"} <= {point.words for point in chart.points}


def test_of_many_gauges_it_is_said_how_many_are_not_drawn() -> None:
    many = [Series(f"gauge {n}", ((0.0, 1.0), (1.0, 2.0))) for n in range(CHARTS + 7)]
    assert draw(Timeline("many", 1.0, (), tuple(many))).left_out == 7


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "", "0"),
        (1234, "", "1,234"),
        (0.25, "", "0.25"),
        (2e300, "", "2e+300"),
        (512, "bytes", "512 B"),
        (50_000, "bytes", "50.00 kB"),
        (80_449_536, "bytes", "80.45 MB"),
        (4.2e11, "bytes", "420.0 GB"),
        (-1e6, "bytes", "-1.00 MB"),
    ],
)
def test_amounts_in_words(value: float, unit: str, words: str) -> None:
    assert amount(value, unit) == words


series = st.builds(
    Series,
    st.text(max_size=60),
    st.lists(st.tuples(st.one_of(st.floats(), st.floats(0, 10)), st.floats()), max_size=90).map(tuple),
    st.sampled_from(["", "bytes"]),
)


@given(st.lists(series, max_size=5))
def test_whatever_comes_stays_within_its_place(found: list[Series]) -> None:
    drawn, _ = charts(found, across, 10.0)
    top = 10.0
    for chart in drawn:
        assert chart.top == top
        assert chart.name.isprintable()
        for point in chart.points:
            assert LEFT <= point.x <= RIGHT
            assert chart.top < point.y < chart.bottom
        top = chart.bottom
