"""Isolation: each stream brings its own events, all of them, and only to those whose they are."""

from collections.abc import Mapping

from conformance.dialect import stream_of
from conformance.history import EventArrival, Exchange, History
from conformance.rules.cancel_streams import both_streams
from conformance.rules.completion_fate import answer_of, end_of, ending
from conformance.rules.order_content import Number, content, excerpt, identified, label, listed, number, told
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.stalls import room
from conformance.rules.streams import nothing_to_read, pairs, readable
from reports.results import Finding

_TELLING = 8  # characters; a shorter name comes up by chance
_SWITCH = 0.5  # seconds that a server may take to turn from the older stream to the newer one
_SAME_MOMENT = (
    0.25  # seconds: what came so shortly after somebody, or before he left, may have missed him by right
)


@rule(
    "isolation.no-cross-talk",
    claim="A stream brings only events of the work that it was asked for.",
    why="One user sees another user's answers: a leak of data, and a result that belongs to somebody else is acted on.",
    source="https://cwe.mitre.org/data/definitions/488.html",
    mend="Look up the channel by the id in the request, for each subscriber and each event; keep no current job in a "
    "module, a class or a closure that requests share, and do not reuse a response's buffer or generator for "
    "another. On one bus for all, filter by the stream's id before anything is sent.",
    scenarios=(*READING, "foreign-id", "crowd"),
)
def no_cross_talk(history: History) -> Judgement:
    streams = [
        each
        for each in readable(history)
        if each.requested.subscriber != "right" or history.scenario != "foreign-id"
    ]
    return _own_events(history, streams)


@rule(
    "isolation.foreign-id",
    claim="A stream that is resumed with the last event ID of another stream does not bring that one's events.",
    why="Ids travel: clients keep the last one when they turn to another stream, and some can be guessed. A server "
    "that looks up an id without asking whose it is hands out what belongs to somebody else.",
    source="https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery",
    mend="Look up Last-Event-ID in the log of the stream that is asked for, and nowhere else; where ids are unique "
    "over all streams, compare the stream of the event that is found with the one in the request before replaying.",
    scenarios=("foreign-id",),
    needs=("expect.resumable",),
)
def foreign_id(history: History) -> Judgement:
    if history.marked("no id"):
        return not_applicable("the events carry no ids")
    right = next((each for each in history.streams if each.requested.subscriber == "right"), None)
    if right is None or right.head is None:
        return inconclusive("nobody came with the id of another stream")
    if not right.is_event_stream:
        return settle((), 1, f"foreign ids that were refused: {answer_of(right)}")
    return _own_events(history, [right])


def _own_events(history: History, streams: list[Exchange]) -> Judgement:
    if not streams:
        return nothing_to_read(history)
    findings: list[Finding] = []
    checked = 0
    for stream in streams:
        foreign = _foreign_names(history, stream)
        own = set(stream.requested.names.values())
        telling = [name for name in own if len(name) >= _TELLING]
        named = any(stream_of(stream.dialect, each.parsed) in own for each in told(stream))
        for each in told(stream):
            whose = (
                stream_of(stream.dialect, each.parsed) if named else None
            )  # else that names something else
            brought = next((name for name in foreign if name in each.event.data), None)
            if whose is not None and whose not in own:
                findings.append(_strange(stream, each, f"which says that it is of {whose!r}", own))
            elif brought is not None:
                findings.append(_strange(stream, each, f"which holds {brought!r}, the other stream's", own))
            elif whose is not None or (foreign and any(name in each.event.data for name in telling)):
                checked += 1
    if findings or checked:
        return settle(findings, checked, "events that tell whose they are")
    if not any(told(stream) for stream in streams):
        return inconclusive("no events to judge by")
    return not_applicable(
        "the events do not tell whose they are: needs dialect.stream in the configuration, or target.variants.echo"
    )


def _foreign_names(history: History, stream: Exchange) -> tuple[str, ...]:
    """What names the other streams of this history and not this one, and comes up in no text by chance."""
    if stream.dialect.scope is not None:
        return ()
    own = " ".join(stream.requested.names.values())
    found = (
        name for each in history.streams for name in each.requested.names.values() if len(name) >= _TELLING
    )
    return tuple(dict.fromkeys(name for name in found if name not in own and not name.isdigit()))


def _strange(stream: Exchange, arrival: EventArrival, said: str, own: set[str]) -> Finding:
    return Finding(
        f"{stream.name} brought {label(stream.dialect, arrival)}, {said}",
        (
            evidence_at(
                arrival.time,
                stream.name,
                offset=arrival.event.offset,
                excerpt=excerpt(arrival),
                expected=f"events of {' or '.join(map(repr, sorted(own)))}",
            ),
        ),
    )


