"""Fault plans in Toxiproxy's words: units, order, and the reasons for what it cannot do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from fault_injection.plans import describe
from fault_injection.toxiproxy_plan import Toxic, UnsupportedPlanError, toxics_of, unsupported


@pytest.mark.parametrize(
    ("fault", "toxic"),
    [
        (Latency(delay=0.07, jitter=0.02), Toxic("latency", "downstream", {"latency": 70, "jitter": 20})),
        (
            Latency(delay=2, direction="upstream"),
            Toxic("latency", "upstream", {"latency": 2000, "jitter": 0}),
        ),
        (Bandwidth(bytes_per_second=64_000), Toxic("bandwidth", "downstream", {"rate": 64})),
        (
            Slice(size=10, variation=3, gap=0.0005),
            Toxic("slicer", "downstream", {"average_size": 10, "size_variation": 3, "delay": 500}),
        ),
        (Disconnect(when=AtBytes(100)), Toxic("limit_data", "downstream", {"bytes": 100})),
        (Disconnect(when=AtBytes(0)), Toxic("limit_data", "downstream", {"bytes": 0})),
        (
            Disconnect(when=AtBytes(0), how="rst", direction="upstream"),
            Toxic("reset_peer", "upstream", {"timeout": 0}),
        ),
        (SlowClose(delay=1.5), Toxic("slow_close", "downstream", {"delay": 1500})),
    ],
)
def test_a_fault_becomes_a_toxic_in_toxiproxys_units(fault: Fault, toxic: Toxic) -> None:
    assert toxics_of(Plan((fault,))) == (toxic,)
    assert unsupported(Plan((fault,))) is None


@pytest.mark.parametrize("when", [AtBytes(0), AtTime(0)])
def test_a_black_hole_swallows_the_end_too(when: AtBytes | AtTime) -> None:
    swallow, keep_open = toxics_of(Plan((Blackhole(when=when),)))
    assert swallow == Toxic("timeout", "downstream", {"timeout": 0})
    assert (keep_open.type, keep_open.stream) == ("slow_close", "downstream")
    assert keep_open.attributes["delay"] >= 3_600_000


def test_toxics_keep_the_order_of_the_plan() -> None:
    plan = Plan((Disconnect(when=AtBytes(9)), Refuse(), Slice(size=1), Latency(delay=1), Slice(size=2)))
    assert [toxic.type for toxic in toxics_of(plan)] == ["limit_data", "slicer", "latency", "slicer"]


def test_refusing_for_ever_is_a_disabled_proxy_without_toxics() -> None:
    assert toxics_of(Plan((Refuse(),))) == ()
    assert unsupported(Plan((Refuse(),))) is None


def test_no_faults_are_no_toxics() -> None:
    assert toxics_of(Plan()) == ()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Buffer(size=4096), "no toxic that holds bytes"),
        (Latency(delay=1, connections=1), "does not count connections"),
        (Refuse(connections=2), "does not count connections"),
        (Refuse(duration=1), "counts from the first attempt"),
        (Disconnect(when=AtBytes(5), how="rst"), "reset_peer swallows all bytes"),
        (Disconnect(when=AtTime(1)), "counts from the accept"),
        (Disconnect(when=AtTime(1), how="rst"), "counts from the accept"),
        (Disconnect(when=AtTrigger("events", 3)), "does not look into the bytes"),
        (Blackhole(when=AtBytes(0), duration=1), "ends the connection when its timeout toxic is removed"),
        (Blackhole(when=AtBytes(7)), "timeout swallows all bytes"),
        (Blackhole(when=AtTime(2)), "counts from the accept"),
        (Blackhole(when=AtTrigger("events")), "does not look into the bytes"),
        (Bandwidth(bytes_per_second=1500), "bytes_per_second in whole kilobytes"),
        (Latency(delay=0.0004), "delay in whole milliseconds, not 0.0004"),
        (Bandwidth(bytes_per_second=1e-9), "bytes_per_second in whole kilobytes"),
        (SlowClose(delay=1e10), "delay below 9223372036, not 10000000000.0"),
        (Slice(size=4, gap=0.0000015), "gap in whole microseconds"),
    ],
)
def test_what_toxiproxy_cannot_do_is_refused_with_the_fault_and_the_reason(fault: Fault, reason: str) -> None:
    plan = Plan((Latency(delay=0.1), fault))
    told = unsupported(plan)
    assert told is not None
    assert reason in told
    assert told.startswith(describe(fault) + ": ")
    with pytest.raises(UnsupportedPlanError, match="Toxiproxy"):
        toxics_of(plan)


@given(st.integers(0, 10**7), st.integers(0, 10**10))
def test_whole_units_survive_the_way_through_seconds(milliseconds: int, microseconds: int) -> None:
    latency, slicer = toxics_of(
        Plan((Latency(delay=milliseconds / 1000), Slice(size=1, gap=microseconds / 1_000_000)))
    )
    assert latency.attributes["latency"] == milliseconds
    assert slicer.attributes["delay"] == microseconds
