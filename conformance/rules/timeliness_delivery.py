"""Timeliness: an event arrives when it is made, and does not wait for the next one."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from statistics import median

from conformance.dialect import is_optional
from conformance.history import EventArrival, Exchange, History
from conformance.rules.order_content import excerpt, label
from conformance.rules.rule import (
    Judgement,
    broken,
    conforms,
    evidence_at,
    inconclusive,
    not_applicable,
    rule,
)
from conformance.rules.scopes import LIVE, READING
from conformance.rules.stalls import room, steady
from conformance.rules.streams import nothing_to_read, readable
from conformance.rules.timeliness_clock import (
    INSTANT,
    Clock,
    Stamped,
    knows,
    left_server,
    neighbours,
    read_clock,
    stamped,
)
from reports.outcome import plural
from reports.results import Finding

AUTHORING = "https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes"
_SHOWN = 3  # events behind a finding
_GAP = 0.02  # seconds between two events, from which on it shows whether the first waited for the second
_CLOSED_LATE = (
    0.05  # seconds; TCP alone may hold a small write for 40 ms, until the one before it is acknowledged
)
_SAMPLE = 200  # pairs of events to judge by; more tell nothing new
_FEWEST = 3  # pairs of events to judge by
_ENOUGH = 5  # events that came when the next one was made: fewer may be a machine that stalls
_WAITS, _PROMPT = 0.7, 0.3  # of the gap to the next event
_NEARLY_ALL, _SOME = 0.8, 0.3  # of the events


@rule(
    "timeliness.delivery",
    claim="An event arrives within limits.delivery of its timestamp.",
    why="What is shown live is old: progress stands still and then leaps, an alert comes when it is over, a "
    "monitor goes on talking of work that ended long ago.",
    source=AUTHORING,
    mend="Flush after each event: write it and let the event loop run (await), or call flush(). Let no layer "
    "collect: no gzip on text/event-stream, X-Accel-Buffering: no and proxy_buffering off in nginx, no "
    "polling of a table in long intervals between the work and the stream.",
    scenarios=READING,
    needs=("dialect.timestamp",),
    timing=True,
)
@steady
def delivery(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    stamps = stamped(streams, history.began.at)
    if not stamps:
        return _unstamped(history, streams)
    clock = read_clock(history, stamps)
    live = [stamp for stamp in stamps if clock.is_live(stamp)]
    if not live:
        return inconclusive(
            "every event is stamped before its request: they were replayed, or the server's clock or time zone "
            "is another"
        )
    known = [stamp for stamp in live if knows(history, stamp.arrival)]
    limit = history.terms.limits.delivery
    bound = limit + room(history) + clock.resolution
    doubt = 0.0 if clock.one else max(0.0, min(clock.lag(stamp) for stamp in live))
    late = [stamp for stamp in known if clock.lag(stamp) - doubt > bound]
    if late:
        by_stream = groupby(late, key=lambda stamp: stamp.stream.name)
        return broken(_late(clock, live, list(stamps), doubt, limit) for _, stamps in by_stream)
    if any(clock.lag(stamp) - doubt > bound for stamp in live):
        return inconclusive("events were late behind the link, which delays on purpose and did not tell")
    worst = max(clock.lag(stamp) for stamp in known or live)
    if worst > bound:
        return inconclusive(
            f"events came {doubt:.3f} to {worst:.3f} s after their timestamps: late all alike, or the server's "
            "clock is another; run the harness on the server's machine to tell"
        )
    note = f" ({clock.note})" if clock.note else ""
    return conforms(len(live), f"live events, the latest {max(worst, 0.0):.3f} s after its timestamp{note}")


def _unstamped(history: History, streams: Sequence[Exchange]) -> Judgement:
    """The judgement where no event says when it was made, as it should, or as it may."""
    dialect = history.terms.dialect
    if is_optional(dialect, "timestamp") and any(stream.told for stream in streams):
        return not_applicable(
            f"no event carries a timestamp at {dialect.timestamp}, which {dialect.preset} leaves to the server"
        )
    return inconclusive(f"no event carries a timestamp at {dialect.timestamp}")


def _late(
    clock: Clock,
    live: Sequence[Stamped],
    late: Sequence[Stamped],
    doubt: float,
    limit: float,
) -> Finding:
    stream = late[0].stream
    events = sum(stamp.stream is stream for stamp in live)
    worst = sorted(late, key=clock.lag, reverse=True)[:_SHOWN]
    most = clock.lag(worst[0]) - doubt
    where = " when it reached the link, so the server held it" if worst[0].arrival.at_link is not None else ""
    compared = f" ({clock.note})" if clock.note else " than the fastest" if doubt else ""
    count = "1 live event was" if events == 1 else f"{len(late)} of {events} live events were"
    return Finding(
        f"{count} late on connection {stream.name}: {label(stream.dialect, worst[0].arrival)} by {most:.3f} s"
        f"{where}{compared}; limits.delivery is {limit:g} s",
        tuple(
            evidence_at(
                stamp.arrival.left_server,
                stream.name,
                offset=stamp.arrival.event.offset,
                excerpt=excerpt(stamp.arrival),
                expected=f"within {limit:g} s",
                actual=f"{clock.lag(stamp) - doubt:.3f} s",
            )
            for stamp in worst
        ),
    )


@rule(
    "timeliness.not-held-by-one",
    claim="An event is not held until the next one is written.",
    why="The last thing said is never heard until something else is said: a question to the user, or the one event "
    "before a long silence, stays in the server. It looks like a slow server, and tests with many events pass.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation",
    mend="Write the empty line that ends an event together with the event, not in front of the next one, and flush "
    "after the write, not before it. Look for a generator that yields the item before, and for a writer that "
    'joins events with "\\n\\n" instead of ending each with it.',
    scenarios=LIVE,
    timing=True,
)
@steady
def not_held_by_one(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    unclosed = [finding for stream in streams if (finding := _closed_late(history, stream))]
    if unclosed:
        return broken(unclosed)
    if "dialect.timestamp" not in history.terms.declared:
        return not_applicable("needs dialect.timestamp in the configuration to tell when an event was made")
    stamps = stamped(streams, history.began.at)
    if not stamps:
        return _unstamped(history, streams)
    clock = read_clock(history, stamps)
    live = [stamp for stamp in stamps if clock.is_live(stamp) and knows(history, stamp.arrival)]
    followed = [(one, other.made - one.made) for one, other in neighbours(live) if other.made >= one.made][
        :_SAMPLE
    ]
    apart = [(stamp, gap) for stamp, gap in followed if gap >= _GAP and gap > 4 * clock.resolution]
    if len(apart) < _FEWEST:
        return inconclusive(f"fewer than {_FEWEST} live events were followed by another one after {_GAP:g} s")
    waiting = _waiting(clock, apart)
    slope = _slope([(gap, clock.lag(stamp)) for stamp, gap in followed])
    nearly_all = waiting >= max(_ENOUGH, _NEARLY_ALL * len(apart))
    if slope is not None and slope >= _WAITS and nearly_all:
        return broken([_held(clock, apart)])
    prompt = sum(clock.lag(stamp) <= _PROMPT * gap for stamp, gap in apart) if clock.one else 0
    some = _SOME * len(apart)
    if (slope is not None and slope <= _PROMPT) or (prompt >= some >= waiting):
        return conforms(len(apart), "live events that were followed by another one only later")
    return inconclusive(
        f"{waiting} of {plural(len(apart), 'event')} came about when the next one was made, which may be chance: "
        "events that are made at one pace, and late by one gap, cannot be told from events that wait"
        if waiting > some
        else "the lags of the events vary too much"
    )


def _waiting(clock: Clock, apart: Sequence[tuple[Stamped, float]]) -> int:
    """How many events came just when the next one was made."""
    base = 0.0 if clock.one else median(clock.lag(stamp) - gap for stamp, gap in apart)
    return sum(abs(clock.lag(stamp) - gap - base) <= _PROMPT * gap for stamp, gap in apart)


def _slope(points: Sequence[tuple[float, float]]) -> float | None:
    """By how much the lag grows with the gap (the median of all pairs of points, after Theil and Sen): 1 where
    events wait for the next one, 0 where they do not. None where gaps are all alike. The offset of the clocks,
    and a few events that were late for another reason, do not change it."""
    slopes = [
        (lag - other_lag) / (gap - other_gap)
        for (gap, lag), (other_gap, other_lag) in combinations(points, 2)
        if abs(gap - other_gap) >= _GAP
    ]
    return median(slopes) if slopes else None


def _held(clock: Clock, apart: Sequence[tuple[Stamped, float]]) -> Finding:
    stamp, gap = max(apart, key=lambda each: each[1])
    stream = stamp.stream
    return Finding(
        f"on connection {stream.name} each event comes when the next one is made: "
        f"{label(stream.dialect, stamp.arrival)} came {clock.lag(stamp):.3f} s after its timestamp, "
        f"the next one was made {gap:.3f} s after it",
        tuple(
            evidence_at(
                each.arrival.left_server,
                each.stream.name,
                offset=each.arrival.event.offset,
                excerpt=excerpt(each.arrival),
                expected="at once",
                actual=f"{clock.lag(each):.3f} s late, the next one was made after {after:.3f} s",
            )
            for each, after in apart[:_SHOWN]
        ),
    )


def _closed_late(history: History, stream: Exchange) -> Finding | None:
    """The finding where the empty line that dispatches an event comes long after the event itself.

    That needs no timestamp: a client has the whole event and may not act on it.
    """
    parts = left_server(history, stream)
    if parts is None:
        return None
    late = [(each, wait) for each, wait in _waits_for_its_end(stream, parts) if wait >= _CLOSED_LATE]
    if len(late) < 2 or len(late) < (len(stream.all_events) - 1) / 2:
        return None
    if len(late) < _FEWEST and any(wait < _CLOSED_LATE + room(history) for _, wait in late):
        return None
    longest = max(wait for _, wait in late)
    return Finding(
        f"the empty line that dispatches an event comes late on connection {stream.name}: "
        f"for {len(late)} of {plural(len(stream.all_events), 'event')}, by up to {longest:.3f} s, with what follows",
        tuple(
            evidence_at(
                each.left_server,
                stream.name,
                offset=each.event.end,
                excerpt=excerpt(each),
                expected="the empty line together with the event",
                actual=f"{wait:.3f} s after it",
            )
            for each, wait in late[:_SHOWN]
        ),
    )


def _waits_for_its_end(
    stream: Exchange, parts: Sequence[tuple[float, int]]
) -> Iterator[tuple[EventArrival, float]]:
    """Each event whose closing empty line came together with what follows it, and how many seconds after its
    last line. An empty line that comes late and alone was not held: small writes are delayed by TCP itself."""
    ends = [end for _, end in parts]
    for each in stream.all_events:
        end = each.event.end
        blank = 2 if stream.body[end - 2 : end] == b"\r\n" else 1
        rest = 1 if stream.body[end - 1 : end + 1] == b"\r\n" else 0  # a CR dispatches, its LF may come later
        said, dispatched = bisect_left(ends, end - blank), bisect_left(ends, end)
        next_one = bisect_right(ends, end + rest)
        if next_one < len(parts) and parts[next_one][0] - parts[dispatched][0] <= INSTANT:
            yield each, parts[dispatched][0] - parts[said][0]
