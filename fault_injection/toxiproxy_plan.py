"""A fault plan in Toxiproxy's words, as data: `toxics_of`; and why some plans have none: `unsupported`.

A fault is done as the vocabulary says it or refused with the reason, never approximated in silence. What
each toxic really does was read in Toxiproxy 2.12.0: https://github.com/Shopify/toxiproxy/tree/v2.12.0/toxics
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

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

_FOR_EVER = 24 * 60 * 60 * 1000  # milliseconds: no run is so long
_LONGEST = 2**63 // 10**9  # seconds: Go counts durations in nanoseconds, in 63 bits


class UnsupportedPlanError(ValueError):
    """A real Toxiproxy cannot do this plan; says which fault and why."""


class Toxic(NamedTuple):
    """A toxic as Toxiproxy's API takes it; the attributes are in Toxiproxy's units."""

    type: str
    stream: str
    attributes: Mapping[str, int]


def unsupported(plan: Plan) -> str | None:
    """Why a real Toxiproxy cannot do this plan (the first reason found); None where it can."""
    try:
        toxics_of(plan)
    except UnsupportedPlanError as reason:
        return str(reason)
    return None


def toxics_of(plan: Plan) -> tuple[Toxic, ...]:
    """The plan as toxics, in the order in which bytes meet them. `Refuse` is no toxic but a disabled proxy.

    Two small differences remain, because the toxics are so: `latency` does not delay an end that comes
    without bytes, and `slicer` halves a chunk until no piece is over `size` + `variation`, so that pieces can
    be smaller than the fault says.

    Raises `UnsupportedPlanError`.
    """
    return tuple(toxic for fault in plan.faults for toxic in _toxics(fault))


def _toxics(fault: Fault) -> tuple[Toxic, ...]:
    if fault.connections is not None:
        raise _cannot(fault, "Toxiproxy does not count connections, its toxics hit all of them")
    match fault:
        case Latency():
            delay, jitter = _ms(fault, "delay", fault.delay), _ms(fault, "jitter", fault.jitter)
            return (Toxic("latency", fault.direction, {"latency": delay, "jitter": jitter}),)
        case Bandwidth():
            rate = _whole(fault, "bytes_per_second", fault.bytes_per_second, 1e-3, "kilobytes (1000 bytes)")
            return (Toxic("bandwidth", fault.direction, {"rate": rate}),)
        case Slice():
            gap = _whole(fault, "gap", fault.gap, 1e6, "microseconds")
            sizes = {"average_size": fault.size, "size_variation": fault.variation}
            return (Toxic("slicer", fault.direction, {**sizes, "delay": gap}),)
        case Buffer():
            raise _cannot(fault, "Toxiproxy has no toxic that holds bytes until there are enough")
        case Disconnect():
            return _disconnect(fault)
        case Blackhole():
            return _timeout(fault)
        case SlowClose():
            return (Toxic("slow_close", fault.direction, {"delay": _ms(fault, "delay", fault.delay)}),)
        case Refuse(duration=None):
            return ()
        case Refuse():
            raise _cannot(
                fault, "the time counts from the first attempt, which a disabled Toxiproxy never sees"
            )


def _disconnect(fault: Disconnect) -> tuple[Toxic, ...]:
    match fault.when:
        case AtBytes(offset=offset) if fault.how == "fin":
            return (Toxic("limit_data", fault.direction, {"bytes": offset}),)
        case AtBytes(offset=0):
            return (Toxic("reset_peer", fault.direction, {"timeout": 0}),)
        case AtBytes():
            raise _cannot(
                fault, "Toxiproxy's reset_peer swallows all bytes, it cannot let some through first"
            )
        case AtTime() | AtTrigger() as when:
            raise _cannot(fault, _unseen(when))


def _timeout(fault: Blackhole) -> tuple[Toxic, ...]:
    if fault.duration is not None:
        raise _cannot(fault, "Toxiproxy ends the connection when its timeout toxic is removed")
    match fault.when:
        case AtBytes(offset=0) | AtTime(seconds=0):
            # `timeout` alone lets the end through; in a black hole that vanishes too.
            swallow = Toxic("timeout", fault.direction, {"timeout": 0})
            return swallow, Toxic("slow_close", fault.direction, {"delay": _FOR_EVER})
        case AtBytes():
            raise _cannot(fault, "Toxiproxy's timeout swallows all bytes, it cannot let some through first")
        case AtTime() | AtTrigger() as when:
            raise _cannot(fault, _unseen(when))


def _unseen(when: AtTime | AtTrigger) -> str:
    if isinstance(when, AtTime):
        return (
            "the time counts from the accept, and Toxiproxy has no toxic that lets bytes through until a time"
        )
    return "Toxiproxy does not look into the bytes"


def _ms(fault: Fault, field: str, seconds: float) -> int:
    return _whole(fault, field, seconds, 1e3, "milliseconds")


def _whole(fault: Fault, field: str, value: float, per_unit: float, unit: str) -> int:
    """`value` in Toxiproxy's unit, of which it takes whole numbers only."""
    if value >= _LONGEST:
        raise _cannot(fault, f"Toxiproxy takes a {field} below {_LONGEST}, not {value!r}")
    scaled = value * per_unit
    if not math.isclose(scaled, round(scaled), rel_tol=1e-12):
        raise _cannot(fault, f"Toxiproxy takes a {field} in whole {unit}, not {value!r}")
    return round(scaled)


def _cannot(fault: Fault, reason: str) -> UnsupportedPlanError:
    return UnsupportedPlanError(f"{describe(fault)}: {reason}")
