"""What the streams speak for in `[expect]`: how they end, and what a second and a returning subscriber are told.

Two requests that are told the same may be two subscribers of one stream, or each may have begun work of its own that
does the same. Time tells: of one stream both hear at the same moment, of two each at its own pace.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final, TypeAlias

from conformance.dialect import Role
from conformance.history import EventArrival, Exchange, History
from conformance.proposal.entries import BACK, FIRST, SECOND, Entry, Value
from reports.outcome import plural
from reports.text import line, seconds

_Told: TypeAlias = tuple[str, str, str | None]

_APART: Final = 0.2  # seconds between two requests, below which times tell nothing
_SAME_MOMENT: Final = 0.05  # seconds between the arrivals of one event at two subscribers on a busy machine
_LAST_ONES: Final = 0.25  # seconds: what came so shortly before the end of the other one may have missed it
_ENOUGH: Final = 2  # events that both must have heard
_SINCE: Final = 2  # events that may have come between the end of the first subscriber and the return


def guess_expect(history: History) -> tuple[Entry, ...]:
    """The entries of `[expect]`, in the order of the file. The history is read in the dialect that was guessed."""
    named = {stream.requested.subscriber: stream for stream in history.streams}
    first = named.get(FIRST)
    if first is None or not first.is_event_stream:
        return ()
    second, back = named.get(SECOND), named.get(BACK)
    shared = _shared(first, second)
    resumable = _resumable(first, second, back)
    return (
        _events(first, second),
        _terminates(first, second),
        resumable,
        _replay(first, second, shared, resumable),
        shared,
    )


def _entry(key: str, value: Value, reason: str, *, guessed: bool = False) -> Entry:
    return Entry("expect", key, value, reason, guessed)


def _content(arrival: EventArrival) -> _Told:
    return arrival.event.type, arrival.event.data, arrival.event.id


def _told(stream: Exchange) -> list[_Told]:
    return [_content(each) for each in stream.told]


def _counted(stream: Exchange) -> int:
    """How many events `expect.events` would count: the completion is one, what comes after is not."""
    end = stream.completed
    return sum(each.role is not Role.END and (end is None or each.time <= end.time) for each in stream.told)


def _is_whole(stream: Exchange) -> bool:
    return stream.how == "complete" and stream.completed is not None


def _events(first: Exchange, second: Exchange | None) -> Entry:
    count = max(1, _counted(first))
    if first.how == "complete" and first.completed is None:
        return _entry(
            "events", count, "so many came; with dialect.completion it can be told which of them counts last"
        )
    if not _is_whole(first):
        return _entry(
            "events", count, "the stream was not seen to complete, so nobody knows how many there are"
        )
    assert first.completed is not None
    if first.completed.role is Role.FAILURE:
        return _entry("events", count, "so many came until the failure; work that completes may tell more")
    if second is not None and _is_whole(second) and _told(first) == _told(second):
        why = f"two subscribers were told the same {count}, completion included"
        return _entry("events", count, why, guessed=True)
    why = "so many came, completion included; nothing says that there are as many each time"
    return _entry("events", count, why)


def _terminates(first: Exchange, second: Exchange | None) -> Entry:
    last = first.told[-1] if first.told else None
    ended = first.ended.time if first.ended else 0.0
    if first.how == "complete" and first.completed is not None and last is not None:
        end = "the completion" if last.role is not Role.END else "the end marker"
        if second is not None and second.completed is not None and second.how == "timeout":
            return _entry(
                "terminates", True, "the first response ended after the completion, the second did not"
            )
        why = f"the response ended {seconds(ended - last.time)} after {end}"
        if ended - last.time > first.limits.close / 2:
            return _entry(
                "terminates", True, f"{why}, which is late: limits.close is {first.limits.close:g} s"
            )
        return _entry("terminates", True, why, guessed=True)
    if first.how == "complete":
        after = f"{seconds(ended - last.time)} after the last event" if last else "without an event"
        why = f"the response ended {after}; with dialect.completion it can be told whether that is as it should be"
        return _entry("terminates", True, why)
    if first.how in {"watched", "timeout", "dropped", "body-limit"}:
        over = first.completed
        since = f"{seconds(ended - over.time)} after the completion" if over else "when it was left"
        return _entry("terminates", True, f"the response was still open {since}")
    return _entry("terminates", True, f"the response did not end properly: {_how(first)}")


def _how(stream: Exchange) -> str:
    return line((stream.ended.detail or stream.ended.how) if stream.ended else "the record stops", 100)


def _refused(stream: Exchange, who: str) -> str | None:
    """Why somebody was not let into the stream; None: it was."""
    if stream.is_event_stream:
        return None
    if stream.head is None:
        return f"{who} got no response ({_how(stream)})"
    return f"{who} was answered {stream.head.status}"


def _shared(first: Exchange, second: Exchange | None) -> Entry:
    why = _why_not_shared(first, second)
    if why is None:
        return _entry("shared", True, "two subscribers were told the same at the same moments", guessed=True)
    return _entry("shared", True, why)


def _why_not_shared(first: Exchange, second: Exchange | None) -> str | None:
    """Why two subscribers may not have had one and the same stream; None: they had."""
    if second is None:
        return "there was no event by which two subscribers could be compared"
    if first.ended is not None and first.ended.time <= second.requested.time:
        return "the stream was over before a second subscriber could join: begin longer work, and look while it runs"
    if (refused := _refused(second, "a second subscriber")) is not None:
        return refused
    assert second.head is not None
    ends = [stream.ended.time for stream in (first, second) if stream.ended is not None]
    end = min(ends, default=second.head.time)
    here = [each for each in first.told if second.head.time < each.time <= end - _LAST_ONES]
    due = [_content(each) for each in here]
    there = {_content(each): each.time for each in second.told}
    mine = {_content(each): each.time for each in first.told}
    if len(there) < len(second.told) or len(mine) < len(first.told):
        return "some events are the same as others, so it cannot be told which of them two subscribers had in common"
    common = [each for each in due if each in there]
    if due and not common:
        return "a second subscriber was told other events meanwhile"
    if len(common) < len(due):
        return f"a second subscriber missed {len(due) - len(common)} of {plural(len(due), 'event')} that came meanwhile"
    if len(common) < _ENOUGH:
        more = (
            "begin longer work, and look while it runs"
            if first.how == "complete"
            else "--duration looks longer"
        )
        return f"while two subscribers read came {plural(len(common), 'event')}, too few to compare: {more}"
    times = [there[each] for each in common]
    if any(after < before for before, after in pairwise(times)):
        return "two subscribers were told the same in another order"
    strange = [each for each in second.told if _content(each) not in mine and each.time <= end - _LAST_ONES]
    if strange:
        return f"a second subscriber was told {plural(len(strange), 'event')} that the first one was not"
    apart = second.requested.time - first.requested.time
    off = max(abs(there[each] - mine[each]) for each in common)
    if apart < _APART:
        return "the two subscribers came at the same moment, which does not tell one stream from two"
    if off > _tolerance(here, apart):
        return (
            f"a second subscriber was told the same, but not at the same moment ({seconds(off)} apart): "
            "each request may begin work of its own"
        )
    return None


def _tolerance(events: Sequence[EventArrival], apart: float) -> float:
    """How far apart (seconds) the two arrivals of one event may be. Less than half a step, by which who ticks for each
    subscriber is out of step, and less than they came apart."""
    step = median(after.time - before.time for before, after in pairwise(events))
    return min(apart / 4, max(_SAME_MOMENT, step / 5))


def _resumable(first: Exchange, second: Exchange | None, back: Exchange | None) -> Entry:
    why, guessed = _resumed(first, second, back)
    return _entry("resumable", True, why, guessed=guessed)


def _resumed(first: Exchange, second: Exchange | None, back: Exchange | None) -> tuple[str, bool]:
    if back is None:
        ids = Counter(each.event.id for each in first.told if each.event.id)
        if not ids:
            return "no event has an id to come back with", False
        return "nobody could come back with an id from the middle of the stream", False
    event_id = line(back.came_with or "", 40)
    if (refused := _refused(back, f"a subscriber that came back with the id {event_id}")) is not None:
        return refused, False
    told, got = _told(first), _told(back)
    places = [at for at, each in enumerate(first.told) if each.event.id == back.came_with]
    if len(places) != 1:
        return f"the id {event_id} names several events", False
    due = told[places[0] + 1 :]
    if not got:
        return (
            f"a subscriber that came back with the id {event_id} was told nothing in {seconds(_watched(back))}",
            False,
        )
    if not due or got[: len(due)] != due[: len(got)]:
        again = (
            "was told the stream from its beginning"
            if got[0] == told[0]
            else "was not told what comes after it"
        )
        return f"a subscriber that came back with the id {event_id} {again}", False
    if second is not None and _keeps(first, second, len(due)):
        as_anybody = "got what follows it, but about as many events as anybody gets who comes"
        return f"a subscriber that came back with the id {event_id} {as_anybody}", False
    return (
        f"a subscriber that came back with the id {event_id} got what follows it, and nothing before it",
        True,
    )


def _keeps(first: Exchange, second: Exchange, due: int) -> bool:
    """Whether anybody who comes may be told about so many of the last events, be the id what it is."""
    if not second.told or _content(second.told[0]) == _content(first.told[0]):
        return False
    return 0 <= _replayed(first, second) - due <= _SINCE


def _watched(stream: Exchange) -> float:
    return stream.ended.time - stream.requested.time if stream.ended else 0.0


def _past(first: Exchange, second: Exchange) -> list[_Told]:
    """What the first subscriber had been told when the second one came."""
    return [_content(each) for each in first.told if each.time <= second.requested.time]


def _replayed(first: Exchange, second: Exchange) -> int:
    """How many of those the second subscriber was told, too."""
    return len({*_past(first, second)} & {*_told(second)})


def _replay(first: Exchange, second: Exchange | None, shared: Entry, resumable: Entry) -> Entry:
    if not shared.guessed or second is None:
        return _entry(
            "replay", "all", "what a late subscriber is told, once the stream is known to be shared"
        )
    past, replayed = _past(first, second), _replayed(first, second)
    if not replayed and len(past) >= _ENOUGH:
        value = "since-id" if resumable.guessed else "none"
        why = f"a late subscriber was told none of the {len(past)} events that were told before it came"
        if first.how == "complete":  # a run would wait for what was told already
            why = f"{why}; the stream is over now, so a run needs target.start, which begins another"
        return _entry("replay", value, why, guessed=True)
    if len(past) < _ENOUGH or _told(second)[: len(past)] != past:
        return _entry(
            "replay",
            "all",
            f"of {plural(len(past), 'event')} that were told before it came, a late subscriber was told {replayed}",
        )
    why = f"a late subscriber was told all {len(past)} events that were told before it came"
    if first.how != "complete":
        return _entry("replay", "all", f"{why}; but of a stream without end nobody keeps all")
    return _entry("replay", "all", why, guessed=True)
