"""One subscriber reads nothing for a while, and then reads on: what it is owed is not dropped behind its back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.dialect import Dialect
from conformance.history import EventArrival, Exchange, History
from conformance.rules.completion_fate import Fate, evidence_of, fate
from conformance.rules.order_content import Identity, content, label, listed, number, told
from conformance.rules.resource_stalled import BETWEEN, BETWEEN_VIRTUAL
from conformance.rules.rule import Judgement, inconclusive, rule, settle
from conformance.rules.streams import nothing_to_read
from reports.results import Finding

SLOW = "slow"  # stops reading at the head, and reads on when the other one has most of the stream
SWIFT = "swift"
_READS_ON = "reading on"


@dataclass(frozen=True)
class _Pair:
    """The connections of the one who was slow, in order, and that of the one who was not."""

    slow: tuple[Exchange, ...]
    swift: Exchange
    pause: float  # seconds for which nothing was read

    @property
    def who(self) -> str:
        return f"{self.slow[0].name}, who read nothing for {self.pause:.3g} s,"


@rule(
    "order.slow-reader",
    claim="A subscriber that reads nothing for a while gets every event all the same: when it reads on, or, where it "
    "is cut off, when it comes back.",
    why="A phone in a tunnel, a laptop whose lid was closed for a moment: the connection stays. A queue that drops "
    "what does not fit leaves a hole which nobody hears of: the next id says that everything before it has come, so "
    "even a reconnection brings nothing of it.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Give each subscriber a cursor on a log instead of a queue of its own. Where there is a bounded queue, and it "
    "is full, end that subscriber's response: it comes back with its last event ID for the rest. Never drop single "
    "events.",
    scenarios=("stalled-reader",),
    needs=("expect.shared", "expect.resumable"),
)
def nothing_dropped(history: History) -> Judgement:
    pair = _pair(history)
    if isinstance(pair, Judgement):
        return pair
    due, have = _recognised((pair.swift,)), Counter(key for key, _ in _recognised(pair.slow))
    named = [
        (key, each) for key, each in due if each.event.id or number(pair.swift.dialect, each) is not None
    ]
    due = named or due  # where others have a name, what has none belongs to the connection
    places = [place for place, (key, _) in enumerate(due) if have[key]]
    if not places:
        return inconclusive("the two subscribers have no event in common that could be recognised")
    missing: list[EventArrival] = []
    last = pair.slow[-1]  # behind the last in common is what one who was cut off could not come back for
    end = len(due) if _is_missed(last, fate(history, last)) else places[-1] + 1
    for key, each in due[places[0] : end]:  # before it may stand what is said to each alone
        have[key] -= 1
        if have[key] < 0:
            missing.append(each)
    if not missing:
        return settle((), len(places), "events of one who read late")
    names = listed(label(pair.swift.dialect, each) for each in missing)
    message = f"{pair.who} never got {names}, which {pair.swift.name} got"
    return settle([Finding(message, (evidence_of(pair.slow[-1], "every event"),))], 0, "")


@rule(
    "completion.slow-reader",
    claim="A subscriber that reads nothing for a while hears of the completion all the same: when it reads on, or, "
    "where it is cut off, when it comes back.",
    why="The last message is the one that does not fit into a full queue. The work is done, everybody else knows, and "
    "this one window shows 93 % for ever.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Let the completion never be what is dropped: a cursor on a log instead of a queue, or end the response where "
    "the queue is full, without the bytes that end a body properly where nobody can come back for the rest.",
    scenarios=("stalled-reader",),
    needs=("expect.shared", "dialect.completion"),
)
def completion_not_dropped(history: History) -> Judgement:
    pair = _pair(history)
    if isinstance(pair, Judgement):
        return pair
    if any(stream.is_event_stream and stream.completed is not None for stream in pair.slow):
        return settle((), 1, "completion of one who read late")
    last = pair.slow[-1]
    outcome = fate(history, last)
    if outcome.what == "broken-off" and not history.terms.expect.resumable:
        return inconclusive(f"{last.name} {outcome.said}, which tells it that something is missing")
    if not _is_missed(last, outcome):
        return inconclusive(f"{last.name} {outcome.said}")
    message = (
        f"{pair.who} was not told of the completion, which {pair.swift.name} got: {last.name} {outcome.said}"
    )
    return settle([Finding(message, (evidence_of(last, "the completion"),))], 0, "")


def _is_missed(stream: Exchange, outcome: Fate) -> bool:
    """Whether this end means that the completion will not come."""
    if outcome.what == "no-stream":
        return stream.head is not None and stream.head.status != 200
    return outcome.what in {"ended", "silent", "unanswered", "broken-off"}


def _key(dialect: Dialect, each: EventArrival) -> Identity:
    name = each.event.id or number(dialect, each)
    return (content(dialect, each),) if name is None else (name,)


def _recognised(streams: Sequence[Exchange]) -> list[tuple[Identity, EventArrival]]:
    """What came on these connections, each event with what any delivery of it has in common: its id or number, or,
    where it has none, its content."""
    return [
        (_key(stream.dialect, each), each)
        for stream in streams
        if stream.is_event_stream
        for each in told(stream)
    ]


def _pair(history: History) -> _Pair | Judgement:
    """Who was slow and who was not, or why there is nothing to judge by."""
    slow = history.subscribers.get(SLOW, ())
    swift = next(iter(history.subscribers.get(SWIFT, ())), None)
    stalled = next(
        (mark for mark in history.marked("stalled") if slow and mark.exchange == slow[0].name), None
    )
    reads_on = next(iter(history.marked(_READS_ON)), None)
    if not slow or swift is None or stalled is None or reads_on is None:
        return inconclusive("nobody was slow: a stream was not answered")
    if not slow[0].is_event_stream or not swift.is_event_stream:
        return nothing_to_read(history)
    if swift.completed is None and "dialect.completion" in history.terms.declared:
        return inconclusive(f"beside the one who did not read, {swift.name} {fate(history, swift).said}")
    read = sum(len(chunk.data) for chunk in slow[0].chunks if chunk.time < reads_on.time)
    unread = sum(len(chunk.data) for chunk in swift.chunks if chunk.time < reads_on.time) - read
    if unread <= (BETWEEN_VIRTUAL if history.began.clock == "virtual" else BETWEEN):
        return inconclusive(
            f"the work told {max(unread, 0)} bytes meanwhile, which may all lie in the buffers between: needs "
            "target.variants.flood (or echo), with {payload} in what each event tells"
        )
    return _Pair(slow, swift, reads_on.time - stalled.time)
