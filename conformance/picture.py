"""Draws a history: one lane for each subscriber's connection, one for the scenario and its requests, and a chart for
each gauge that was watched."""

from collections.abc import Sequence
from typing import TypeAlias

from conformance.dialect import Role
from conformance.history import Arrival, EventArrival, Exchange, History
from reports.timeline import Lane, Mark, Series, Span, Timeline, Tone

_DRAWN_ELSEWHERE = ("stream", "probe")
_DETAIL = 300  # characters of data behind a mark
_MOST_MARKS = 5_000  # of one lane
_MOMENTS = 1_000  # that a lane with more is divided into
_MOST_CONNECTIONS = 12  # of one subscriber that have a lane each
_MOST_SUBSCRIBERS = 12

_Subscribers: TypeAlias = tuple[tuple[Exchange, ...], ...]


def picture(history: History) -> Timeline:
    """The timeline of a history."""
    shown, others = _of_a_crowd(tuple(history.subscribers.values()))
    lanes = [lane for exchanges in shown for lane in _lanes(exchanges, history.duration)]
    if others:
        all_theirs = [exchange for exchanges in others for exchange in exchanges]
        lanes.append(_together(f"{len(others)} other subscribers", all_theirs, history.duration))
    doings = tuple(
        Mark(mark.time, "note", mark.what, mark.detail) for mark in history.marks if not mark.exchange
    ) + tuple(
        Mark(each.requested.time, "note", f"{each.requested.method} {each.name}", _answer(each))
        for each in history.exchanges
        if each.requested.purpose not in _DRAWN_ELSEWHERE
    )
    stray = tuple(
        Mark(fired.time, "fault", fired.detail or type(fired.fault).__name__)
        for fired in history.unowned_faults
    )
    if doings or stray:
        marks = sorted(doings + stray, key=lambda mark: mark.time)
        lanes.append(Lane("scenario", tuple(_thinned(marks, history.duration))))
    return Timeline(history.scenario, history.duration, tuple(lanes), _series(history))


def _series(history: History) -> tuple[Series, ...]:
    """Gauges that were looked at more than once; where a probe could not see there is no point."""
    found: dict[str, list[tuple[float, float]]] = {}
    for gauge in history.gauges:
        if gauge.value is not None:
            found.setdefault(gauge.name, []).append((gauge.time, gauge.value))
    return tuple(
        Series(name, tuple(points), "bytes" if name.endswith(".memory") else "")
        for name, points in found.items()
        if len(points) > 1
    )


def _lanes(exchanges: Sequence[Exchange], duration: float) -> Sequence[Lane]:
    """A lane for each connection of a subscriber, or one for all of them where they are a storm."""
    if len(exchanges) <= _MOST_CONNECTIONS:
        return [_lane(exchange, duration) for exchange in exchanges]
    name = f"{exchanges[0].requested.subscriber}, {len(exchanges)} connections"
    return [_together(name, exchanges, duration)]


def _together(name: str, exchanges: Sequence[Exchange], duration: float) -> Lane:
    """One lane for them all."""
    marks = (mark for exchange in exchanges for mark in _lane(exchange, duration).marks)
    return Lane(name, tuple(_thinned(sorted(marks, key=lambda mark: mark.time), duration)))


def _of_a_crowd(subscribers: _Subscribers) -> tuple[_Subscribers, _Subscribers]:
    """Those that are drawn, each in a lane, and the others. Of a crowd some are enough, first of all those that were
    not told of their completion."""
    if len(subscribers) <= _MOST_SUBSCRIBERS:
        return subscribers, ()
    sorted_out = sorted(subscribers, key=lambda exchanges: any(each.completed for each in exchanges))
    shown = {id(exchanges) for exchanges in sorted_out[:_MOST_SUBSCRIBERS]}
    return (
        tuple(exchanges for exchanges in subscribers if id(exchanges) in shown),
        tuple(exchanges for exchanges in subscribers if id(exchanges) not in shown),
    )


def _lane(exchange: Exchange, duration: float) -> Lane:
    marks = _thinned([_mark(each) for each in exchange.arrivals if _is_drawn(each)], duration)
    marks += [Mark(fired.time, "fault", type(fired.fault).__name__, fired.detail) for fired in exchange.fired]
    if exchange.head is not None:
        marks.append(Mark(exchange.head.time, "note", f"head {exchange.head.status}", exchange.head.reason))
    if exchange.ended is not None:
        broken = exchange.how in {
            "truncated",
            "reset",
            "refused",
            "unreachable",
            "timeout",
            "tls",
            "protocol",
        }
        tone: Tone = "bad" if broken else "note"
        marks.append(Mark(exchange.ended.time, tone, exchange.how, exchange.ended.detail))
    end = exchange.ended.time if exchange.ended else duration
    spans = (Span(exchange.head.time, end, "note", "open"),) if exchange.head else ()
    return Lane(exchange.name, tuple(sorted(marks, key=lambda mark: mark.time)), spans)


def _thinned(marks: list[Mark], duration: float) -> list[Mark]:
    """The marks, or where they are too many to draw, one for all of a kind that fell into one moment."""
    if len(marks) <= _MOST_MARKS:
        return marks
    moment = max(duration, 1e-9) / _MOMENTS
    groups: dict[tuple[int, Tone], list[Mark]] = {}
    for mark in marks:
        groups.setdefault((int(mark.time / moment), mark.tone), []).append(mark)
    return [
        group[0] if len(group) == 1 else Mark(group[0].time, tone, f"{len(group)} marks", group[0].label)
        for (_, tone), group in groups.items()
    ]


def _is_drawn(arrival: Arrival) -> bool:
    return isinstance(arrival, EventArrival) or arrival.role is Role.HEARTBEAT


def _mark(arrival: Arrival) -> Mark:
    if not isinstance(arrival, EventArrival):
        return Mark(arrival.time, "quiet", "heartbeat")
    event = arrival.event
    tone: Tone = "event"
    match arrival.role:
        case Role.COMPLETION | Role.END:
            tone = "good"
        case Role.FAILURE:
            tone = "bad"
        case Role.HEARTBEAT:
            tone = "quiet"
    label = event.type if event.id is None else f"{event.type} #{event.id}"
    return Mark(arrival.time, tone, label, event.data[:_DETAIL])


def _answer(exchange: Exchange) -> str:
    if exchange.head is None:
        return exchange.ended.detail if exchange.ended else "no answer"
    return f"{exchange.head.status} {exchange.body[:_DETAIL].decode('utf-8', 'replace')}"
