"""Security: what becomes of hostile text that is sent back in a stream."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from conformance.history import EventArrival, Exchange, History
from conformance.payloads import (
    HEAD,
    INJECTED,
    INJECTED_RETRY,
    NOT_TAKEN,
    SENT,
    TAIL,
    Payload,
    told_payload,
)
from conformance.pointer import ABSENT
from conformance.rules.completion_fate import answer_of, ending
from conformance.rules.order_content import excerpt
from conformance.rules.refusals import failed
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.streams import nothing_to_read, readable
from conformance.wire import Reconnection
from reports.outcome import plural
from reports.results import Evidence, Finding, Level

_DEPTH = 8  # of nested JSON that is looked through
_LINE_ENDS = re.compile("\r\n|\r|\n")
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufffd?]+")  # what a lone surrogate becomes

Fate: TypeAlias = Literal["whole", "injected", "changed", "cut"]


@dataclass(frozen=True)
class _Echo:
    """Where a payload came back: the event, as what, and what is left of it."""

    arrival: EventArrival
    fate: Fate
    said: str = ""


def _sent(history: History) -> Iterator[tuple[Exchange, Payload]]:
    """The streams whose work was given a payload."""
    for mark in history.marked(SENT):
        payload, stream = told_payload(mark.detail), history.exchange(mark.exchange)
        if payload is not None and stream is not None and stream.is_event_stream:
            yield stream, payload


def _echoes(stream: Exchange, payload: Payload) -> Iterator[_Echo]:
    """What came of the payload in each event in which it begins."""
    for arrival in stream.all_events:
        for text, is_json in _texts(arrival):
            if (at := text.find(HEAD)) >= 0:
                yield _echo(stream, payload, arrival, text[at:], is_json)


def _texts(arrival: EventArrival) -> Iterator[tuple[str, bool]]:
    """The strings of an event's data where it is JSON, else the data; and whether it is."""
    value = arrival.parsed.json
    if value is ABSENT:
        yield arrival.event.data, False
    else:
        yield from ((text, True) for text in strings_in(value))


