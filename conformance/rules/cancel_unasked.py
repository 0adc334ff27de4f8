"""Cancel: work that is stopped though nobody asked for that, because other work was cancelled or somebody else left.

It is explored: who comes and leaves when is not known beforehand. What fails may do so for reasons of its own, and work
that nobody watched for a moment may be stopped for that.
"""

import re
from collections.abc import Iterator

from conformance.dialect import Role
from conformance.history import Arrival, EventArrival, Exchange, History
from conformance.rules.cancel_looks import Moment, Places, is_cancelled, left_at, states
from conformance.rules.completion_fate import end_of, evidence_for, named
from conformance.rules.order_content import content
from conformance.rules.rule import Judgement, inconclusive, not_applicable, settle
from conformance.rules.streams import lasting, readable, was_cancelled
from reports.results import Finding


def stopped_unasked(history: History) -> Judgement:
    """Whether work that goes on has a subscriber, is not cancelled, and is stopped all the same."""
    streams = lasting(history)
    beside = [*_cancels_beside(history)]
    leaving = [*_leavings(history)]
    if not beside and not leaving:
        return not_applicable("nobody cancelled other work or left others alone")
    findings = [
        *(_after_a_cancel(cancel, stream, told) for cancel, stream, told in beside if told is not None),
        *(_after_a_leaving(left, stream, told) for left, stream, told in leaving if told is not None),
    ]
    if not findings and not any(stream.having(Role.COMPLETION) for stream in streams):
        return inconclusive("nobody who stayed saw the work complete")
    return settle(
        findings, len(beside) + len(leaving), "streams that others' leaving or cancelling might end"
    )


def _cancels_beside(history: History) -> Iterator[tuple[Exchange, Exchange, Arrival | None]]:
    """A request to cancel, a stream of other work, and by what it was told from then on that it was stopped."""
    for cancel in history.cancels:
        for stream in lasting(history):
            if stream.requested.names != cancel.requested.names and _was_watched(history, stream):
                yield cancel, stream, _stopped(history, stream, cancel.requested.time)


def _leavings(history: History) -> Iterator[tuple[Exchange, Exchange, Arrival | None]]:
    """One who left, one who was there before and after that, and by what it was told since then that the work was
    stopped."""
    places = Places(history)
    for left in lasting(history):
        moment = left_at(history, left)
        for stayed in lasting(history):
            ours = stayed.requested
            if (
                moment is None
                or not _was_watched(history, stayed)
                or ours.names != left.requested.names
                or ours.subscriber == left.requested.subscriber
            ):
                continue
            if (
                stayed.head is None
                or places.at(stayed.head) > moment.early
                or left_at(history, stayed) is not None
            ):
                continue
            yield left, stayed, _stopped(history, stayed, moment.early.time)


def _stopped(history: History, stream: Exchange, since: float) -> Arrival | None:
    """The failure that it was told of since then, where that means that the work was cancelled."""
    told = next((each for each in stream.having(Role.FAILURE) if each.time >= since), None)
    return told if told is not None and _means_cancelled(history, stream, told) else None


def _means_cancelled(history: History, stream: Exchange, told: Arrival) -> bool:
    """Whether the state says so; where it has no word for that, whether cancelled work was told the same."""
    if history.terms.status is not None and history.terms.status.cancelled:
        return any(is_cancelled(history, look.value) for look in states(history, stream))
    return any(
        _said(stream, told) == _said(other, each)
        for other in readable(history)
        if was_cancelled(history, other)
        for each in other.having(Role.FAILURE)
    )


def _said(stream: Exchange, told: Arrival) -> object:
    """What a failure says, but for what tells apart that it is of this work, or at this place in it."""
    if not isinstance(told, EventArrival):
        return None
    kind, data = content(stream.dialect, told)
    for name in stream.requested.names.values():
        data = data.replace(name, "")
    return kind, re.sub(r"\d+", "", data)


def _was_watched(history: History, stream: Exchange) -> bool:
    """Whether somebody else was there whenever one of those who watch this work left: else it may be stopped for
    that."""
    if history.terms.expect.abandoned == "continues":
        return True
    places = Places(history)
    same = [each for each in history.streams if each.requested.names == stream.requested.names]
    for gone in same:
        end = places.of(gone).late
        if gone is stream or end > places.of(stream).late:
            continue
        moment = left_at(history, gone) or Moment(end, end)
        if not any(
            each.head is not None
            and places.at(each.head) < moment.early
            and moment.late < places.of(each).late
            for each in same
        ):
            return False
    return True


def _after_a_cancel(cancel: Exchange, stream: Exchange, told: Arrival) -> Finding:
    return Finding(
        f"other work was cancelled at {end_of(cancel):.3f} s, and {stream.name} was told {named(stream, told)}",
        (evidence_for(stream, told, expected="its completion"),),
    )


def _after_a_leaving(left: Exchange, stream: Exchange, told: Arrival) -> Finding:
    return Finding(
        f"{left.name} left at {end_of(left):.3f} s, and {stream.name}, who stayed, was told {named(stream, told)}, "
        "though nobody had cancelled the work",
        (evidence_for(stream, told, expected="its completion"),),
    )
