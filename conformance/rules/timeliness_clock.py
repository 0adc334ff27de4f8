"""When events were made, by their own timestamps, and what may be said of the time since then.

A timestamp is read from another clock, as a rule. So a lag is taken as it is only where the clocks are one, and
otherwise against the fastest event: if clocks differ by a constant, what is slower than the fastest by so much
was late by at least so much.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import pairwise
from urllib.parse import urlsplit

from conformance.dialect import timestamp_of
from conformance.history import Arrival, EventArrival, Exchange, History
from conformance.pointer import resolve
from fault_injection.faults import Disconnect, Refuse

INSTANT = 0.03
"""Seconds: what comes so close together comes at once."""

_SAME = 0.05  # seconds: clocks that differ by less are one
_DATE_AHEAD, _DATE_BEHIND = 2.0, 5.0  # seconds; Date has whole seconds, and servers cache it
_COARSE = (60.0, 1.0, 0.1, 0.01)  # seconds: steps in which clocks go that are written more finely
_FEW = 3  # timestamps that are not enough to tell such steps by
_MILLISECONDS_FROM = 1e11  # as in `dialect.parse_timestamp`
_FRACTION = re.compile(r"\.(\d+)")


@dataclass(frozen=True)
class Stamped:
    """An event that says when it was made.

    `made` is in seconds since the run began, by the server's clock; `step` is the smallest difference in seconds
    that the timestamp can express as it is written.
    """

    stream: Exchange
    arrival: EventArrival
    made: float
    step: float = 1e-6

    @property
    def lag(self) -> float:
        """Seconds from its timestamp until it left the server, the difference of the clocks included."""
        return self.arrival.left_server - self.made


@dataclass(frozen=True)
class Clock:
    """What is known of the clock that set the timestamps.

    `offset`: seconds to add to a timestamp to have it on our clock, as near as can be told; `one`: it is our own
    clock; `resolution`: its steps; `note`: how it differs, in words, "" where it does not.
    """

    offset: float
    one: bool
    resolution: float
    note: str = ""

    def is_live(self, stamp: Stamped) -> bool:
        """Whether the event was made after its subscriber asked for the stream: older ones are old by right."""
        return stamp.made + self.offset >= stamp.stream.requested.time

    def lag(self, stamp: Stamped) -> float:
        """The event's lag, corrected as far as can be told."""
        return stamp.lag - self.offset


def stamped(streams: Iterable[Exchange], began_at: float) -> tuple[Stamped, ...]:
    """The events that carry a timestamp, as the dialect has it. `began_at` is wall-clock time at 0 seconds."""
    return tuple(
        Stamped(stream, each, made - began_at, _step(stream, each))
        for stream in streams
        for each in stream.events
        if (made := timestamp_of(stream.dialect, each.parsed)) is not None
    )


def _step(stream: Exchange, arrival: EventArrival) -> float:
    """The smallest difference (seconds) that a timestamp can express as it is written."""
    value = resolve(arrival.parsed.json, stream.dialect.timestamp or "")
    unit = 0.001 if isinstance(value, int | float) and value >= _MILLISECONDS_FROM else 1.0
    fraction = _FRACTION.search(str(value))
    return unit * 10.0 ** -min(len(fraction[1]), 9) if fraction else unit


def read_clock(history: History, stamps: Sequence[Stamped]) -> Clock:
    """What the timestamps (at least one) tell of their clock."""
    resolution = _resolution(history, stamps)
    least = min(stamp.lag for stamp in stamps)
    if least < -(_SAME + resolution):
        note = f"the server's clock is at least {-least:.3f} s ahead, so lags are compared with the smallest"
        return Clock(least, False, resolution, note)
    clock = Clock(0.0, _is_ours(history), resolution)
    if not any(clock.is_live(stamp) for stamp in stamps) and _keeps_pace(stamps):
        note = f"the server's clock is about {least:.3f} s behind, so lags are compared with the smallest"
        return Clock(least, False, resolution, note)
    return clock


def _resolution(history: History, stamps: Sequence[Stamped]) -> float:
    """The steps in which the timestamps go, in seconds: as they are written, or larger where all of many fit.

    In virtual time everything fits, because nothing takes any time there.
    """
    written = min(stamp.step for stamp in stamps)
    times = {stamp.made + history.began.at for stamp in stamps}
    if history.began.clock == "virtual" or len(times) < _FEW:
        return written
    return next(
        (step for step in _COARSE if step > written and all(_fits(time, step) for time in times)), written
    )


def _fits(time: float, step: float) -> bool:
    return abs(time / step - round(time / step)) * step < 2e-6


def _keeps_pace(stamps: Sequence[Stamped]) -> bool:
    """Whether events came at the pace at which they were made, which what is replayed does not."""
    span = max(stamp.made for stamp in stamps) - min(stamp.made for stamp in stamps)
    lags = [stamp.lag for stamp in stamps]
    return span > 10 * _SAME and max(lags) - min(lags) <= span / 2


def _is_ours(history: History) -> bool:
    """Whether the server's clock is the harness's: one machine, and the server's Date does not deny it."""
    if history.began.clock == "virtual":
        return True
    return _is_loopback(history.began.target) and all(
        -_DATE_AHEAD <= history.began.at + time - date <= _DATE_BEHIND for time, date in _dates(history)
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _dates(history: History) -> Iterable[tuple[float, float]]:
    """When heads came that no link delayed, and what their Date says (RFC 9110, section 6.6.1)."""
    for each in history.exchanges:
        date = each.header("date")
        if each.head is None or date is None or (each.requested.purpose == "stream" and history.began.plan):
            continue
        try:
            yield each.head.time, parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            continue


def delays(history: History) -> bool:
    """Whether the link holds bytes back by our own doing."""
    return any(not isinstance(fault, Disconnect | Refuse) for fault in history.began.plan.faults)


def knows(history: History, arrival: Arrival) -> bool:
    """Whether it is known when the item left the server: the link told, or there was none that delays."""
    return arrival.at_link is not None or not delays(history)


def left_server(history: History, stream: Exchange) -> list[tuple[float, int]] | None:
    """When which part of the body (bytes from its beginning) had left the server; None where nobody knows."""
    if stream.relayed and "content-encoding" not in stream.headers and not stream.held_up:
        return [(each.time, each.end) for each in stream.relayed]
    return None if delays(history) else arrived(stream)


def arrived(stream: Exchange) -> list[tuple[float, int]]:
    """When which part of the body (bytes from its beginning) had arrived."""
    found: list[tuple[float, int]] = []
    end = 0
    for time, data in stream.pieces:
        end += len(data)
        found.append((time, end))
    return found


def neighbours(stamps: Sequence[Stamped]) -> Iterable[tuple[Stamped, Stamped]]:
    """Stamped events that follow one another on a connection with nothing written in between: what stands there
    came together with the first, as padding does."""
    streams = {id(stamp.stream): stamp.stream for stamp in stamps}
    places = {id(each): place for stream in streams.values() for place, each in enumerate(stream.arrivals)}
    for one, other in pairwise(stamps):
        if one.stream is other.stream:
            between = one.stream.arrivals[places[id(one.arrival)] + 1 : places[id(other.arrival)]]
            if all(each.left_server - one.arrival.left_server <= INSTANT for each in between):
                yield one, other
