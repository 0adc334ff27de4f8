"""One subscriber does not read: the others must not notice, and what it does not read must not pile up."""

from itertools import pairwise

from conformance.history import Exchange, History
from conformance.rules.completion_fate import evidence_of, fate
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.stalls import room, steady
from conformance.rules.streams import nothing_to_read
from reports.results import Finding

_MEMORY = "process.memory"
_BETWEEN = 4_000_000  # bytes that the buffers of the two systems may take, so that no server notices
_BETWEEN_VIRTUAL = 64 * 1024
_ALLOCATOR = 2 * 2**20  # bytes by which two equal pieces of work may differ
_COLLECTOR = (
    6 * 2**20
)  # bytes by which two pieces of work may differ from two others where garbage is collected: V8's
_KEPT = 0.5  # of what was not read: more than that is kept for the one who does not


@rule(
    "resource.stalled-reader",
    claim="While one subscriber does not read, the others get their events, and the server's memory does not grow by "
    "what it does not read.",
    why="A phone in a tunnel, a suspended laptop, a debugger at a breakpoint: the connection stays, and nothing is "
    "read. A server that waits for each in turn stands still for all; one that queues without bounds dies of it.",
    source="https://docs.python.org/3/library/asyncio-stream.html#asyncio.StreamWriter.drain",
    mend="Let nobody else wait for what one subscriber is sent: a task for each connection, and a bounded queue (or a "
    "cursor on a common log) between it and the work. Where the bound is reached drop the subscriber: it comes back "
    "with its last event ID.",
    scenarios=("stalled-reader",),
    needs=("expect.shared",),
    timing=True,
)
@steady
def stalled_reader(history: History) -> Judgement:
    control, stalled, reader = (_stream(history, name) for name in ("control", "stalled", "reader"))
    if control is None or stalled is None or reader is None or not history.marked("stalled"):
        return inconclusive("nobody stalled: a stream was not answered")
    if not control.is_event_stream or not stalled.is_event_stream:
        return nothing_to_read(history)
    usual = fate(history, control)
    if usual.what != "completed" and "dialect.completion" in history.terms.declared:
        return inconclusive(f"alone, too, the subscriber {usual.said}")
    findings = [*_held_up(history, control, reader), *_hoarded(history, stalled, reader)]
    if findings:
        return settle(findings, 0, "")
    if _was_given_back(history):
        return inconclusive(
            "the server gave memory back while one read alone, so what it took beside one who does not read cannot be "
            "compared"
        )
    between = _BETWEEN_VIRTUAL if history.began.clock == "virtual" else _BETWEEN
    unread = _size(reader) - _size(stalled)
    if unread <= between:
        return inconclusive(
            f"the work told {unread} bytes that were not read, which may all lie in the buffers between: "
            "needs target.variants.flood (or echo), with {payload} in what each event tells"
        )
    looked = any(gauge.name == _MEMORY and gauge.value is not None for gauge in history.gauges)
    also = "" if looked else " (the server's memory is not known here)"
    return settle((), len(reader.events), f"events of a subscriber beside one who did not read{also}")


def _stream(history: History, subscriber: str) -> Exchange | None:
    return next(iter(history.subscribers.get(subscriber, ())), None)


def _size(stream: Exchange) -> int:
    return sum(len(chunk.data) for chunk in stream.chunks)


def _held_up(history: History, control: Exchange, reader: Exchange) -> list[Finding]:
    """What the one who read noticed of the other."""
    if "dialect.completion" in history.terms.declared:
        outcome = fate(history, reader)
        if outcome.what in {"ended", "broken-off", "silent", "unanswered"}:
            said = f"beside one who does not read, {reader.name} {outcome.said}; alone it got the completion"
            return [Finding(said, (evidence_of(reader, "the completion"),))]
    usual, _ = _longest_gap(control)
    gap, at = _longest_gap(reader)
    allowed = usual + history.terms.limits.delivery + room(history)
    if gap <= allowed:
        return []
    evidence = evidence_at(
        at, reader.name, expected=f"a gap of at most {allowed:.3f} s", actual=f"a gap of {gap:.3f} s"
    )
    return [
        Finding(
            f"beside one who does not read, nothing came to {reader.name} for {gap:.3f} s; alone, the longest gap was "
            f"{usual:.3f} s",
            (evidence,),
        )
    ]


def _longest_gap(stream: Exchange) -> tuple[float, float]:
    """The longest time (seconds) without an event, from the request on, and when it ended."""
    times = [stream.requested.time, *(each.time for each in stream.all_events)]
    return max(((later - earlier, later) for earlier, later in pairwise(times)), default=(0.0, 0.0))


def _was_given_back(history: History) -> bool:
    """Whether the server's memory shrank during the comparison: a collector ran, and what it found was older."""
    at = {
        gauge.cycles: gauge.value
        for gauge in history.gauges
        if gauge.name == _MEMORY and gauge.value is not None and gauge.phase in {"before", "during"}
    }
    return 0 in at and 1 in at and at[1] - at[0] < -_ALLOCATOR


def _hoarded(history: History, stalled: Exchange, reader: Exchange) -> list[Finding]:
    """How much more memory the server took than for the same work without one who does not read."""
    values = [gauge for gauge in history.gauges if gauge.name == _MEMORY and gauge.value is not None]
    at = {gauge.cycles: gauge for gauge in values if gauge.phase in {"before", "during"}}
    if not {0, 1, 2} <= at.keys() or _was_given_back(history):
        return []
    before, alone, beside = (at[index].value or 0.0 for index in (0, 1, 2))
    rounds = 1
    if 3 in at:  # told twice: what is hoarded is there twice, what a collector has not looked for yet is not
        beside, rounds = at[3].value or 0.0, 2
    grown = beside - alone
    more = grown - rounds * max(0.0, alone - before)
    unread = rounds * (_size(reader) - _size(stalled) - _BETWEEN)
    if unread <= 0 or more <= max(_ALLOCATOR if rounds == 1 else _COLLECTOR, _KEPT * unread):
        return []
    evidence = evidence_at(
        at[rounds + 1].time,
        stalled.name,
        expected=f"about {rounds * max(0.0, alone - before) / 1e6:.2f} MB more, as for one who reads",
        actual=f"{grown / 1e6:.2f} MB more",
    )
    return [
        Finding(
            f"the server's memory grew by {more / 1e6:.2f} MB more than without one who does not read; "
            f"{_size(reader) / 1e6:.2f} MB were told, of which {_size(stalled) / 1e6:.2f} MB were read",
            (evidence,),
        )
    ]


RULES = (stalled_reader,)
