"""Order on one connection: numbers that increase, none missing, none twice."""

from collections.abc import Iterator

from conformance.history import EventArrival, Exchange, History
from conformance.rules.order_content import Number, content, excerpt, label, lane, number, told
from conformance.rules.order_gaps import no_gap
from conformance.rules.order_subscribers import subscribers_agree
from conformance.rules.order_unique import no_duplicate, unique_ids
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.streams import nothing_to_read, readable
from reports.results import Finding


@rule(
    "order.increasing",
    claim="Sequence numbers strictly increase on each connection.",
    why="A client that shows the newest state shows an older one; one that skips what it has seen drops events "
    "for good; and Last-Event-ID points to the wrong place.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Number and send each event in one place: one task that takes from one queue, or under one lock. Where "
    "several workers publish, draw the number when the event enters the log, and send from the log.",
    scenarios=(*READING, "crowd"),
    needs=("dialect.sequence",),
)
def increasing(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    findings: list[Finding] = []
    steps = 0
    word: str | None = None
    for stream in streams:
        for before, after in _neighbours(stream):
            first, second = number(stream.dialect, before), number(stream.dialect, after)
            if isinstance(first, str) or isinstance(second, str):
                word = word or str(first if isinstance(first, str) else second)
                continue
            assert first is not None
            assert second is not None
            steps += 1
            if second <= first:
                findings.append(_went_back(stream, before, after, first, second))
    if not steps and word is not None:
        return not_applicable(f"the sequence is no number: {word[:60]!r}")
    if not steps:
        where = history.terms.dialect.sequence
        return inconclusive(f"fewer than two events of a connection carry a sequence number ({where})")
    return settle(findings, steps, "steps")


def _neighbours(stream: Exchange) -> Iterator[tuple[EventArrival, EventArrival]]:
    """Events that carry a sequence, each with the one after it that is counted with it."""
    last: dict[str, EventArrival] = {}
    for each in told(stream):
        if number(stream.dialect, each) is None:
            continue
        counted_in = lane(stream.dialect, each)
        if counted_in in last:
            yield last[counted_in], each
        last[counted_in] = each


def _went_back(
    stream: Exchange, before: EventArrival, after: EventArrival, first: Number, second: Number
) -> Finding:
    again = second == first and content(stream.dialect, before) == content(stream.dialect, after)
    how = "came again after" if again else "came after"
    return Finding(
        f"{label(stream.dialect, after)} {how} {label(stream.dialect, before)} on connection {stream.name}",
        (
            evidence_at(
                after.time,
                stream.name,
                offset=after.event.offset,
                excerpt=excerpt(after),
                expected=f"more than {first}",
                actual=str(second),
            ),
        ),
    )


RULES = (increasing, no_gap, no_duplicate, unique_ids, subscribers_agree)
