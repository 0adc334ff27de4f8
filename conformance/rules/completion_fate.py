"""What became of a connection whose subscriber waited for the completion."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from conformance.dialect import Role
from conformance.history import Arrival, EventArrival, Exchange, History, How
from conformance.rules.order_content import excerpt, label, told
from conformance.rules.refusals import rpc_error
from conformance.rules.rule import evidence_at
from conformance.rules.streams import no_response
from fault_injection.faults import Blackhole, Disconnect, Refuse
from reports.outcome import plural
from reports.results import Evidence

LATE = "late"
"""The subscriber that comes late by intent, in the scenarios that have one."""

What: TypeAlias = Literal[
    "completed",  # it was told how the work ended
    "ended",  # the server ended the response properly, and had not told it
    "broken-off",  # the server cut the response off
    "silent",  # it waited as long as `limits.completion`, and for the last part of it nothing came
    "going-on",  # it waited as long, and events still came
    "unanswered",  # no response head
    "no-stream",  # another answer than an event stream
    "left",  # on purpose
    "cut",  # by a fault of the link, or because the harness killed the server
    "unknown",  # the record does not show it
]

_SEVERING = Disconnect | Blackhole | Refuse

_HUNG_UP: frozenset[How] = frozenset({"complete", "truncated", "reset", "protocol"})

_ENDINGS: dict[str, str] = {
    "complete": "the end of the response",
    "truncated": "the response broke off",
    "reset": "the connection was reset",
    "dropped": "the subscriber left",
    "watched": "nothing more while it was watched",
}


@dataclass(frozen=True)
class Fate:
    """What became of a connection; `said` is a sentence without its subject, which is the connection."""

    what: What
    said: str


def fate(history: History, stream: Exchange) -> Fate:
    """What became of it."""
    if severed(history, stream):
        completed = stream.is_event_stream and stream.completed is not None
        return Fate("completed" if completed else "cut", "was cut by the link or with the server")
    if stream.head is None:
        left_alone = stream.how == "timeout" or hung_up(history, stream)
        return Fate("unanswered" if left_alone else "unknown", f"got {no_response(stream)}")
    if not stream.is_event_stream:
        return Fate("no-stream", f"was answered with {answer_of(stream)}")
    if stream.completed is not None:
        return Fate("completed", "got the completion")
    return _unheard(history, stream)


def _unheard(history: History, stream: Exchange) -> Fate:
    at = f"at {end_of(stream):.3f} s"
    match stream.how:
        case "dropped":
            return Fate("left", f"left {at}")
        case "complete":
            return Fate("ended", f"was ended {at} without a completion, {_after(stream)}")
        case "truncated" | "reset" | "protocol":
            detail = stream.ended.detail if stream.ended else ""
            return Fate("broken-off", f"was cut off {at} before the completion ({detail}), {_after(stream)}")
        case "timeout" | "watched":
            return _overdue(history, stream)
        case _:
            return Fate("unknown", f"is not known to its end: {stream.how}")


def _overdue(history: History, stream: Exchange) -> Fate:
    limits = history.terms.limits
    asked, end = stream.requested.time, end_of(stream)
    if markers := stream.having(Role.END):
        return Fate("silent", f"got the end marker at {markers[0].time:.3f} s and no completion before it")
    if held := held_back(history, stream):
        return Fate(
            "unknown", f"has not been let out of the link to its end: it still holds {plural(held, 'byte')}"
        )
    if end - asked < limits.completion and stream.how == "watched":
        watched = f"was watched for {end - asked:.3g} s, which is less than limits.completion"
        return Fate("unknown", f"{watched} ({limits.completion:g} s)")
    events = told(stream)
    since = events[-1].time if events else asked
    if events and end - since < min(limits.silence, (end - asked) / 2):
        return Fate(
            "going-on", f"still brought events when limits.completion ({limits.completion:g} s) was over"
        )
    beats = sum(1 for each in stream.having(Role.HEARTBEAT) if each.time > since)
    meanwhile = f"nothing but {plural(beats, 'heartbeat')} came" if beats else "nothing came"
    if events:
        meanwhile += f" {_after(stream)}"
    return Fate("silent", f"is still silent after {end - asked:.3g} s (limits.completion), and {meanwhile}")


def _after(stream: Exchange) -> str:
    events = told(stream)
    if not events:
        return "without a single event"
    return f"after {named(stream, events[-1])} at {events[-1].time:.3f} s"


def answer_of(stream: Exchange) -> str:
    """The status and, with 200, the type of the answer, in words; and the error, where it is one of JSON-RPC."""
    if stream.head is None:
        return "nothing"
    kind = f" and {stream.header('content-type') or 'no content type'}" if stream.head.status == 200 else ""
    error = rpc_error(stream)
    told = f" (error {error})" if error else ""
    return f"{stream.head.status} {stream.head.reason}".rstrip() + kind + told


def end_of(stream: Exchange) -> float:
    """When it ended; where the record stops before, when the last of it was seen."""
    if stream.ended is not None:
        return stream.ended.time
    times = [stream.requested.time, *(chunk.time for chunk in stream.chunks)]
    return max([*times, stream.head.time] if stream.head else times)


def severed(history: History, stream: Exchange) -> bool:
    """Whether it ended (or fell silent) because of a fault of the link, or because the harness killed the server."""
    if any(isinstance(fired.fault, _SEVERING) for fired in stream.fired):
        return True
    killed = history.marked("server killed")
    return any(stream.requested.time < mark.time <= end_of(stream) for mark in killed)


def hung_up(history: History, stream: Exchange) -> bool:
    """Whether the server took the request and ended the connection without a response: also none that a link still
    held when the connection was reset."""
    unanswered = stream.head is None and not stream.relayed
    return unanswered and stream.how in _HUNG_UP and not severed(history, stream)


def held_back(history: History, stream: Exchange) -> int:
    """Bytes of the body that had reached the link and never came out of it."""
    if not history.began.plan or not stream.relayed:
        return 0
    return max(0, stream.relayed[-1].end - sum(len(chunk.data) for chunk in stream.chunks))


def watched_on(stream: Exchange) -> bool:
    """Whether the subscriber stayed after the completion: then the record shows what followed."""
    return stream.how in {"complete", "truncated", "reset", "protocol", "timeout", "watched"}


def evidence_of(stream: Exchange, expected: str) -> Evidence:
    """The end of a stream as evidence: when, how, and the last event before."""
    events = told(stream)
    last = events[-1] if events else None
    refused = stream.how == "complete" and stream.head is not None and not stream.is_event_stream
    return evidence_at(
        end_of(stream),
        stream.name,
        offset=None if last is None else last.event.offset,
        excerpt="" if last is None else excerpt(last),
        expected=expected,
        actual=answer_of(stream) if refused else ending(stream),
    )


def ending(stream: Exchange) -> str:
    """How it ended, in words; the history's own `complete` reads as if the completion had come."""
    detail = stream.ended.detail if stream.ended else ""
    if stream.how == "protocol" and detail:
        return detail
    words = _ENDINGS.get(stream.how, stream.how)
    return f"{words}: {detail}" if detail and detail != words else words


def evidence_for(stream: Exchange, arrival: Arrival, *, expected: str = "", actual: str = "") -> Evidence:
    """An item of a stream as evidence."""
    event = arrival.event if isinstance(arrival, EventArrival) else None
    return evidence_at(
        arrival.time,
        stream.name,
        offset=None if event is None else event.offset,
        excerpt=excerpt(arrival) if isinstance(arrival, EventArrival) else "",
        expected=expected,
        actual=actual,
    )


def named(stream: Exchange, arrival: Arrival) -> str:
    """An item in words."""
    if not isinstance(arrival, EventArrival):
        return "a comment"
    kind = arrival.event.type
    return f"{label(stream.dialect, arrival)} ({kind if len(kind) <= 40 else kind[:37] + '...'})"
