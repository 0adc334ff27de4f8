"""Order: two subscribers of one stream are told the same, in the same order."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import pairwise

from conformance.history import EventArrival, Exchange, History
from conformance.rules.order_content import Identity, excerpt, identified, label, listed, told
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.stalls import room
from conformance.rules.streams import lasting, nothing_to_read, pairs, resumes
from reports.results import Finding

_SAME_MOMENT = 0.25  # seconds: what arrived so shortly before the other one's end may have missed it by right


@rule(
    "order.subscribers-agree",
    claim="Two subscribers of one stream get the same events in the same order.",
    why="Two windows on the same work show two different stories; a monitor misses what the orchestrator acted on, "
    "and neither can tell that it is wrong.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Give each subscriber its own cursor on one log, or put each event into the queues of all subscribers in "
    "one step without a wait in between. Two readers of one queue steal events from each other; a task for each "
    "event and subscriber lets later events overtake.",
    scenarios=("two-subscribers", "late-subscriber", "after-completion", "completion-while-away"),
    needs=("expect.shared",),
)
def subscribers_agree(history: History) -> Judgement:
    streams = lasting(history)
    if not streams:
        return nothing_to_read(history)
    found = list(pairs(history, streams))
    if not found:
        return inconclusive("only one subscriber got the stream")
    findings: list[Finding] = []
    compared = promised = 0
    for one, other in found:
        if _only_replayed(one, other):
            if history.terms.expect.replay != "all":
                continue
            promised += 1
        here, there = identified(one), identified(other)
        common = [key for key in here if key in there]
        compared += len(common)
        findings += _out_of_order(one, other, common, there)
        findings += _missing(history, one, here, other, there)
        findings += _missing(history, other, there, one, here)
    if not compared and not findings:
        if not promised and all(_only_replayed(one, other) for one, other in found):
            return not_applicable('they did not read at the same time, and expect.replay is not "all"')
        return inconclusive("the subscribers have no event in common that could be recognised")
    return settle(findings, compared, "events in common")


def _only_replayed(one: Exchange, other: Exchange) -> bool:
    """Whether the first one had left before the other one came."""
    return one.ended is not None and one.ended.time <= other.requested.time


def _out_of_order(
    one: Exchange, other: Exchange, common: list[Identity], there: Mapping[Identity, EventArrival]
) -> Iterator[Finding]:
    """Events in common that the second subscriber got in another order than the first."""
    for earlier, later in pairwise(common):
        first, second = there[earlier], there[later]
        if second.event.offset < first.event.offset:
            yield Finding(
                f"{one.name} got {label(one.dialect, first)} before {label(one.dialect, second)}, "
                f"{other.name} got them the other way round",
                (
                    evidence_at(second.time, other.name, offset=second.event.offset, excerpt=excerpt(second)),
                    evidence_at(first.time, other.name, offset=first.event.offset, excerpt=excerpt(first)),
                ),
            )


def _missing(
    history: History,
    witness: Exchange,
    seen: Mapping[Identity, EventArrival],
    subscriber: Exchange,
    got: Mapping[Identity, EventArrival],
) -> Iterator[Finding]:
    """Events that the witness got and the subscriber, who was there as well, did not."""
    places = {id(arrival): place for place, arrival in enumerate(told(subscriber))}
    known = sorted(places[id(got[key])] for key in seen if key in got)
    strange = [place for arrival, place in _strange(subscriber, got, seen, places)]
    run: list[EventArrival] = []
    before: int | None = None
    greeted = False
    for key, arrival in seen.items():
        if key not in got:
            run.append(arrival)
            continue
        after = places[id(got[key])]
        due: list[EventArrival] = []
        if before is not None or _gets_all(history, subscriber):
            due = _since_it_came(history, subscriber, run) if greeted else run
        if due and not _any_between(strange, -1 if before is None else before, after):
            yield _lost(witness, subscriber, due)
        greeted = before is None and after == 0 and arrival is told(witness)[0]
        run, before = [], after
    if run and known and not _any_between(strange, known[-1], len(places)):
        if greeted:
            run = _since_it_came(history, subscriber, run)
        there = [each for each in run if _was_there(history, subscriber, each)]
        if there:
            yield _lost(witness, subscriber, there)


def _since_it_came(history: History, subscriber: Exchange, run: list[EventArrival]) -> list[EventArrival]:
    """Of what is missing behind the event that both got first: that may be a word to each who comes, and does not tell
    where the stream stood."""
    if _gets_all(history, subscriber):
        return run
    came = subscriber.requested.time if subscriber.head is None else subscriber.head.time
    return [each for each in run if each.time > came]


def _strange(
    subscriber: Exchange,
    got: Mapping[Identity, EventArrival],
    seen: Mapping[Identity, EventArrival],
    places: Mapping[int, int],
) -> Iterator[tuple[EventArrival, int]]:
    """Events that only the subscriber got, or that look like others: one of them may be what is looked for, told
    in other words."""
    common = {id(arrival) for key, arrival in got.items() if key in seen}
    for arrival in told(subscriber):
        if id(arrival) not in common:
            yield arrival, places[id(arrival)]


def _any_between(places: list[int], start: int, end: int) -> bool:
    index = bisect_left(places, start)
    return index < len(places) and places[index] < end


def _gets_all(history: History, subscriber: Exchange) -> bool:
    """Whether whoever comes late is told everything from the beginning."""
    return history.terms.expect.replay == "all" and not resumes(subscriber)


def _was_there(history: History, subscriber: Exchange, arrival: EventArrival) -> bool:
    """Whether the subscriber was there well after the event was sent, so that it was due."""
    ended = subscriber.ended
    if ended is None or subscriber.how not in {"complete", "watched", "timeout"}:
        return False
    by_server = subscriber.how == "complete"
    patience = _SAME_MOMENT if by_server else max(_SAME_MOMENT, history.terms.limits.delivery)
    return arrival.time + patience + room(history) < ended.time


def _lost(witness: Exchange, subscriber: Exchange, missing: list[EventArrival]) -> Finding:
    first = missing[0]
    return Finding(
        f"{subscriber.name} never got {listed(label(witness.dialect, each) for each in missing)}, "
        f"which {witness.name} got",
        (evidence_at(first.time, witness.name, offset=first.event.offset, excerpt=excerpt(first)),),
    )
