"""What was seen of the server after somebody had left or had cancelled: looks at its counts and states, as intervals.

A look asks and is answered; what it says was true at some moment in between. So what "was still so" was so when it
was asked or later, and what "was over" was over when it was answered or before, however slow the machine was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conformance.history import ACTIVE, SUBSCRIBERS, Exchange, History, Record
from conformance.pointer import ABSENT, Pointer, resolve
from conformance.rules.completion_fate import severed
from conformance.rules.completion_status import is_finished, state_of
from conformance.rules.rule import evidence_at
from reports.results import Evidence

_GONE = frozenset({404, 410})


@dataclass(frozen=True, order=True)
class At:
    """A moment of a history: its time (seconds), and the place of its record, for in virtual time much has the same."""

    time: float
    place: int


@dataclass(frozen=True)
class Look:
    """An answer of the server: when it was asked and answered, what it said, and on which exchange."""

    asked: At
    answered: At
    value: Any
    exchange: str


@dataclass(frozen=True)
class Moment:
    """When something happened: not before `early`, not after `late`."""

    early: At
    late: At


@dataclass(frozen=True)
class Outcome:
    """When it was over, against a limit. `last` is the last look at which it surely went on, `first` the first at
    which it was over."""

    what: Literal["in-time", "late", "unclear"]
    last: Look | None
    first: Look | None


class Places:
    """Finds the place of a record in a history."""

    def __init__(self, history: History) -> None:
        self._places = {id(record): place for place, record in enumerate(history.records)}

    def at(self, record: Record) -> At:
        """The moment of a record of this history."""
        return At(record.time, self._places[id(record)])

    def of(self, exchange: Exchange) -> Moment:
        """From the request to the end of an exchange, as far as it was seen."""
        asked = self.at(exchange.requested)
        last = exchange.ended or next(reversed(exchange.chunks), None) or exchange.head
        return Moment(asked, asked if last is None else self.at(last))


def left_at(history: History, stream: Exchange) -> Moment | None:
    """When the subscriber left, or was cut off by the link; None where the server ended the response, or nobody
    did."""
    if stream.ended is None:
        return None
    if severed(history, stream):
        early: Record | None = stream.fired[0] if stream.fired else None
    elif stream.how == "dropped":
        early = next((mark for mark in history.marked("dropping") if mark.exchange == stream.name), None)
    else:
        return None
    places = Places(history)
    return None if early is None else Moment(places.at(early), places.at(stream.ended))


def over_at(history: History, stream: Exchange) -> Moment | None:
    """When the subscriber was gone, because it had left or because the response had ended."""
    if stream.how == "complete" and not severed(history, stream):
        end = Places(history).of(stream).late
        return Moment(end, end)
    return left_at(history, stream)


def counts(history: History, stream: Exchange) -> tuple[Look, ...]:
    """The looks at the number of subscribers: the status's of this stream's work, else the gauge's."""
    status = history.terms.status
    if status is not None and status.subscribers is not None:
        return tuple(
            Look(when.early, when.late, value, each.name)
            for each, when in _statuses(history, stream)
            if (value := number_in(each, status.subscribers)) is not None
        )
    return gauge(history, SUBSCRIBERS)


def counted_apart(history: History) -> bool:
    """Whether the count is of one work, and not of the whole server."""
    return history.terms.status is not None and history.terms.status.subscribers is not None


def gauge(history: History, name: str) -> tuple[Look, ...]:
    """The looks at a gauge. It was asked for when the last request to a probe before it was."""
    places = Places(history)
    probes = {
        places.of(each).late: each
        for each in history.exchanges
        if each.requested.purpose == "probe" and each.ended
    }
    found: list[Look] = []
    for each in history.gauges:
        if each.name != name or each.value is None:
            continue
        answered = places.at(each)
        latest = max((end for end in probes if end < answered), default=None)
        if latest is not None:
            probe = probes[latest]
            found.append(Look(places.at(probe.requested), answered, each.value, probe.name))
    return tuple(found)


def states(history: History, stream: Exchange) -> tuple[Look, ...]:
    """The looks at the state of this stream's work; `ABSENT` where the server knows of it no more (404, 410)."""
    terms = history.terms.status
    if terms is None or terms.pointer is None or not (terms.finished or terms.cancelled):
        return ()
    found: list[Look] = []
    for each, when in _statuses(history, stream):
        state = state_of(history, each)
        if state is not ABSENT or (each.head is not None and each.head.status in _GONE):
            found.append(Look(when.early, when.late, state, each.name))
    return tuple(found)


