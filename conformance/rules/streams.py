"""Which of a history's exchanges rules of streams look at, and which of them read one and the same stream."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from conformance.history import Exchange, History
from conformance.rules.refusals import refused
from conformance.rules.rule import Judgement, inconclusive, not_applicable

Key: TypeAlias = tuple[object, ...]


def readable(history: History) -> tuple[Exchange, ...]:
    """The streams that a client would read as event streams; those that were answered otherwise are `http`'s."""
    return tuple(stream for stream in history.streams if stream.is_event_stream)


def was_cancelled(history: History, stream: Exchange) -> bool:
    """Whether somebody asked to cancel the work of this stream, and was not turned away."""
    return any(
        each.requested.names == stream.requested.names and not refused(each) for each in history.cancels
    )


def lasting(history: History) -> tuple[Exchange, ...]:
    """Those of the readable whose work nobody cancelled, so that it is due to its end."""
    return tuple(stream for stream in readable(history) if not was_cancelled(history, stream))


def nothing_to_read(history: History) -> Judgement:
    """The judgement where nothing is `readable`, or `lasting`, with the reason."""
    if readable(history):
        return inconclusive("the work was cancelled: see cancel.stream-told")
    heads = [stream.head for stream in history.streams if stream.head is not None]
    if any(head.status == 200 for head in heads):
        return not_applicable("the response is no event stream")
    if heads:
        return not_applicable(f"the stream was answered with status {heads[0].status}")
    told = next((stream for stream in history.streams if stream.ended and stream.ended.detail), None)
    return inconclusive(no_response(told) if told else "no response")


def no_response(stream: Exchange) -> str:
    """How a request ended that got none, in words: `no response head within 5 s`, or `no response (the connection was
    reset)`."""
    detail = (stream.ended.detail or stream.ended.how) if stream.ended else "the record stops"
    return detail if detail.startswith("no response") else f"no response ({detail})"


def is_shared(history: History) -> bool:
    """Whether several subscribers of one stream are told the same, as `expect.shared` has it."""
    return "expect.shared" in history.terms.declared


def same_stream(history: History, stream: Exchange) -> Key:
    """What two requests have in common if they ask for the same stream, whether they open it or come back to it.

    Of a shared stream that is what names the work: each request for it may hold a name of its own (`{exchange}`)."""
    opening = stream.opening
    if opening.names and is_shared(history):
        return tuple(sorted(opening.names.items()))
    return opening.method, opening.url, opening.body, tuple(sorted(opening.names.items()))


def groups(history: History, streams: Iterable[Exchange]) -> tuple[tuple[Exchange, ...], ...]:
    """The streams by what they ask for, in order."""
    found: dict[Key, list[Exchange]] = {}
    for stream in streams:
        found.setdefault(same_stream(history, stream), []).append(stream)
    return tuple(tuple(group) for group in found.values())


def pairs(history: History, streams: Sequence[Exchange]) -> Iterable[tuple[Exchange, Exchange]]:
    """Every two connections of different subscribers to the same stream, the earlier one first."""
    for group in groups(history, streams):
        for index, one in enumerate(group):
            for other in group[index + 1 :]:
                if one.requested.subscriber != other.requested.subscriber:
                    yield one, other


def resumes(stream: Exchange) -> bool:
    """Whether the subscriber says that it has been there before."""
    return stream.came_with is not None


def from_the_beginning(history: History, stream: Exchange) -> bool:
    """Whether the subscriber was there when the stream began: nothing of it was seen before by anybody.

    Without names of its own and without `expect.shared`, every request begins a stream.
    """
    if resumes(stream):
        return False
    if not stream.requested.names and not is_shared(history):
        return True
    asked = stream.requested.time
    earlier = [
        each
        for each in history.streams
        if each is not stream
        and same_stream(history, each) == same_stream(history, stream)
        and each.requested.time <= asked
    ]
    return not any(
        (each.ended is not None and each.ended.time <= asked)
        or any(event.left_server <= asked for event in each.all_events)
        for each in earlier
    )


def may_have_missed_all(history: History, stream: Exchange) -> bool:
    """Whether a response that ended without an event may be right: it came late, and nothing is replayed. Where
    schedules hold up who comes, anybody may be late for work that was begun by a request of its own. Who comes back
    with an ID is sent what it has missed, where that is promised."""
    if resumes(stream) and "expect.resumable" in history.terms.declared:
        return False
    explored = history.scenario == "explore" and bool(stream.requested.names)
    late = explored or not from_the_beginning(history, stream)
    return late and history.terms.expect.replay != "all" and not stream.events
