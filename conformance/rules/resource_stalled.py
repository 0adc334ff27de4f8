"""One subscriber does not read: the others must not notice, and what it does not read must not pile up."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from conformance.history import Exchange, History
from conformance.rules.completion_fate import evidence_of, fate
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.stalls import room, steady
from conformance.rules.streams import nothing_to_read
from reports.results import Finding

_MEMORY = "process.memory"
BETWEEN = 4_000_000  # bytes that the buffers of the two systems may take, so that no server notices
BETWEEN_VIRTUAL = 64 * 1024
_ALLOCATOR = 2 * 2**20  # bytes by which two equal pieces of work may differ
_KEPT = 0.5  # of what was not read: more than that is kept for the one who does not
_COMPANION = "companion"  # reads beside the control
_CONTROLS = ("control", "control-again")  # one in each round in which both read


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
    usual = fate(history, control)
    if control.head is None:
        return inconclusive(f"beside one who reads, too, the subscriber {usual.said}")
    if not control.is_event_stream or not stalled.is_event_stream:
        return nothing_to_read(history)
    if usual.what != "completed" and "dialect.completion" in history.terms.declared:
        return inconclusive(f"beside one who reads, too, the subscriber {usual.said}")
    grown = _grown(history, stalled, reader)
    findings = [
        *_held_up(history, control, reader),
        *(() if grown is None else _hoarded(grown, stalled)),
    ]
    if findings:
        return settle(findings, 0, "")
    if grown is not None and grown.shows_nothing:
        return inconclusive(grown.shows_nothing)
    between = BETWEEN_VIRTUAL if history.began.clock == "virtual" else BETWEEN
    unread = _size(reader) - _size(stalled)
    if unread < 0:
        return inconclusive(
            f"{reader.name}, who read, got less ({_size(reader)} bytes) than {stalled.name}, who did not "
            f"({_size(stalled)} bytes): {reader.name} {fate(history, reader).said}"
        )
    if unread <= between:
        return inconclusive(
            f"the work told {unread} bytes that were not read, which may all lie in the buffers between: "
            "needs target.variants.flood (or echo), with {payload} in what each event tells"
        )
    also = "" if grown is not None else " (the server's memory is not known here)"
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
            said = f"beside one who does not read, {reader.name} {outcome.said}; beside one who reads, control got it"
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
            f"beside one who does not read, nothing came to {reader.name} for {gap:.3f} s; beside one who reads, the "
            f"longest gap was {usual:.3f} s",
            (evidence,),
        )
    ]


def _longest_gap(stream: Exchange) -> tuple[float, float]:
    """The longest time (seconds) without an event, from the request on, and when it ended."""
    times = [stream.requested.time, *(each.time for each in stream.all_events)]
    return max(((later - earlier, later) for earlier, later in pairwise(times)), default=(0.0, 0.0))


@dataclass(frozen=True)
class _Grown:
    """What the server's memory took (bytes) in each round: `both` read, or one did not (`beside`). `told` and `unread`:
    what a round told, and what of it the server may have kept; `seen`: when the last round was looked at."""

    both: tuple[float, ...]
    beside: tuple[float, ...]
    told: int
    unread: int
    seen: float

    @property
    def shows_nothing(self) -> str:
        """Why the rounds cannot be compared, if they cannot."""
        if min(self.both) < -_ALLOCATOR:  # a collector ran, and what it found was older
            return "the server gave memory back while both read, so what it took then cannot be compared"
        if self.more > self._bound(len(self.beside)) and not self.is_hoarded:
            return (
                f"the server's memory grew by {self.more / 1e6:.2f} MB more beside one who does not read, but not by "
                f"more each time: {_amounts(self.beside)}; while both read, {_amounts(self.both)}"
            )
        return ""

    @property
    def is_hoarded(self) -> bool:
        """Whether each round took more than any in which both read: a heap grows in steps, what is kept is kept each
        time."""
        return min(self.beside) > max(self.both) + self._bound(1)

    @property
    def more(self) -> float:
        return sum(self.beside) - sum(max(0.0, each) for each in self.both)

    def _bound(self, rounds: int) -> float:
        return max(_ALLOCATOR, rounds * _KEPT * self.unread)


def _amounts(values: Iterable[float]) -> str:
    return " and ".join(f"{value / 1e6:.2f} MB" for value in values)


def _grown(history: History, stalled: Exchange, reader: Exchange) -> _Grown | None:
    """None where the memory is not known, or cannot show what is kept: the buffers between may have it all."""
    unread = _size(reader) - _size(stalled) - BETWEEN
    looks = [
        gauge
        for gauge in history.gauges
        if gauge.name == _MEMORY and gauge.value is not None and gauge.phase in {"before", "during"}
    ]
    grown = [(later.value or 0.0) - (earlier.value or 0.0) for earlier, later in pairwise(looks)]
    rounds = sum(name in history.subscribers for name in _CONTROLS)
    if unread <= 0 or len(grown) != 2 * rounds or _stream(history, _COMPANION) is None:
        return None
    both, beside = tuple(grown[:rounds]), tuple(grown[rounds:])
    return _Grown(both, beside, _size(reader), unread, looks[-1].time)


def _hoarded(grown: _Grown, stalled: Exchange) -> list[Finding]:
    """How much more memory the server took than for the same work while both read."""
    if grown.shows_nothing or not grown.is_hoarded:
        return []
    evidence = evidence_at(
        grown.seen,
        stalled.name,
        expected=f"about {_amounts(grown.both)} more, as for two who read",
        actual=f"{_amounts(grown.beside)} more",
    )
    return [
        Finding(
            f"the server's memory grew by {grown.more / 1e6:.2f} MB more than while both read; each time "
            f"{grown.told / 1e6:.2f} MB were told, of which {_size(stalled) / 1e6:.2f} MB were read",
            (evidence,),
        )
    ]


RULES = (stalled_reader,)
