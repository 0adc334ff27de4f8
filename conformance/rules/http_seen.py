"""What rules of HTTP look at: heads that came, the streams among them, and the parts of a header."""

import re
from collections.abc import Iterator
from itertools import takewhile
from math import inf

from conformance.history import Exchange, History
from conformance.pointer import ABSENT
from conformance.rules.cancel_looks import is_over, states
from conformance.rules.completion_fate import answer_of
from conformance.rules.refusals import rpc_error
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable
from conformance.rules.streams import no_response, nothing_to_read, readable, resumes, same_stream
from reports.results import Evidence

HEADS = ("subscribe", "failing-job", "after-completion", "resume-after-cut", "completion-while-away")
"""Scenarios in which a server may take another way to its head: at the beginning, for work that fails, to
replay, to resume. What a head should say is judged there and not a dozen times more."""

_SOON = 10.0  # seconds: a status that was asked for later says little of the moment

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(rf'({_TOKEN})(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?')
_ESCAPED = re.compile(r"\\(.)")


def answered(history: History) -> tuple[Exchange, ...]:
    """The requests for a stream that got a head."""
    return tuple(stream for stream in history.streams if stream.head is not None)


def status_of(stream: Exchange) -> int:
    """The status of a request that was answered; 0 where it was not."""
    return stream.head.status if stream.head is not None else 0


def no_answer(history: History) -> Judgement:
    """The judgement where no request for a stream was answered, with what happened instead."""
    told = next((stream for stream in history.streams if stream.ended), None)
    return inconclusive(no_response(told) if told else "no response")


def opened(history: History) -> tuple[tuple[Exchange, ...], Judgement | None]:
    """The event streams that were opened; and where there are none, what to say instead."""
    streams = readable(history)
    return streams, None if streams else nothing_to_read(history)


def of_status_200(history: History) -> tuple[tuple[Exchange, ...], Judgement | None]:
    """The answers of status 200, event streams or not, but for errors of JSON-RPC; and where there are none, what to
    say instead."""
    heads = answered(history)
    good = tuple(stream for stream in heads if status_of(stream) == 200 and not rpc_error(stream))
    if good:
        return good, None
    if not heads:
        return (), no_answer(history)
    return (), not_applicable(f"the stream was answered with {answer_of(heads[0])}")


def was_over(history: History, stream: Exchange) -> bool:
    """Whether somebody had seen the end of this stream before it was requested here."""
    return any(_over_at(other) <= stream.requested.time for other in _others(history, stream))


def may_be_over(history: History, stream: Exchange) -> bool:
    """Whether this stream may have ended before it was asked for here: this subscriber had been there before, or the
    status said soon that the work is over; and nothing says that it went on, but for a status that may lag
    (limits.status). What others got later may have been on its way for long, so that counts only where there is no
    status."""
    since = stream.requested.time
    looks = [look for look in states(history, stream) if look.asked.time >= since]
    current = since + history.terms.limits.status
    if any(look.asked.time >= current and not is_over(history, look.value) for look in looks):
        return False
    end = since if stream.ended is None else stream.ended.time
    over = [look for look in looks if is_over(history, look.value) and look.value is not ABSENT]
    if any(look.asked.time - max(end, current) <= _SOON for look in over):
        return True
    later = any(each.time > since for other in _others(history, stream) for each in other.all_events)
    return is_reconnection(history, stream) and not later


def is_joined(history: History, stream: Exchange) -> bool:
    """Whether another subscriber had asked for this stream before."""
    mine = stream.requested.subscriber
    return any(other.requested.subscriber != mine for other in _before(history, stream))


def is_reconnection(history: History, stream: Exchange) -> bool:
    """Whether the same subscriber comes back to this stream."""
    mine = stream.requested.subscriber
    return resumes(stream) or any(other.requested.subscriber == mine for other in _before(history, stream))


def _others(history: History, stream: Exchange) -> Iterator[Exchange]:
    wanted = same_stream(history, stream)
    return (each for each in history.streams if each is not stream and same_stream(history, each) == wanted)


def _before(history: History, stream: Exchange) -> Iterator[Exchange]:
    wanted = same_stream(history, stream)
    earlier = takewhile(lambda each: each is not stream, history.streams)  # in the order of the requests
    return (each for each in earlier if same_stream(history, each) == wanted)


def _over_at(stream: Exchange) -> float:
    """When this subscriber saw that the stream was over, in seconds; never: infinity."""
    if stream.completed is not None:
        return stream.completed.time
    if stream.is_event_stream and stream.how == "complete" and stream.ended is not None:
        return stream.ended.time
    return inf


def directives(value: str) -> dict[str, str | None]:
    """The parts of a header such as Cache-Control or of a media type's parameters: lower-case name to value,
    quotes removed; None where a part has no value. Of a part that is given twice, the first counts."""
    found: dict[str, str | None] = {}
    for name, raw in _PART.findall(value):
        found.setdefault(name.lower(), _unquoted(raw) if raw else None)
    return found


def _unquoted(raw: str) -> str:
    return _ESCAPED.sub(r"\1", raw[1:-1]) if raw.startswith('"') else raw


def tokens(value: str | None) -> tuple[str, ...]:
    """The members of a comma-separated header, in lower case, without their parameters."""
    members = (each.partition(";")[0].strip().lower() for each in (value or "").split(","))
    return tuple(each for each in members if each)


def head_evidence(stream: Exchange, *headers: str, expected: str, actual: str = "") -> Evidence:
    """Evidence from the head of a response: these of its headers, and what should stand there."""
    assert stream.head is not None
    wanted = {name.lower() for name in headers}
    lines = "\n".join(f"{name}: {value}" for name, value in stream.head.headers if name.lower() in wanted)
    return evidence_at(
        stream.head.time,
        stream.name,
        excerpt=lines[:300] if actual else "",
        expected=expected,
        actual=actual or lines[:300] or f"no {' or '.join(headers)}",
    )
