"""Plans in JSON and in words, and the values that they do not take."""

import math
from collections.abc import Callable
from functools import partial
from operator import eq

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from fault_injection import strategies
from fault_injection.faults import (
    AtBytes,
    AtTime,
    AtTrigger,
    Bandwidth,
    Blackhole,
    Buffer,
    Disconnect,
    Fault,
    Latency,
    Plan,
    Refuse,
    Slice,
    SlowClose,
)
from fault_injection.plans import PlanError, describe, describe_plan, plan_from_json, plan_to_json

TRIGGERS = [AtTrigger("completion"), AtTrigger("events", 3), AtTrigger("matching", "done")]


@given(strategies.plans(triggers=TRIGGERS))
def test_a_plan_survives_json(plan: Plan) -> None:
    text = plan_to_json(plan)
    assert plan_from_json(text) == plan
    assert plan_from_json(text.decode()) == plan


def test_a_plan_as_people_write_it() -> None:
    text = '{"faults": [{"fault": "disconnect", "when": {"type": "bytes", "offset": 100}, "connections": 1}]}'
    assert plan_from_json(text) == Plan((Disconnect(when=AtBytes(100), connections=1),))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "truncated"),
        (b"\xff", "fault plan"),
        ("[]", "Expected `object`, got `array`"),
        ('{"fault": []}', "unknown field `fault`"),
        ('{"faults": [{"fault": "latency"}]}', r"missing required field `delay` - at `\$.faults\[0\]`"),
        ('{"faults": [{"fault": "gremlin"}]}', r"Invalid value 'gremlin' - at `\$.faults\[0\].fault`"),
        (
            '{"faults": [{"fault": "latency", "delay": "1s"}]}',
            r"Expected `float`, got `str` - at `\$.faults\[0\].delay`",
        ),
        (
            '{"faults": [{"fault": "latency", "delay": -1}]}',
            r"delay must be 0 or more, not -1.* - at `\$.faults\[0\]`",
        ),
        ('{"faults": [{"fault": "latency", "delay": 1e999}]}', "out of range"),
        (
            '{"faults": [{"fault": "disconnect", "when": {"type": "bytes", "offset": -1}}]}',
            r"offset must be 0 or more, not -1 - at `\$.faults\[0\].when`",
        ),
    ],
)
def test_a_plan_that_cannot_be_read_says_where_and_why(text: str | bytes, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        plan_from_json(text)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Latency(delay=-0.1), "delay must be 0 or more, not -0.1"),
        (lambda: Latency(delay=math.nan), "delay must be a finite number, not nan"),
        (lambda: Latency(delay=math.inf), "delay must be a finite number, not inf"),
        (lambda: Latency(delay=1, jitter=2), r"jitter \(2\) must not exceed delay \(1\)"),
        (lambda: Latency(delay=1, connections=0), "connections must be 1 or more, not 0"),
        (lambda: Bandwidth(bytes_per_second=0), "bytes_per_second must be more than 0, not 0"),
        (lambda: Slice(size=0), "size must be 1 or more, not 0"),
        (lambda: Slice(size=3, variation=3), r"variation \(3\) must be less than size \(3\)"),
        (lambda: Slice(size=3, gap=-1), "gap must be 0 or more"),
        (lambda: Buffer(size=0), "size must be 1 or more"),
        (lambda: Buffer(size=1, flush_after=-1), "flush_after must be 0 or more"),
        (lambda: Blackhole(when=AtTime(0), duration=0), "duration must be more than 0, not 0"),
        (lambda: SlowClose(delay=-1), "delay must be 0 or more"),
        (lambda: Refuse(duration=0), "duration must be more than 0"),
        (lambda: AtTime(-1), "seconds must be 0 or more"),
        (lambda: AtTrigger(""), "a trigger needs a name"),
    ],
)
def test_values_that_make_no_sense_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("fault", "phrase"),
    [
        (Latency(delay=0.2), "latency 0.2 s downstream"),
        (Latency(delay=0.2, jitter=0.1, direction="upstream"), "latency 0.2 s ± 0.1 s upstream"),
        (Bandwidth(bytes_per_second=1000.0), "bandwidth 1000 bytes/s downstream"),
        (Slice(size=1), "slice into 1 byte downstream"),
        (Slice(size=8, variation=2, gap=0.01), "slice into 8 ± 2 bytes, 0.01 s apart, downstream"),
        (Buffer(size=4096), "buffer 4096 bytes downstream"),
        (Buffer(size=4096, flush_after=1.0), "buffer 4096 bytes for at most 1 s downstream"),
        (
            Disconnect(when=AtBytes(100), connections=1),
            "disconnect by FIN after 100 bytes downstream, first connection only",
        ),
        (Disconnect(when=AtTrigger("events", 3), how="rst"), "disconnect by RST at events 3 downstream"),
        (Blackhole(when=AtTime(1.5)), "blackhole after 1.5 s for ever downstream"),
        (Blackhole(when=AtTrigger("completion"), duration=2), "blackhole at completion for 2 s downstream"),
        (SlowClose(delay=3, connections=2), "close 3 s late downstream, first 2 connections only"),
        (Refuse(), "refuse connections"),
        (Refuse(duration=2, connections=3), "refuse connections for 2 s, first 3 attempts only"),
    ],
)
def test_a_fault_in_one_phrase(fault: Fault, phrase: str) -> None:
    assert describe(fault) == phrase


def test_a_plan_in_phrases() -> None:
    assert describe_plan(Plan()) == "no faults"
    assert describe_plan(Plan((Latency(delay=1), Refuse()))) == "latency 1 s downstream; refuse connections"


@given(strategies.faults(triggers=TRIGGERS), strategies.faults(triggers=TRIGGERS))
def test_faults_that_differ_read_differently(one: Fault, other: Fault) -> None:
    assert (describe(one) == describe(other)) == (
        one == other or (isinstance(one, Refuse) and _alike(one, other))
    )


def _alike(one: Refuse, other: Fault) -> bool:
    """Their direction, which means nothing, is all that differs."""
    return isinstance(other, Refuse) and (one.duration, one.connections) == (
        other.duration,
        other.connections,
    )


def test_strategies_shrink_to_the_empty_plan_and_small_round_numbers() -> None:
    assert find(strategies.plans(), lambda _: True) == Plan()
    assert find(strategies.plans(), bool) == Plan((Latency(delay=0.0),))
    slow = find(strategies.faults(kinds=[Latency]), lambda f: isinstance(f, Latency) and f.delay > 1.5)
    assert slow == Latency(delay=2.0)
    cut = find(strategies.faults(), lambda f: isinstance(f, Disconnect) and f.when != AtBytes(0))
    assert cut == Disconnect(when=AtBytes(1))


def test_strategies_reach_every_kind_of_fault_and_every_trigger() -> None:
    for kind in strategies.ALL:
        assert find(strategies.faults().map(type), partial(eq, kind)) is kind
    for trigger in TRIGGERS:
        assert find(strategies.moments(triggers=TRIGGERS), partial(eq, trigger)) == trigger


@given(st.data())
def test_strategies_keep_their_bounds(data: st.DataObject) -> None:
    fault = data.draw(
        strategies.faults(most_bytes=50, most_seconds=2, most_connections=0, directions=["upstream"])
    )
    assert fault.direction == "upstream"
    assert fault.connections is None
    for name, most in {"delay": 2, "duration": 2, "flush_after": 2, "size": 50}.items():
        value = getattr(fault, name, None)
        assert value is None or value <= most
