"""A subscriber that came back: what it had, what it asked for, what it got, and what is missing in between."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from conformance.dialect import Dialect, Role, sequence_of, text_of
from conformance.history import EventArrival, Exchange, History
from conformance.rules.completion_fate import evidence_for, fate, named, severed
from conformance.rules.order_content import Number, content, label, lane, listed, number, told
from conformance.rules.rule import Judgement, inconclusive
from conformance.rules.streams import (
    from_the_beginning,
    is_shared,
    nothing_to_read,
    readable,
    same_stream,
    was_cancelled,
)
from reports.results import Finding

Key: TypeAlias = tuple[object, ...]

_SUBSCRIBER = "a"


@dataclass(frozen=True)
class Return:
    """A connection with which a subscriber came back (`now`), and those that it had had `before`."""

    before: tuple[Exchange, ...]
    now: Exchange

    @property
    def asked(self) -> str:
        """The last event ID that it came back with; "" for none."""
        return self.now.came_with or ""

    @property
    def how(self) -> str:
        """How it told where it had been, in words."""
        if not self.asked:
            return "without an id"
        has_header = self.now.request_header("last-event-id") is not None
        return f"{'with Last-Event-ID' if has_header else 'by target.resume with'} {self.asked[:60]!r}"

    @property
    def had(self) -> tuple[EventArrival, ...]:
        """The events that it had got before."""
        return tuple(each for stream in self.before for each in told(stream))

    @property
    def got(self) -> tuple[EventArrival, ...]:
        """The events that it got when it came back."""
        return told(self.now) if self.now.is_event_stream else ()

    @property
    def acknowledged(self) -> tuple[EventArrival, ...]:
        """The events up to the one that gave the last event ID with which it came back. Those behind it had no id,
        so they may come again. Where a block without data gave the id, those that surely came before it."""
        had = self.had
        dialect = self.now.dialect
        given = [place for place, each in enumerate(had) if each.event.id == self.asked] or [
            place
            for place, each in enumerate(had)
            if text_of(sequence_of(dialect, each.parsed)) == self.asked
        ]
        before = given or [place for place, each in enumerate(had) if each.event.last_event_id != self.asked]
        return had[: before[-1] + 1] if before else ()


def of_each(history: History, judged: Callable[[str], Judgement]) -> Judgement:
    """What is said of the subscriber that comes back. Where any may: what is broken for one, else what conforms."""
    if history.scenario != "explore":
        return judged(_SUBSCRIBER)
    each = [judged(subscriber) for subscriber in history.subscribers or (_SUBSCRIBER,)]
    for verdict in ("broken", "conforms"):
        if found := next((judgement for judgement in each if judgement.verdict == verdict), None):
            return found
    return each[0]


def came_back(history: History, subscriber: str = _SUBSCRIBER) -> tuple[Return, ...] | Judgement:
    """How the subscriber came back, or why there is nothing to judge by."""
    connections = history.subscribers.get(subscriber, ())
    if not connections or not connections[0].is_event_stream:
        return (
            nothing_to_read(history)
            if not readable(history)
            else inconclusive("the subscriber got no stream")
        )
    first = connections[0]
    if was_cancelled(history, first):
        return inconclusive("the work was cancelled: see cancel.stays-cancelled")
    if first.completed is not None:
        return inconclusive(
            "the stream was over before the connection was: there was nothing to come back for"
        )
    parted = severed(history, first) or first.how == "dropped"
    if not parted and "dialect.completion" not in history.terms.declared:
        return inconclusive(f"the connection was not cut: {first.name} ended as {first.how}")
    if len(connections) < 2:
        mark = next(iter(history.marked("no id")), None)
        why = mark.detail if mark is not None else f"{first.name} {fate(history, first).said}"
        return inconclusive(f"the subscriber did not come back: {why}")
    return tuple(Return(connections[:place], connections[place]) for place in range(1, len(connections)))


def namer(dialect: Dialect, *connections: Iterable[EventArrival]) -> Callable[[EventArrival], Key | None]:
    """A function that names events, so that two deliveries of one have one name, and two events have two.

    That is an event's id, or its number where it has none; on a bus together with the name of its stream. Where
    events of one connection share such a name, the content belongs to it.
    """

    def plain(each: EventArrival) -> Key | None:
        value: object = each.event.id or number(dialect, each)
        return None if value is None else (lane(dialect, each), value)

    def full(each: EventArrival) -> Key | None:
        name = plain(each)
        return None if name is None else (*name, content(dialect, each))

    for events in connections:
        names = [name for each in events if (name := plain(each)) is not None]
        if len(set(names)) < len(names):
            return full
    return plain


def sent_again(back: Return) -> list[EventArrival]:
    """The events that came although they are at or before the last event ID that the subscriber came back with.

    A single one that has the name of another and not its content may be a second event under one id.
    """
    dialect = back.now.dialect
    name = namer(dialect, *map(told, back.before), back.got)
    seen = {key: content(dialect, each) for each in back.acknowledged if (key := name(each)) is not None}
    again = [each for each in back.got if name(each) in seen]
    equal = any(content(dialect, each) == seen[key] for each in again if (key := name(each)) is not None)
    return again if equal or len(again) > 1 else []


def again_finding(back: Return, again: list[EventArrival]) -> Finding:
    """Events that were sent again, in one sentence."""
    dialect, known = back.now.dialect, back.acknowledged
    from_start = again[0] is back.got[0] and len(again) >= len(known) > 1
    names = listed(label(dialect, each) for each in again)
    what = f"everything from the start again ({names})" if from_start else f"{names} again"
    return Finding(
        f"{back.now.name} came back {back.how} and was sent {what}",
        (
            evidence_for(back.before[-1], known[-1], actual="had already come"),
            evidence_for(
                back.now,
                again[0],
                expected=f"what comes after {label(dialect, known[-1])}",
                actual=named(back.now, again[0]),
            ),
        ),
    )


def lost(history: History, back: Return) -> str | None:
    """Which events are missing between what the subscriber had and what it got, in words; "" for none, and None
    where nothing tells.

    The best witness is another subscriber; then the count of events, where it is declared and right; then the
    stream's own numbers, where they count it by even steps from its beginning.
    """
    if (seen := _unlike_a_witness(history, back)) is not None:
        return seen
    counted = _unlike_the_count(history, back)
    if counted == "":
        return ""
    stepped = _unlike_the_steps(history, back)
    return counted if stepped is None else stepped


def _unlike_a_witness(history: History, back: Return) -> str | None:
    """What another subscriber got behind the last event that this one had, and this one did not."""
    if not is_shared(history) or not back.had:
        return None
    proven = None
    for witness in _witnesses(history, back):
        name = namer(witness.dialect, told(witness), *map(told, back.before), back.got)
        have = {name(each) for each in (*back.had, *back.got)} - {None}
        listing = [(name(each), each) for each in told(witness)]
        last = name(back.had[-1])
        places = [place for place, (key, _) in enumerate(listing) if key is not None and key == last]
        behind = [pair for pair in listing[places[-1] + 1 :] if pair[0] is not None] if places else []
        common = [place for place, (key, _) in enumerate(behind) if key in have]
        if not common:
            continue
        stayed = back.now.how != "dropped" and not severed(history, back.now)  # to the end marker, too
        due = behind if back.now.completed is not None and stayed else behind[: common[-1] + 1]
        missing = [each for key, each in due if key not in have]
        if missing:
            return f"{listed(label(witness.dialect, each) for each in missing)}, which {witness.name} got"
        proven = ""
    return proven


def _witnesses(history: History, back: Return) -> Iterator[Exchange]:
    """What other subscribers got of the same stream."""
    for stream in readable(history):
        another = stream.requested.subscriber != back.now.requested.subscriber
        if another and same_stream(history, stream) == same_stream(history, back.now):
            yield stream


def _unlike_the_count(history: History, back: Return) -> str | None:
    expected = history.terms.expect.events
    if expected is None or back.now.completed is None or not from_the_beginning(history, back.before[0]):
        return None
    if back.now.having(Role.FAILURE):
        return None  # work that failed, or was stopped, is not due to tell all
    name = namer(back.now.dialect, *map(told, back.before), back.got)
    is_sent_anew = not back.asked and history.terms.expect.replay == "all"
    due = back.got if is_sent_anew else (*back.had, *back.got)
    names = [name(each) for each in due if each.role is not Role.END]
    count = len(names) if None in names else len(set(names))
    if count < expected:
        return f"{expected - count} of the {expected} events that expect.events declares"
    return "" if count == expected else None


def _unlike_the_steps(history: History, back: Return) -> str | None:
    had, got = _numbers(back.now, back.had), _numbers(back.now, back.got)
    if not had or not got:
        return None
    after = sorted(value for value in got if value > had[-1])
    steps = {later - earlier for run in (had, after) for earlier, later in pairwise(run)}
    if not after:
        return None
    gap = after[0] - had[-1]
    if gap == 1:
        return ""  # whole numbers: nothing fits in between
    if len(steps) != 1 or len(had) + len(after) < 4:
        return None
    (step,) = steps
    if step <= 0 or gap % step or had[0] not in {0, step} or not from_the_beginning(history, back.before[0]):
        return "" if gap == step else None
    return (
        ""
        if gap == step
        else listed(f"event {had[-1] + step * place}" for place in range(1, int(gap // step)))
    )


def _numbers(stream: Exchange, events: Iterable[EventArrival]) -> list[Number]:
    """The whole numbers that count the events: their sequence, else their ids."""
    found: list[Number] = []
    for each in events:
        value = number(stream.dialect, each)
        if value is None and each.event.id and each.event.id.isascii() and each.event.id.isdigit():
            value = int(each.event.id[:18])
        if isinstance(value, int):
            found.append(value)
    return found
