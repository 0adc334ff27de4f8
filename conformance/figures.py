"""Figures measured on the way, for the report of a scenario: how many, how fast, how late. Pure.

They judge nothing. Where a link holds bytes back by plan, they show what that did to the stream as the subscriber
got it; the rules look at what left the server.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from statistics import median

from conformance.dialect import Role
from conformance.history import OWN_MEMORY, Arrival, EventArrival, Exchange, History
from conformance.rules.streams import readable
from conformance.rules.timeliness_buffers import FEWEST, buffer_size, events_in, releases
from conformance.rules.timeliness_bursts import bursts
from conformance.rules.timeliness_clock import Clock, Stamped, arrived, read_clock, stamped


def figures(history: History) -> dict[str, str]:
    """Figures of the scenario's event streams, by name, with their units; only those that could be measured.

    `connections`, `events` and `heartbeats` count; `bytes` are those of the bodies. Of a crowd, `open at once` is the
    most streams between their heads and their ends, `events per second, all` those of all streams together, and
    `memory per stream, harness` what this side's resident memory grew by. `events per second` is the
    fastest connection's, `first event after` the time from its request on the first connection that had one,
    `longest gap` the longest time in which a connection got nothing. `median lag` and `worst lag` go from an
    event's timestamp to its arrival, for live events, of each subscriber where there are several; `held by the
    link` is the longest time that something was between the link and the subscriber. `largest burst` says how
    many events, made one by one, arrived at once, and `buffer` estimates what held them.
    """
    streams = readable(history)
    if not streams:
        return {}
    found = {
        "connections": str(len(streams)),
        "events": str(sum(len(_events(stream)) for stream in streams)),
    }
    if beats := sum(each.role is Role.HEARTBEAT for stream in streams for each in stream.arrivals):
        found["heartbeats"] = str(beats)
    found["bytes"] = str(sum(len(stream.body) for stream in streams))
    found |= _crowd(history, streams)
    found |= _pace(streams)
    found |= _lags(history, streams)
    return found


def _crowd(history: History, streams: Sequence[Exchange]) -> dict[str, str]:
    """Of a crowd: how many streams were open at once, how fast all their events came, what one took here."""
    weights = {each.phase: each.value for each in history.gauges if each.name == OWN_MEMORY and each.value}
    if "before" not in weights:
        return {}
    moments = sorted(
        (time, step)
        for stream in streams
        if stream.head is not None and stream.ended is not None
        for time, step in ((stream.head.time, 1), (stream.ended.time, -1))
    )
    times = sorted(event.time for stream in streams for event in stream.all_events)
    found = {"open at once": str(max(accumulate(step for _, step in moments), default=0))}
    if len(times) > 1 and times[-1] > times[0]:
        found["events per second, all"] = f"{(len(times) - 1) / (times[-1] - times[0]):.0f}"
    taken = max(weights.values()) - weights["before"]
    found["memory per stream, harness"] = f"{max(taken, 0.0) / len(streams) / 1000:.1f} kB"
    return found


def _events(stream: Exchange) -> list[EventArrival]:
    return [each for each in stream.events if each.role is not Role.HEARTBEAT]


def _pace(streams: Sequence[Exchange]) -> dict[str, str]:
    found: dict[str, str] = {}
    rates = [rate for stream in streams if (rate := _rate(_events(stream))) is not None]
    if rates:
        found["events per second"] = f"{max(rates):.1f}"
    first = next(((stream, events[0]) for stream in streams if (events := _events(stream))), None)
    if first is not None:
        found["first event after"] = _seconds(first[1].time - first[0].requested.time)
    gaps = [gap for stream in streams for gap in _gaps(stream)]
    if gaps:
        found["longest gap"] = _seconds(max(gaps))
    return found


def _rate(events: Sequence[EventArrival]) -> float | None:
    """Events a second from the first to the last; None for too few, or where they came at once."""
    over = events[-1].time - events[0].time if len(events) > 1 else 0.0
    return (len(events) - 1) / over if over > 0 else None


def _gaps(stream: Exchange) -> Iterable[float]:
    """The times between two things that came."""
    moments = sorted({time for time, _ in stream.pieces})
    return [after - before for before, after in pairwise(moments)]


def _lags(history: History, streams: Sequence[Exchange]) -> dict[str, str]:
    found: dict[str, str] = {}
    stamps = stamped(streams, history.began.at)
    clock = read_clock(history, stamps) if stamps else None
    live = [stamp for stamp in stamps if clock is not None and clock.is_live(stamp)]
    if clock is not None and live:
        by_subscriber = _by(live, lambda stamp: stamp.stream.requested.subscriber)
        found["median lag"] = _each(by_subscriber, lambda own: median(_arrival_lags(clock, own)))
        found["worst lag"] = _each(by_subscriber, lambda own: max(_arrival_lags(clock, own)))
        if clock.note:
            found["clocks"] = clock.note
    held = [
        each.time - each.at_link for stream in streams for each in stream.arrivals if each.at_link is not None
    ]
    if held:
        found["held by the link"] = _seconds(max(held))
    if clock is not None:
        found |= _largest_burst(history, clock, live)
    return found


def _by(live: Iterable[Stamped], name: Callable[[Stamped], str]) -> dict[str, list[Stamped]]:
    found: dict[str, list[Stamped]] = {}
    for stamp in live:
        found.setdefault(name(stamp), []).append(stamp)
    return found


def _arrival_lags(clock: Clock, live: Iterable[Stamped]) -> list[float]:
    return [stamp.arrival.time - stamp.made - clock.offset for stamp in live]


def _each(by_subscriber: dict[str, list[Stamped]], measure: Callable[[list[Stamped]], float]) -> str:
    """The measure, of each subscriber by name where there are several."""
    if len(by_subscriber) == 1:
        return _seconds(measure(next(iter(by_subscriber.values()))))
    return ", ".join(f"{name} {_seconds(measure(own))}" for name, own in by_subscriber.items())


def _largest_burst(history: History, clock: Clock, live: Sequence[Stamped]) -> dict[str, str]:
    """The largest burst as a subscriber got it, whoever held it back."""
    found = [
        burst
        for own in _by(live, lambda stamp: stamp.stream.name).values()
        for burst in bursts(own, _arrival, history.terms.limits.delivery, doubt=clock.resolution)
    ]
    if not found:
        return {}
    largest = max(found, key=lambda burst: len(burst.events))
    stream, time = largest.events[0].stream, largest.events[-1].arrival.time
    came = releases(arrived(stream))
    release = next(each for each in came if each.began <= time <= each.ended)
    known = events_in(stream, [release])[0] >= FEWEST
    return {
        "largest burst": f"{len(largest.events)} events, made over {_seconds(largest.made_over)}",
        **({"buffer": str(buffer_size(came, release))} if known else {}),
    }


def _arrival(arrival: Arrival) -> float:
    return arrival.time


def _seconds(value: float) -> str:
    return f"{max(value, 0.0):.3f} s"
