"""Order: no event comes twice on a connection, and an id names one event."""

from collections.abc import Iterable, Iterator

from conformance.dialect import parse_json
from conformance.history import EventArrival, Exchange, History
from conformance.rules.order_content import Content, content, excerpt, label, lane, number, told
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.streams import groups, is_shared, nothing_to_read, readable
from reports.results import Evidence, Finding

_NO_NAMES = (
    "needs dialect.sequence or expect.resumable in the configuration: only then must an id name one event"
)


def _names_events(history: History) -> bool:
    """Whether an id, or a sequence number, has to name one event. Else it may mark a place that several share."""
    return bool({"dialect.sequence", "expect.resumable"} & set(history.terms.declared))


@rule(
    "order.no-duplicate",
    claim="No event comes twice on one connection.",
    why="A client that appends doubles the text; one that counts, counts wrong; an action that an event triggers "
    "is done twice.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Send the backlog and the live events from one log by one cursor, so that the two cannot overlap; or "
    "remember the last id that this connection was sent and skip what is not newer. Look for a subscriber that is "
    "registered twice, and for a retry that sends again what had already been sent.",
    scenarios=(*READING, "crowd"),
)
def no_duplicate(history: History) -> Judgement:
    if not _names_events(history):
        return not_applicable(_NO_NAMES)
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    findings: list[Finding] = []
    named = 0
    for stream in streams:
        seen: dict[tuple[str, object, Content], EventArrival] = {}
        for name, each in _named(stream):
            named += 1
            before = seen.setdefault((*name, content(stream.dialect, each)), each)
            if before is not each:
                findings.append(_again(stream, before, each))
    if not named:
        return inconclusive("no event carries an id or a sequence number")
    return settle(findings, named, "events")


def _named(stream: Exchange) -> Iterator[tuple[tuple[str, object], EventArrival]]:
    """The events that have a name: their sequence number, or else the id of their own block."""
    for each in told(stream):
        value: object = number(stream.dialect, each) if stream.dialect.sequence else each.event.id
        if value is not None and value != "":
            yield (lane(stream.dialect, each), value), each


def _again(stream: Exchange, before: EventArrival, each: EventArrival) -> Finding:
    return Finding(
        f"{label(stream.dialect, each)} came twice on connection {stream.name}, "
        f"at {before.time:.3f} s and at {each.time:.3f} s",
        (_evidence(stream, before), _evidence(stream, each)),
    )


def _evidence(stream: Exchange, each: EventArrival) -> Evidence:
    return evidence_at(
        each.time,
        stream.name,
        offset=each.event.offset,
        excerpt=excerpt(each),
        actual=f"id {each.event.id}, type {each.event.type}"[:120],
    )


@rule(
    "order.unique-ids",
    claim="An id names one event and no other.",
    why="A client that comes back with that id as its Last-Event-ID gets events twice or never, as the server "
    "cannot know which of them was meant.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Let the log of the stream give the ids, not the connection: a counter that starts anew with every "
    "connection or after a restart names other events by the same id. Where several streams share one log, put "
    "the stream's name into the id.",
    scenarios=(*READING, "restart", "crowd"),
)
def unique_ids(history: History) -> Judgement:
    if not _names_events(history):
        return not_applicable(_NO_NAMES)
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    with_ids = sum(bool(each.event.id) for stream in streams for each in told(stream))
    if not with_ids:
        return not_applicable("no event has an id")
    findings = [finding for stream in streams for finding in _on_one_connection(stream)]
    for group in groups(history, streams):
        for connections in _told_the_same(history, group):
            findings.extend(_between_connections(connections))
    return settle(findings, with_ids, "events with an id")


def _on_one_connection(stream: Exchange) -> Iterator[Finding]:
    seen: dict[str, EventArrival] = {}
    for each in told(stream):
        if each.event.id:
            before = seen.setdefault(each.event.id, each)
            if content(stream.dialect, before) != content(stream.dialect, each):
                yield _two_events(stream, before, stream, each)
                seen[each.event.id] = each


def _told_the_same(history: History, group: tuple[Exchange, ...]) -> Iterable[tuple[Exchange, ...]]:
    """Connections on which an id must mean the same: all of a shared stream, or those of one subscriber."""
    if is_shared(history):
        return [group]
    if "expect.resumable" not in history.terms.declared:
        return []
    own: dict[str, list[Exchange]] = {}
    for stream in group:
        own.setdefault(stream.requested.subscriber, []).append(stream)
    return [tuple(streams) for streams in own.values()]


def _between_connections(connections: tuple[Exchange, ...]) -> list[Finding]:
    """Ids that name one event here and another one there.

    A second delivery may differ from the first in a detail, e.g. in a mark that it is one. So a single id does not
    tell, unless even the type is another; two do, for ids that start anew do so from the first.
    """
    first: dict[str, tuple[Exchange, EventArrival]] = {}
    findings: list[Finding] = []
    by_type = False
    for stream in connections:
        for each in told(stream):
            if not each.event.id:
                continue
            other, before = first.setdefault(each.event.id, (stream, each))
            if other is not stream and _differ(other, before, stream, each):
                findings.append(_two_events(other, before, stream, each))
                by_type = by_type or before.event.type != each.event.type
    return findings if by_type or len(findings) > 1 else []


def _differ(one: Exchange, before: EventArrival, other: Exchange, each: EventArrival) -> bool:
    """Whether type or data differ; of two JSON objects, in a value that both have."""
    if before.event.type != each.event.type:
        return True
    (_, first), (_, second) = content(one.dialect, before), content(other.dialect, each)
    if first == second:
        return False
    here, there = parse_json(first), parse_json(second)
    if not isinstance(here, dict) or not isinstance(there, dict):
        return True
    return any(here[key] != there[key] for key in here.keys() & there.keys())


def _two_events(one: Exchange, before: EventArrival, other: Exchange, each: EventArrival) -> Finding:
    where = f"on connection {one.name}" if one is other else f"on connections {one.name} and {other.name}"
    return Finding(
        f"id {(each.event.id or '')[:60]} names two different events {where}",
        (_evidence(one, before), _evidence(other, each)),
    )