def unseen_state(history: History, stream: Exchange) -> str:
    """Why no look says whether this stream's work has stopped."""
    terms = history.terms.status
    if terms is None or terms.pointer is None or not (terms.finished or terms.cancelled):
        return (
            "needs target.status.pointer and target.status.finished in the configuration: whether the work has "
            "stopped"
        )
    said = _why_unseen(history, stream, "state", terms.pointer)
    return f"whether the work has stopped could not be seen: {said}"


def uncounted(history: History, stream: Exchange) -> str:
    """Why no look says how many subscribers there were before this one came."""
    terms = history.terms.status
    if terms is not None and terms.subscribers is not None:
        said = _why_unseen(history, stream, "number", terms.subscribers)
    else:
        said = next(
            (
                f"target.probe.gauges.{SUBSCRIBERS}: {each.detail}"
                for each in history.gauges
                if each.name == SUBSCRIBERS and each.value is None
            ),
            "the probe was not asked",
        )
    return f"the subscribers were not counted before {stream.name} came: {said}"


def _why_unseen(history: History, stream: Exchange, what: str, pointer: Pointer) -> str:
    """Why the last answer of the status endpoint about this stream's work has nothing at the pointer."""
    last = next(iter([each for each, _ in _statuses(history, stream)][::-1]), None)
    return "the status endpoint was not asked" if last is None else why_without(last, what, pointer)


def why_without(last: Exchange, what: str, pointer: Pointer) -> str:
    """Why an answer of the status endpoint has nothing at the pointer."""
    if last.head is not None and last.head.status >= 300:
        return f"the status endpoint answered {last.head.status}"
    if last.how != "complete" and last.ended is not None:
        return f"the status endpoint gave {last.ended.detail}"
    return f"the status endpoint answered with no {what} at {pointer}"


def _statuses(history: History, stream: Exchange) -> Iterator[tuple[Exchange, Moment]]:
    """The answers of the status endpoint about this stream's work."""
    places = Places(history)
    for each in history.exchanges:
        asked = each.requested
        if asked.purpose == "status" and asked.names == stream.requested.names and each.ended is not None:
            yield each, places.of(each)


def is_over(history: History, state: Any) -> bool:
    """Whether the work has ended, by its state."""
    return state is ABSENT or is_finished(history, state) or is_cancelled(history, state)


def is_cancelled(history: History, state: Any) -> bool:
    """Whether a state is one of `target.status.cancelled`; true is not 1 there."""
    terms = history.terms.status
    cancelled = () if terms is None else terms.cancelled
    return any(state == each and isinstance(state, bool) == isinstance(each, bool) for each in cancelled)


def against(since: Moment, limit: float, looks: Sequence[Look], over: Callable[[Look], bool]) -> Outcome:
    """Whether it was over within `limit` seconds of a moment, judged by the looks that were asked after it."""
    after = sorted((look for look in looks if look.asked > since.early), key=lambda look: look.asked)
    on = [look for look in after if not over(look)]
    last = on[-1] if on else None
    ended = [look for look in after if over(look) and (last is None or look.asked >= last.asked)]
    first = min(ended, key=lambda look: look.answered, default=None)
    if last is not None and last.asked.time - since.late.time > limit:
        return Outcome("late", last, first)
    if first is not None and first.answered.time - since.early.time <= limit:
        return Outcome("in-time", last, first)
    return Outcome("unclear", last, first)


def unclear(outcome: Outcome, since: Moment, limit: float, what: str) -> str:
    """Why the looks do not tell whether it was over in time."""
    if outcome.first is None:
        return f"nobody looked whether {what} for as long as {limit:g} s"
    seen = outcome.first.answered.time - since.early.time
    if outcome.last is None:
        return (
            f"{what}: that was first seen after {seen:.3f} s, and not looked at before (limit: {limit:g} s)"
        )
    on = max(0.0, outcome.last.asked.time - since.late.time)
    return f"{what}: not yet after {on:.3f} s, and so after {seen:.3f} s, which is too near to {limit:g} s to tell"


def evidence_from(look: Look, *, expected: str = "", actual: str = "") -> Evidence:
    """A look as evidence."""
    return evidence_at(
        look.answered.time, look.exchange, expected=expected, actual=actual or repr(look.value)[:80]
    )


def active_before(history: History) -> float | None:
    """The gauge of work that is under way, before any was begun; None where there is none."""
    beginning = next(
        (each for each in history.exchanges if each.requested.purpose in {"start", "stream"}), None
    )
    begun = None if beginning is None else Places(history).at(beginning.requested)
    early = [look for look in gauge(history, ACTIVE) if begun is None or look.answered < begun]
    return early[-1].value if early else None


def number_in(answer: Exchange, pointer: Pointer) -> float | None:
    """The number that the status endpoint answered with; None where it gave none."""
    value = resolve(answer.json, pointer)
    if answer.head is None or answer.head.status >= 300 or isinstance(value, bool):
        return None
    return value if isinstance(value, int | float) else None