@rule(
    "isolation.superseded-silent",
    claim="A stream that was superseded gets nothing more of what the newer one gets.",
    why="Both windows act on the same event: a message is shown twice, a payment is made twice; and whoever was "
    "logged out by the newer session still reads along.",
    source="https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#multiple-connections",
    mend="Take the older stream off the list of receivers in the step that puts the newer one there, without a wait "
    "in between, and drop what is still queued for it.",
    scenarios=("supersede",),
    needs=("expect.superseding",),
    timing=True,
)
def superseded_silent(history: History) -> Judgement:
    pair = both_streams(history)
    if isinstance(pair, Judgement):
        return pair
    older, newer = pair
    assert newer.head is not None
    switched = newer.head.time + _SWITCH + room(history)
    here, there = identified(older), identified(newer)
    twice = [each for key, each in here.items() if key in there and each.left_server > switched]
    alone = [each for key, each in there.items() if key not in here]
    if twice:
        first = twice[0]
        message = (
            f"{older.name} was superseded at {newer.head.time:.3f} s, and {first.time - newer.head.time:.3g} s later "
            f"got {listed(label(older.dialect, each) for each in twice)}, which {newer.name} got as well"
        )
        evidence = evidence_at(first.time, older.name, offset=first.event.offset, excerpt=excerpt(first))
        return settle([Finding(message, (evidence,))], 0, "")
    if not alone:
        return inconclusive(
            f"{newer.name} got nothing that {older.name} had not got: nobody saw the stream turn"
        )
    return settle((), len(alone), "events that only the newer stream got")


@rule(
    "isolation.no-stealing",
    claim="Of two subscribers of one stream, neither takes events away from the other.",
    why="A second window, a monitor or a retry halves what the first one gets: words are missing from both texts, "
    "and one of them never hears of the end.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="One queue for each subscriber, and a publisher that puts each event into all of them; with Redis XREAD or "
    "Pub/Sub and not BLPOP or one consumer group, with Kafka a group of its own for each subscriber.",
    scenarios=("two-subscribers",),
    needs=("expect.shared",),
)
def no_stealing(history: History) -> Judgement:
    if not readable(history):
        return nothing_to_read(history)
    findings: list[Finding] = []
    compared = 0
    strangers = False
    for one, other in pairs(history, readable(history)):
        here, there = _keyed(one), _keyed(other)
        numbers = all(isinstance(key, int | float) for key in (*here, *there))
        if not here or not there or not (numbers or here.keys() & there.keys()):
            strangers = True  # each may have ids of its own for the same events
        else:
            compared += len(here.keys() | there.keys())
            lost, stolen = _only(history, one, other, there), _only(history, other, one, here)
            if lost and stolen:
                findings += [_taken(one, lost, other), _taken(other, stolen, one)]
        findings += _all_to_one(one, other) or _all_to_one(other, one)
    if strangers and not findings:
        return inconclusive(
            "the subscribers have no event in common that could be recognised by a number or an id"
        )
    return settle(findings, compared, "events for two subscribers")


def _keyed(stream: Exchange) -> dict[Number | str, EventArrival]:
    """The events by number, else by id; those that have neither are left out."""
    found: dict[Number | str, EventArrival] = {}
    for each in told(stream):
        key = number(stream.dialect, each)
        key = each.event.id or None if key is None else key
        if key is not None:
            found.setdefault(key, each)
    return found


def _only(
    history: History, one: Exchange, other: Exchange, there: Mapping[Number | str, EventArrival]
) -> list[EventArrival]:
    """Events that only one of them got while the other was there; content that came under another id is no loss."""
    assert other.head is not None
    slack = _SAME_MOMENT + room(history)
    contents = {content(other.dialect, each) for each in told(other)}
    return [
        each
        for key, each in _keyed(one).items()
        if key not in there
        and content(one.dialect, each) not in contents
        and other.head.time + slack < each.left_server
        and each.time + slack < end_of(other)
    ]


def _taken(taker: Exchange, events: list[EventArrival], loser: Exchange) -> Finding:
    first = events[0]
    return Finding(
        f"{taker.name} got {listed(label(taker.dialect, each) for each in events)}, which {loser.name} never got, and "
        "the other way round: they share the events out",
        (evidence_at(first.time, taker.name, offset=first.event.offset, excerpt=excerpt(first)),),
    )


def _all_to_one(taker: Exchange, loser: Exchange) -> list[Finding]:
    """Nothing for one subscriber, who was there from before the first event of the other until after its last."""
    events = told(taker)
    if len(events) < 2 or told(loser) or loser.head is None:
        return []
    if loser.head.time >= events[0].left_server or end_of(loser) <= events[-1].time:
        return []
    message = (
        f"{taker.name} got all of {len(events)} events, and {loser.name}, who was there as well, not one"
    )
    evidence = evidence_at(
        end_of(loser),
        loser.name,
        expected=f"the {len(events)} events that {taker.name} got",
        actual=ending(loser),
    )
    return [Finding(message, (evidence,))]


RULES = (no_cross_talk, foreign_id, superseded_silent, no_stealing)