def strings_in(value: Any, depth: int = _DEPTH) -> Iterator[str]:
    """The strings in a JSON value, so many levels deep."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings_in(inner, depth - 1)


def _echo(stream: Exchange, payload: Payload, arrival: EventArrival, text: str, is_json: bool) -> _Echo:
    whole = payload.whole
    end = text.find(TAIL)
    if end < 0:
        return _cut(stream, arrival, text, whole)
    got = text[: end + len(TAIL)]
    if _same(got, whole) or (not is_json and _same(got, _with_newlines(whole))):
        return _Echo(arrival, "whole")
    if _same(got, _without_fields(whole)):
        return _Echo(arrival, "injected", "`data: ` in the text was taken for a field")
    if _same(_with_newlines(got), _with_newlines(whole)):
        return _Echo(arrival, "changed", "its line ends are others")
    return _Echo(arrival, "changed", f"{plural(len(whole), 'character')} became {len(got):,}")


def _cut(stream: Exchange, arrival: EventArrival, text: str, whole: str) -> _Echo:
    """The end is missing. Where a line of the text ends there, and the end did arrive, it was taken for something
    else than data."""
    left = text.removesuffix("\n")
    at_line_end = any(
        each.startswith(left) and each[len(left) : len(left) + 1] in {"\n", "\r"}
        for each in (whole, _without_fields(whole))
    )
    if at_line_end and _arrived_elsewhere(stream):
        return _Echo(arrival, "injected", "what followed its first line end was not data any more")
    return _Echo(arrival, "cut", f"of {plural(len(whole), 'character')} {len(text):,} came")


def _arrived_elsewhere(stream: Exchange) -> bool:
    """Whether the end of the payload is in the stream, before the end of its last event, and in no event."""
    if any(TAIL in each.event.data for each in stream.all_events):
        return False
    at = stream.body.find(TAIL.encode())
    return 0 <= at < stream.all_events[-1].event.end


def _with_newlines(text: str) -> str:
    """As data can carry it: CR LF and CR are line ends like LF (WHATWG HTML, section 9.2.6)."""
    return _LINE_ENDS.sub("\n", text)


def _without_fields(text: str) -> str:
    """What is left of it where `data: ` at the beginning of a line is taken for a field."""
    return _with_newlines(text).replace("\ndata: ", "\n")


def _same(got: str, wanted: str) -> bool:
    return got == wanted or _NO_CHARACTER.sub("?", got) == _NO_CHARACTER.sub("?", wanted)


def _planted(stream: Exchange) -> Iterator[tuple[EventArrival | None, str]]:
    """What only a payload can have made: events, ids, a reconnection time."""
    for arrival in stream.all_events:
        event = arrival.event
        if event.type == INJECTED:
            yield arrival, f"the text made an event of type {INJECTED}"
        elif event.id == INJECTED:
            yield arrival, "the text set the id of an event, and with it what a client resumes by"
        elif event.type != "message" and event.data == INJECTED:
            yield arrival, f"the text made an event of its own, of type {event.type}"
    if any(
        isinstance(each.item, Reconnection) and each.item.milliseconds == INJECTED_RETRY
        for each in stream.reconnections
    ):
        yield None, "the text set the reconnection time"


@rule(
    "security.event-injection",
    claim="Text that is sent back stays data: it becomes no event, no field, and no end of its own event.",
    why="Whoever can write a chat message, a file name or a log line writes into the streams of others: an event that "
    "says the work is complete, an id that makes them lose what follows when they resume, a result that nobody "
    "computed. The client cannot tell these from the server's own.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation",
    mend="Send data as JSON: it escapes line ends. Where text is sent as it is, split it at CR LF, CR and LF (a split "
    "at LF alone lets a lone CR through) and write `data: ` before every line. Never format an id or an event "
    "type from what came from outside. Use your framework's encoder instead of an f-string.",
    scenarios=("hostile-input",),
    needs=("target.variants.echo",),
)
def event_injection(history: History) -> Judgement:
    if not readable(history):
        return _nothing(history)
    findings: list[Finding] = []
    seen = 0
    for stream, payload in _sent(history):
        echoes = tuple(_echoes(stream, payload))
        bad = [(echo.arrival, echo.said) for echo in echoes if echo.fate == "injected"]
        planted = (*_planted(stream), *bad)
        seen += bool(echoes)
        findings += [
            Finding(f"{stream.name}: {said}", (_evidence(stream, arrival, payload),))
            for arrival, said in planted[:1]
        ]
    if not findings and not seen:
        return inconclusive("the payload of target.variants.echo came back in no event")
    return settle(findings, seen, "payloads that stayed data")


@rule(
    "security.payload-survives",
    level=Level.SHOULD,
    claim="Text that is sent back comes back whole.",
    why="A code block without its empty lines, a diff whose line ends are others, a document that ends after 64 KB: "
    "the user sees something else than what was said, and nothing tells.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation",
    mend="Send data as JSON. Where it is sent as it is, split at CR LF, CR and LF and at nothing else: Python's "
    "splitlines() also splits at U+2028, U+0085, VT and FF. Raise what limits the size of an event (of a pub/sub "
    "message, of a chunk), or refuse what is larger with 413.",
    scenarios=("hostile-input",),
    needs=("target.variants.echo",),
)
def payload_survives(history: History) -> Judgement:
    if not readable(history):
        return _nothing(history)
    findings: list[Finding] = []
    vanished: list[Finding] = []
    whole = injected = 0
    for stream, payload in _sent(history):
        echoes = tuple(_echoes(stream, payload))
        if any(echo.fate == "whole" for echo in echoes):
            whole += 1
        elif any(echo.fate == "injected" for echo in echoes):
            injected += 1
        elif echoes:
            first = echoes[0]
            message = f"{stream.name}: the text came back changed: {first.said}"
            findings.append(Finding(message, (_evidence(stream, first.arrival, payload),)))
        elif stream.how in {"complete", "truncated", "reset", "protocol"}:
            message = f"{stream.name}: the text was taken and came back in no event ({stream.how})"
            vanished.append(Finding(message, (_evidence(stream, None, payload),)))
    findings += _failed(history)
    if not whole and not findings:
        if injected:
            return not_applicable(
                "what came back was not data any more: security.event-injection has its say"
            )
        return inconclusive("the payload of target.variants.echo came back in no event")
    return settle([*findings, *vanished], whole, "payloads that came back whole")


def _failed(history: History) -> Iterator[Finding]:
    """Requests with a payload at which the server failed, instead of refusing it."""
    for exchange in history.exchanges:
        if exchange.requested.purpose == "start" and exchange.head is not None and failed(exchange):
            yield Finding(
                f"{exchange.name}: a request with hostile text was answered {answer_of(exchange)}",
                (
                    evidence_at(
                        exchange.head.time,
                        exchange.name,
                        excerpt=exchange.requested.body[:200],
                        expected="the work, or 4xx",
                        actual=str(exchange.head.status),
                    ),
                ),
            )


def _nothing(history: History) -> Judgement:
    refused = history.marked(NOT_TAKEN)
    if refused and not history.streams:
        return not_applicable(f"the server took none of the payloads: {refused[0].detail}")
    return nothing_to_read(history)


def _evidence(stream: Exchange, arrival: EventArrival | None, payload: Payload) -> Evidence:
    return evidence_at(
        arrival.time if arrival else stream.requested.time,
        stream.name,
        offset=arrival.event.offset if arrival else None,
        excerpt=excerpt(arrival) if arrival else "",
        expected=ascii(payload.whole[:80])[1:-1],
        actual=f"event {arrival.event.type!r}, data {arrival.event.data[:80]!a}"
        if arrival
        else ending(stream),
    )


RULES = (event_injection, payload_survives)
