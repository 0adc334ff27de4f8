"""The blocks of the stream: events that are never dispatched, cannot be read, or are too long."""

import re
from collections.abc import Iterator, Sequence

from conformance.dialect import Matcher, Parsed, Role, any_matches
from conformance.history import EventArrival, Exchange, History
from conformance.pointer import ABSENT
from conformance.rules.rule import Judgement, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.wire_seen import WRITTEN, arrived, at, bodies, defects
from conformance.wire import Defect, Event, Violation
from fault_injection.faults import Disconnect
from reports.results import Finding, Level

_DISPATCH = "https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage"


@rule(
    "wire.terminated",
    claim="A stream that the server ends, ends after the blank line of its last event.",
    why="A client throws away a block without its blank line, so the last event is lost. Mostly that is the "
    "completion: the work is done and nobody hears of it.",
    source=_DISPATCH,
    mend="End every event in a blank line, the last one too: `data: ...\\n\\n`. Look for a join of events by "
    "\\n\\n, which leaves out the last one, and for a strip() of the whole.",
    scenarios=READING,
)
def terminated(history: History) -> Judgement:
    streams, instead = bodies(history)
    if instead is not None:
        return instead
    ended = [stream for stream in streams if stream.how == "complete" and _seen_whole(history, stream)]
    if not ended and any(stream.how in {"complete", "truncated", "reset"} for stream in streams):
        return inconclusive(_why_not_whole(history, streams))
    if not ended:
        return not_applicable("the server did not end the stream while it was read")
    return settle(
        (
            Finding(
                violation.message,
                (at(stream, time, violation.offset, expected="a blank line before the end"),),
            )
            for stream in ended
            for time, violation in defects(stream, Defect.UNTERMINATED)
            if _loses_something(stream.body[violation.offset :])
        ),
        len(ended),
        "streams that the server ended",
    )


def _seen_whole(history: History, stream: Exchange) -> bool:
    """Whether the record holds all that the server sent. A response without a length or chunks ends with its
    connection, so a link that cuts it makes it look complete; and of a coded body the history undoes no more than it
    can."""
    return "content-encoding" not in stream.headers and (
        _is_framed(stream) or not _may_be_cut(history, stream)
    )


def _is_framed(stream: Exchange) -> bool:
    return "transfer-encoding" in stream.headers or "content-length" in stream.headers


def _may_be_cut(history: History, stream: Exchange) -> bool:
    """Whether the link may have cut this connection. Ours tells which it cut, Toxiproxy does not."""
    if history.began.link == "toxiproxy":
        return any(isinstance(fault, Disconnect) for fault in history.began.plan.faults)
    return any(isinstance(fired.fault, Disconnect) for fired in (*stream.fired, *history.unowned_faults))


def _why_not_whole(history: History, streams: Sequence[Exchange]) -> str:
    """Why none of the streams that came to an end was seen to the one that the server gave it."""
    for stream in streams:
        if stream.how == "complete" and "content-encoding" in stream.headers:
            return f"{stream.name} is coded as {stream.header('content-encoding')}, so its last bytes may be missing"
    for stream in streams:
        if stream.how == "complete" and _may_be_cut(history, stream):
            return (
                f"the link cut {stream.name}, which has neither chunks nor a length: it ends with its connection, so "
                "what the server had still to send is not known"
            )
    cut = next(stream for stream in streams if stream.how in {"truncated", "reset"})
    return (
        f"no response came to its end: that of {cut.name} was {'reset' if cut.how == 'reset' else 'cut off'}"
    )


_KEPT_BACK = re.compile(rb"(?:\A|[\r\n])(?:data|event|id)(?:[:\r\n]|\Z)")


def _loses_something(block: bytes) -> bool:
    """Whether the blank line would have dispatched an event or kept an id; a retry counts without it."""
    return _KEPT_BACK.search(block) is not None


_BEGINNING = 4096  # bytes of a block
_HEARTBEATS = frozenset({"ping", "heartbeat", "heart-beat", "keepalive", "keep-alive", "keep_alive", "noop"})


@rule(
    "wire.no-data",
    claim="Every block that names an event type has data, so that it is dispatched.",
    why="A block without data dispatches nothing, whatever its type: no browser ever fires that event. `event: done` "
    "alone is a completion that nobody hears of, although some libraries do deliver it.",
    source=_DISPATCH,
    mend="Send a data field, even an empty one: `event: done\\ndata:\\n\\n`. Where nobody shall hear of it, as with a "
    "heartbeat, send a comment: `: ping\\n\\n`.",
    scenarios=READING,
)
def no_data(history: History) -> Judgement:
    streams, instead = bodies(history)
    if instead is not None:
        return instead
    found = [
        (stream, time, violation)
        for stream in streams
        for time, violation in defects(stream, Defect.NO_DATA)
        if not _keeps_alive(stream, violation)
    ]
    events = sum(len(stream.all_events) for stream in streams)
    return settle(
        (
            Finding(violation.message, (at(stream, time, violation.offset, expected="data: ..."),))
            for stream, time, violation in found
        ),
        events,
        "events",
    )


