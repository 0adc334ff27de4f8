"""Hypothesis strategies for faults and plans. They shrink towards the empty plan, small round numbers, the
downstream direction and all connections."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st

from fault_injection.faults import (
    AtBytes,
    AtTime,
    AtTrigger,
    Bandwidth,
    Blackhole,
    Buffer,
    Direction,
    Disconnect,
    Fault,
    Latency,
    Plan,
    Refuse,
    Slice,
    SlowClose,
    When,
)

Kind: TypeAlias = (
    type[Latency]
    | type[Bandwidth]
    | type[Slice]
    | type[Buffer]
    | type[Disconnect]
    | type[Blackhole]
    | type[SlowClose]
    | type[Refuse]
)

LOSSLESS: tuple[Kind, ...] = (Latency, Slice, Buffer, Bandwidth, SlowClose)
"""Faults under which everything that goes in comes out, in order."""

ALL: tuple[Kind, ...] = (*LOSSLESS, Disconnect, Blackhole, Refuse)


def seconds(most: float = 10.0) -> st.SearchStrategy[float]:
    """Durations from 0 to `most`, in whole seconds, tenths or milliseconds."""
    return st.one_of(
        st.integers(0, int(most)).map(float),
        st.integers(0, int(most * 10)).map(lambda tenths: tenths / 10),
        st.integers(0, int(most * 1000)).map(lambda thousandths: thousandths / 1000),
    )


def sizes(least: int = 1, most: int = 8192) -> st.SearchStrategy[int]:
    """Counts of bytes: small ones, powers of two (what middleboxes use), and any."""
    powers = [power for exponent in range(most.bit_length()) if least <= (power := 1 << exponent) <= most]
    any_size = st.integers(least, most)
    return (
        st.one_of(st.integers(least, min(most, least + 16)), st.sampled_from(powers), any_size)
        if powers
        else any_size
    )


def moments(
    *, most_bytes: int = 8192, most_seconds: float = 10.0, triggers: Sequence[AtTrigger] = ()
) -> st.SearchStrategy[When]:
    """When a fault strikes; at a trigger only where `triggers` gives some."""
    moments: st.SearchStrategy[When] = st.one_of(
        sizes(0, most_bytes).map(AtBytes), seconds(most_seconds).map(AtTime)
    )
    return moments | st.sampled_from(triggers) if triggers else moments


@st.composite
def faults(
    draw: st.DrawFn,
    *,
    kinds: Sequence[Kind] = ALL,
    directions: Sequence[Direction] = ("downstream", "upstream"),
    most_bytes: int = 8192,
    most_seconds: float = 10.0,
    most_connections: int = 3,
    triggers: Sequence[AtTrigger] = (),
) -> Fault:
    """One fault. `most_...` bound its numbers; `kinds` says which faults, the mildest first."""
    kind = draw(st.sampled_from(kinds))
    connections = st.none() | st.integers(1, most_connections) if most_connections else st.none()
    common: dict[str, Any] = {
        "direction": draw(st.sampled_from(directions)),
        "connections": draw(connections),
    }
    when = moments(most_bytes=most_bytes, most_seconds=most_seconds, triggers=triggers)
    spans = st.none() | seconds(most_seconds).filter(bool)
    if kind is Latency:
        delay = draw(seconds(most_seconds))
        return Latency(delay=delay, jitter=draw(seconds(most_seconds).map(lambda j: min(j, delay))), **common)
    if kind is Slice:
        size = draw(sizes(1, most_bytes))
        variation = draw(st.integers(0, size - 1))
        return Slice(size=size, variation=variation, gap=draw(seconds(min(most_seconds, 1.0))), **common)
    if kind is Buffer:
        flush_after = draw(st.none() | seconds(most_seconds))
        return Buffer(size=draw(sizes(1, most_bytes)), flush_after=flush_after, **common)
    if kind is Bandwidth:
        return Bandwidth(bytes_per_second=float(draw(sizes(1, max(most_bytes, 100)))), **common)
    if kind is SlowClose:
        return SlowClose(delay=draw(seconds(most_seconds)), **common)
    if kind is Disconnect:
        return Disconnect(when=draw(when), how=draw(st.sampled_from(["fin", "rst"])), **common)
    if kind is Blackhole:
        return Blackhole(when=draw(when), duration=draw(spans), **common)
    return Refuse(duration=draw(spans), **common)


def plans(
    *,
    most_faults: int = 3,
    kinds: Sequence[Kind] = ALL,
    directions: Sequence[Direction] = ("downstream", "upstream"),
    most_bytes: int = 8192,
    most_seconds: float = 10.0,
    most_connections: int = 3,
    triggers: Sequence[AtTrigger] = (),
) -> st.SearchStrategy[Plan]:
    """Plans of up to `most_faults` faults (see `faults`); shrink towards the plan without any."""
    fault = faults(
        kinds=kinds,
        directions=directions,
        most_bytes=most_bytes,
        most_seconds=most_seconds,
        most_connections=most_connections,
        triggers=triggers,
    )
    return st.lists(fault, max_size=most_faults).map(lambda drawn: Plan(tuple(drawn)))
