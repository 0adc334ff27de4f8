"""Timeliness: what was made one by one does not arrive in one burst.

A burst is told from a fast producer. With timestamps it is plain: the events came faster than they were made.
Without them the bytes may tell (see `timeliness_buffers`). Where nothing does, nothing is claimed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from conformance.history import Arrival, Exchange, History
from conformance.rules.order_content import excerpt, told
from conformance.rules.rule import Judgement, broken, conforms, evidence_at, inconclusive, rule
from conformance.rules.scopes import LIVE
from conformance.rules.stalls import room, steady
from conformance.rules.streams import from_the_beginning, nothing_to_read, readable
from conformance.rules.timeliness_buffers import (
    FEWEST,
    PAUSE,
    BufferSize,
    Release,
    blocks_at_the_end,
    buffer_size,
    events_in,
    heartbeats_together,
    releases,
    torn_events,
)
from conformance.rules.timeliness_clock import (
    INSTANT,
    Clock,
    Stamped,
    delays,
    knows,
    left_server,
    read_clock,
    stamped,
)
from conformance.rules.timeliness_delivery import AUTHORING
from reports.results import Finding

_MOST = 0.8  # of a stream: so much of it at once is all of it
_QUICK = 0.2  # seconds: a stream that is over so soon shows no burst on a machine that may stall
_FASTER = 5  # times faster than they were made do events come in a burst


@dataclass(frozen=True)
class Burst:
    """Events that were made one after another, over `made_over` seconds, and came within `came_over`."""

    events: tuple[Stamped, ...]
    made_over: float
    came_over: float


def bursts(
    live: Sequence[Stamped],
    moment: Callable[[Arrival], float],
    limit: float,
    *,
    doubt: float = 0.0,
    pause: float = PAUSE,
) -> list[Burst]:
    """The bursts among the live events of one connection.

    Events are one if they came at once and were made over more than `limit` seconds, or over `pause` seconds and
    they are all that the stream has. `moment` says which moment counts: when an event left the server, or when it
    arrived. Timestamps may be wrong by `doubt`; negative, it gives what might be a burst.
    """
    found: list[Burst] = []
    span = live[-1].made - live[0].made if live else 0.0
    for group in _together(live, moment):
        over = group[-1].made - group[0].made
        made = over - doubt
        came = moment(group[-1].arrival) - moment(group[0].arrival)
        if len(group) < FEWEST or made < _FASTER * came:
            continue
        is_all = (
            group[-1] is live[-1]
            and len(group) > FEWEST
            and len(group) >= _MOST * len(live)
            and made >= max(pause, _MOST * span - abs(doubt))
        )
        if made > limit or is_all:
            found.append(Burst(tuple(group), over, came))
    return found


def _together(live: Sequence[Stamped], moment: Callable[[Arrival], float]) -> Iterator[list[Stamped]]:
    group: list[Stamped] = []
    for stamp in live:
        if group and moment(stamp.arrival) - moment(group[-1].arrival) > INSTANT:
            yield group
            group = []
        group.append(stamp)
    if group:
        yield group


@rule(
    "timeliness.no-burst",
    claim="Events that are made one by one do not arrive in a burst.",
    why="A buffer on the way (nginx, a load balancer, gzip, an output buffer in the server) turns a stream into one "
    "late answer: progress jumps from nothing to done, tokens come all at once, heartbeats keep nothing alive.",
    source=AUTHORING,
    mend="Find the layer that collects: ask the server directly, then through one layer after the other. nginx wants "
    "proxy_buffering off, or X-Accel-Buffering: no from the server; gzip must leave text/event-stream alone; the "
    "server flushes after each event. Where a layer cannot be changed, a comment of padding behind each event gets "
    "it through, if it is as large as the buffer; half as large, every second event still waits.",
    scenarios=LIVE,
    timing=True,
)
@steady
def no_burst(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    stamps = stamped(streams, history.began.at)
    if stamps:
        clock = read_clock(history, stamps)
        live = [stamp for stamp in stamps if clock.is_live(stamp)]
        if len(live) >= FEWEST:
            return _by_timestamps(history, clock, live)
    return _by_bytes(history, streams)


def _by_timestamps(history: History, clock: Clock, live: Sequence[Stamped]) -> Judgement:
    known = [stamp for stamp in live if knows(history, stamp.arrival)]
    if not known:
        return inconclusive("the link delays on purpose, and did not tell when events reached it")
    limit = history.terms.limits.delivery + room(history)
    pause = max(PAUSE, room(history) + _QUICK)
    by_stream: dict[str, list[Stamped]] = {}
    for stamp in known:
        by_stream.setdefault(stamp.stream.name, []).append(stamp)
    findings: list[Finding] = []
    possible = 0
    for own in by_stream.values():
        certain = bursts(own, _left_server, limit, doubt=clock.resolution, pause=pause)
        findings += [_burst(history, own, burst) for burst in certain]
        possible += len(bursts(own, _left_server, limit, doubt=-clock.resolution, pause=pause))
    if findings:
        return broken(findings)
    if possible:
        return inconclusive(
            f"events came together, and their timestamps go in steps of {clock.resolution:g} s: too coarse to tell"
        )
    return conforms(len(known), "live events, which came at the pace at which they were made")


def _left_server(arrival: Arrival) -> float:
    return arrival.left_server


def _burst(history: History, live: Sequence[Stamped], burst: Burst) -> Finding:
    first, last = burst.events[0], burst.events[-1]
    stream = first.stream
    size = _size(left_server(history, stream), last.arrival.left_server)
    held = f", as if a buffer of {size} held them back" if size else ""
    return Finding(
        f"{len(burst.events)} of {len(live)} live events on connection {stream.name} were made over "
        f"{burst.made_over:.3f} s and came within {burst.came_over:.3f} s{held}",
        tuple(
            evidence_at(
                stamp.arrival.left_server,
                stream.name,
                offset=stamp.arrival.event.offset,
                excerpt=excerpt(stamp.arrival),
                actual=f"{stamp.lag:.3f} s after its timestamp",
            )
            for stamp in (first, last)
        ),
    )


def _size(parts: Sequence[tuple[float, int]] | None, time: float) -> BufferSize | None:
    came = releases(parts or ())
    burst = next((each for each in came if each.began <= time <= each.ended), None)
    return buffer_size(came, burst) if burst else None


def _by_bytes(history: History, streams: Sequence[Exchange]) -> Judgement:
    pause = PAUSE + room(history)
    findings: list[Finding] = []
    seen = apart = 0
    for stream in streams:
        parts = left_server(history, stream)
        if parts is None:
            continue
        came = releases(parts)
        seen += len(told(stream))
        apart += _one_by_one(stream, came)
        finding = heartbeats_together(stream, pause) or torn_events(stream, came, pause)
        if finding is None and from_the_beginning(history, stream):
            finding = blocks_at_the_end(stream, came, pause)
        if finding is not None:
            findings.append(finding)
    if findings:
        return broken(findings)
    if not seen and delays(history):
        return inconclusive("the link delays on purpose, and did not tell when bytes reached it")
    if seen < FEWEST:
        return inconclusive(f"fewer than {FEWEST} events came")
    if apart:
        return conforms(apart, "events, which came one by one")
    if stamped(streams, history.began.at):
        return inconclusive("events came together: too few of them were made while the subscriber was there")
    return inconclusive(
        "events came together: without timestamps (dialect.timestamp) a burst cannot be told from a fast producer"
    )


def _one_by_one(stream: Exchange, came: Sequence[Release]) -> int:
    """How many events came, if they came one or two at a time over a while."""
    counts = [count for count in events_in(stream, came) if count]
    if len(counts) < FEWEST or median(counts) > 2:
        return 0
    return sum(counts)