def _keeps_alive(stream: Exchange, violation: Violation) -> bool:
    """Whether the block only keeps the connection alive, which it does without an event."""
    type_ = _type_at(stream.body, violation.offset)
    heartbeats = stream.dialect.heartbeat
    return type_.lower() in _HEARTBEATS or any_matches(heartbeats, Parsed(Event(type_)))


def _type_at(body: bytes, offset: int) -> str:
    """The event type of the block that begins at `offset`; of an endless one, what its beginning says."""
    type_ = b""
    for line in body[offset : offset + _BEGINNING].splitlines():
        if not line:
            break
        name, _, value = line.partition(b":")
        if name == b"event":
            type_ = value.removeprefix(b" ")
    return type_.decode("utf-8", "replace")


@rule(
    "wire.json",
    claim="The data of every event is one JSON value.",
    why="A client that parses what it gets, stops at what it cannot parse: the event is lost, and with many clients "
    "the stream too.",
    source="https://www.rfc-editor.org/rfc/rfc8259#section-2",
    mend="Write data by a JSON encoder, not by str() or a template, on one line or with a `data:` for each. NaN and "
    "Infinity are no JSON. If plain text is meant, set dialect.json = false, or name it in the dialect, as "
    'completion = [{ data = "[DONE]" }] does.',
    scenarios=READING,
    needs=("dialect.json",),
)
def json(history: History) -> Judgement:
    if not history.terms.dialect.json:
        return not_applicable("dialect.json is false")
    streams, instead = bodies(history)
    if instead is not None:
        return instead
    payload = [
        (stream, event) for stream in streams for event in stream.all_events if not _is_known(stream, event)
    ]
    return settle(
        (
            Finding(
                f"the data of an event {event.event.type[:40]!r} is no JSON: {event.event.data[:60]!r}",
                (at(stream, event.time, event.event.offset, expected="one JSON value"),),
            )
            for stream, event in payload
            if event.parsed.json is ABSENT
        ),
        len(payload),
        "events",
    )


def _is_known(stream: Exchange, event: EventArrival) -> bool:
    """Whether the dialect knows the event by its text, or as a heartbeat: then nobody parses it."""
    dialect = stream.dialect
    words: list[Matcher] = []
    for matchers in (dialect.completion, dialect.failure, dialect.end, dialect.heartbeat):
        words += (matcher for matcher in matchers or () if matcher.data is not None)
    return event.role is Role.HEARTBEAT or any_matches(words, event.parsed)


_LONGEST = 64 * 1024  # bytes


@rule(
    "wire.event-size",
    level=Level.SHOULD,
    claim="No line of the stream is longer than 64 KiB.",
    why="The standard knows no limit, but clients that read line by line have one, and 64 KiB is the default of two "
    "that are everywhere: Go's bufio.Scanner, which then ends the stream, and Python's asyncio.StreamReader. "
    "What a proxy buffers has to be whole there as well.",
    source="https://pkg.go.dev/bufio#pkg-constants",
    mend="Send the address of what is large, or send it in pieces. JSON may be broken at any space between its tokens: "
    "each line is a data field of its own, and the client puts them together.",
    scenarios=WRITTEN,
)
def event_size(history: History) -> Judgement:
    streams, instead = bodies(history)
    if instead is not None:
        return instead
    written = [stream for stream in streams if stream.body]
    return settle(
        (
            Finding(
                f"a line of {length} bytes begins at byte {offset}",
                (
                    at(
                        stream,
                        arrived(stream, offset + length),
                        offset,
                        expected=f"lines below {_LONGEST} bytes",
                        actual=f"{length} bytes",
                    ),
                ),
            )
            for stream in written
            for offset, length in _long_lines(stream.body)
        ),
        len(written),
        "streams",
    )


def _long_lines(body: bytes) -> Iterator[tuple[int, int]]:
    """Where lines of 64 KiB and more begin, and how long they are; in steps of that size, not line by line."""
    start = 0
    while len(body) - start >= _LONGEST:
        last = max(body.rfind(ending, start, start + _LONGEST) for ending in (b"\n", b"\r"))
        if last >= 0:
            start = last + 1
            continue
        ends = [found for ending in (b"\n", b"\r") if (found := body.find(ending, start + _LONGEST)) >= 0]
        end = min(ends, default=len(body))
        yield start, end - start
        start = end + 1
