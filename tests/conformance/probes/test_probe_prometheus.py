"""Numbers in Prometheus' text format: the right samples, summed, and honest where there are none."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.config import Metric
from conformance.probes import Reading, read_prometheus

ANSWER = """\
# HELP streams_open Streams that are open.
# TYPE streams_open gauge
streams_open{worker="1",kind="sse"} 3
streams_open{worker="2",kind="sse"} 4 1395066363000
streams_open{worker="1",kind="ws"} 100
streams_open_total 7
tasks 12
label_with{text="a \\"quoted\\" } brace"} 5
{"dotted.name",kind="sse"} 9
endless +Inf
strange NaN
broken{kind="sse} 3
"""


def read(metric: str, answer: str = ANSWER, **labels: str) -> Reading:
    (reading,) = read_prometheus(answer, {"g": Metric(metric=metric, labels=labels)})
    return reading


@pytest.mark.parametrize(
    ("metric", "labels", "value"),
    [
        ("tasks", {}, 12),
        ("streams_open", {}, 107),
        ("streams_open", {"kind": "sse"}, 7),
        ("streams_open", {"kind": "sse", "worker": "2"}, 4),
        ("streams_open_total", {}, 7),
        ("label_with", {"text": 'a "quoted" } brace'}, 5),
        ("dotted.name", {"kind": "sse"}, 9),
    ],
)
def test_samples_with_the_wanted_labels_are_summed(metric: str, labels: dict[str, str], value: float) -> None:
    assert read(metric, **labels) == Reading("g", value)


@pytest.mark.parametrize(
    ("metric", "labels", "why"),
    [
        ("streams", {}, "no sample of streams in the answer"),
        ("streams_open", {"kind": "grpc"}, "no sample of streams_open with the labels {'kind': 'grpc'}"),
        ("endless", {}, "endless is inf in the answer"),
        ("strange", {}, "strange is nan in the answer"),
        ("broken", {}, "no sample of the text format: 'broken{kind=\"sse} 3'"),
    ],
)
def test_what_is_not_there_has_no_value_and_a_reason(metric: str, labels: dict[str, str], why: str) -> None:
    reading = read(metric, **labels)
    assert reading.value is None
    assert why in reading.detail


def test_an_answer_of_a_megabyte_costs_no_more_than_its_wanted_lines() -> None:
    hostile = "".join(f'other{{n="{n}"}} {n}\n' for n in range(50_000)) + "tasks 1\n"
    began = time.process_time()
    assert read("tasks", hostile).value == 1
    assert time.process_time() - began < 1  # to parse it all takes more


def test_too_many_samples_of_the_metric_itself_are_not_read() -> None:
    assert read("tasks", "tasks 1\n" * 3_000).value is None


@given(st.text(max_size=200).map(lambda text: f"tasks{text}"), st.text(max_size=200))
def test_whatever_comes_there_is_one_reading(first: str, second: str) -> None:
    (reading,) = read_prometheus(f"{first}\ntasks {second}", {"g": Metric(metric="tasks")})
    assert (reading.value is None) == bool(reading.detail)
