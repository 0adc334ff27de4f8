"""Order: no event is missing in the middle of a connection.

A jump in the numbers is not yet a gap: ids that are times, or that one counter gives to many streams, jump by
right. So a jump counts only where something else says that an event is missing.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from conformance.dialect import Role
from conformance.history import EventArrival, Exchange, History
from conformance.rules.order_content import Number, excerpt, lane, listed, number, told
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.streams import (
    Key,
    from_the_beginning,
    is_shared,
    nothing_to_read,
    readable,
    same_stream,
)
from reports.results import Finding

_MOSTLY = 2 / 3  # of the steps: so many are even where a stream counts for itself
_LOOKED_AT = 1000  # numbers that a step leaves out; a server could make it leave out millions


@dataclass(frozen=True)
class _Step:
    """Forward from one sequence number to the next on a connection."""

    count: "_Count"
    start: Number
    end: Number
    arrival: EventArrival

    @property
    def size(self) -> Number:
        return round(self.end - self.start, 9)


class _Count:
    """What one connection counted: the numbers of one lane (see `order_content.lane`), as they came and sorted.

    `events` is how many of the work's events the connection got: its completion is one, what comes after is not.
    """

    def __init__(
        self, stream: Exchange, lane: str, events: int, arrivals: list[tuple[Number, EventArrival]]
    ) -> None:
        self.stream = stream
        self.lane = lane
        self.events = events
        self.first = arrivals[0][0]
        self.ways = {(start, end) for (start, _), (end, _) in pairwise(arrivals)}
        self.numbers = {value for value, _ in arrivals}
        self._arrivals = arrivals
        self._sorted = sorted(self.numbers)

    def steps(self) -> Iterator["_Step"]:
        """The steps forward; those back are `order.increasing`'s. They know this count, so it does not keep them: rings
        are garbage that only the collector finds, and in an exploration it would find much."""
        for (start, _), (end, arrival) in pairwise(self._arrivals):
            if end > start:
                yield _Step(self, start, end, arrival)

    def between(self, start: Number, end: Number) -> list[Number]:
        """The numbers that came, before or after, between these two; the first thousand of them."""
        low, high = bisect_right(self._sorted, start), bisect_left(self._sorted, end)
        return self._sorted[low : min(high, low + _LOOKED_AT)]


@dataclass(frozen=True)
class _Pace:
    """How all connections step: `usual` is the size that most steps have, `even` how many of `steps` have it."""

    usual: Number
    even: int
    steps: int

    @property
    def is_even(self) -> bool:
        return self.even >= max(2, _MOSTLY * self.steps)


@rule(
    "order.no-gap",
    claim="No event is missing between two events of one connection.",
    why="What is lost in the middle never comes again: the client goes on from the last id it saw, and the text "
    "has a hole, or the state is wrong, and nobody is told.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Do not drop events for a subscriber that reads slowly: end its connection, so that it comes back with "
    "Last-Event-ID. Look for a queue that discards when it is full (maxsize with put_nowait, drop-oldest), for a "
    "subscriber that is added after the backlog was read, and for an exception that skips one event.",
    scenarios=(*READING, "crowd"),
    needs=("dialect.sequence",),
)
def no_gap(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    counts = [count for stream in streams for count in _counts(stream)]
    steps = [step for count in counts for step in count.steps()]
    if not steps:
        return _uncounted(streams)
    siblings = _siblings(history, counts)
    least = min(step.size for step in steps)
    findings: list[Finding] = []
    doubtful: list[_Step] = []
    for step in steps:
        others = siblings[id(step.count)]
        missing = {value for each in others for value in each.between(step.start, step.end)}
        missing -= step.count.numbers  # those came, if not in order
        if missing:
            findings.append(_gap(step, f"another connection got {listed(map(str, sorted(missing)))}"))
        elif step.size > least and not _is_explained(history, step, others):
            doubtful.append(step)
    pace, start = _pace(steps), _start(history, counts)
    findings += [_gap(step, reason) for step in doubtful if (reason := _why_lost(history, step, pace, start))]
    if doubtful and not findings:
        step = doubtful[0]
        return inconclusive(
            f"the numbers jump (from {step.start} to {step.end} on {step.count.stream.name}) and nothing tells "
            "whether an event is missing: numbers that are times, or that several streams share, jump by right"
        )
    return settle(findings, len(steps), "steps")


def _counts(stream: Exchange) -> Iterator[_Count]:
    found: dict[str, list[tuple[Number, EventArrival]]] = {}
    events = told(stream)
    for each in events:
        value = number(stream.dialect, each)
        if value is not None and not isinstance(value, str):
            found.setdefault(lane(stream.dialect, each), []).append((value, each))
    of_the_work = sum(each.role is not Role.END for each in events)
    for name, arrivals in found.items():
        yield _Count(stream, name, of_the_work, arrivals)


def _uncounted(streams: Iterable[Exchange]) -> Judgement:
    values = (number(stream.dialect, each) for stream in streams for each in told(stream))
    word = next((value for value in values if isinstance(value, str)), None)
    if word is not None:
        return not_applicable(f"the sequence is no number: {word[:60]!r}")
    return inconclusive("fewer than two events of a connection carry a sequence number")


def _siblings(history: History, counts: Iterable[_Count]) -> dict[int, list[_Count]]:
    """For each count, by its id: what other connections counted that are told the same."""
    alike: dict[tuple[str, Key], list[_Count]] = {}
    for each in counts:
        alike.setdefault((each.lane, same_stream(history, each.stream)), []).append(each)
    shared = is_shared(history)
    return {
        id(each): [other for other in group if other is not each] if shared else []
        for group in alike.values()
        for each in group
    }


def _pace(steps: Collection[_Step]) -> _Pace:
    sizes = Counter(step.size for step in steps)
    even = max(sizes.values())
    return _Pace(min(size for size, times in sizes.items() if times == even), even, len(steps))


def _start(history: History, counts: Iterable[_Count]) -> set[Number]:
    """The numbers at which streams began, as those saw it who were there."""
    there = {
        id(stream)
        for stream in {id(each.stream): each.stream for each in counts}.values()
        if from_the_beginning(history, stream)
    }
    return {each.first for each in counts if id(each.stream) in there}


def _is_explained(history: History, step: _Step, others: Iterable[_Count]) -> bool:
    """Whether nothing was lost in a jump: what it leaves out came at another time, another connection jumped the
    same way, or the connection got as many events as there are."""
    expected = history.terms.expect.events
    return (
        bool(step.count.between(step.start, step.end))
        or any((step.start, step.end) in each.ways for each in others)
        or (expected is not None and step.count.events >= expected)
    )


def _why_lost(history: History, jump: _Step, pace: _Pace, start: set[Number]) -> str:
    """Why a jump is a loss for certain; "" where it is not.

    Either the count of events says so, or the stream counts for itself by one even step: then it began at the
    beginning, at 0 or at one step, and most steps are even.
    """
    usual, got, expected = pace.usual, jump.count.events, history.terms.expect.events
    if jump.size <= usual or jump.size % usual != 0 or not pace.is_even:
        return ""
    if (
        expected is not None
        and jump.count.stream.completed is not None
        and got + round(jump.size / usual) - 1 <= expected
        and from_the_beginning(history, jump.count.stream)
    ):
        return f"the stream completed with {got} events of the {expected} that expect.events declares"
    if begun := start & {0, usual}:
        return f"the numbers begin at {min(begun)} and {pace.even} of {pace.steps} steps are {usual}"
    return ""


def _gap(step: _Step, reason: str) -> Finding:
    return Finding(
        f"on connection {step.count.stream.name} {step.end} follows {step.start}: {reason}",
        (
            evidence_at(
                step.arrival.time,
                step.count.stream.name,
                offset=step.arrival.event.offset,
                excerpt=excerpt(step.arrival),
                expected=f"what comes next after {step.start}",
                actual=str(step.end),
            ),
        ),
    )
