"""Cancel: work that is stopped though nobody asked for that, because other work was cancelled or somebody else left.

It is explored: who comes and leaves when is not known beforehand.
"""

from collections.abc import Iterator

from conformance.dialect import Role
from conformance.history import Arrival, Exchange, History
from conformance.rules.cancel_looks import Places, is_cancelled, left_at, states
from conformance.rules.completion_fate import end_of, evidence_for, named
from conformance.rules.rule import Judgement, inconclusive, not_applicable, settle
from conformance.rules.streams import lasting
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
    """A request to cancel, a stream of other work, and what failure it was told of from then on."""
    for cancel in history.cancels:
        for stream in lasting(history):
            told = (each for each in stream.having(Role.FAILURE) if each.time >= cancel.requested.time)
            if not _was_left_alone(history, stream):
                yield cancel, stream, next(told, None)


def _was_left_alone(history: History, stream: Exchange) -> bool:
    """Whether this work may have been stopped because somebody left it, and nobody else was there."""
    if history.terms.expect.abandoned == "continues":
        return False
    places = Places(history)
    same = [each for each in history.streams if each.requested.names == stream.requested.names]
    for moment in filter(None, (left_at(history, each) for each in same)):
        if not any(
            places.of(each).early < moment.early and moment.late < places.of(each).late for each in same
        ):
            return True
    return False


def _leavings(history: History) -> Iterator[tuple[Exchange, Exchange, Arrival | None]]:
    """One who left, one who was there before and after that, and the failure that it was told of since then, where the
    state says that the work was cancelled: it may fail for reasons of its own."""
    places = Places(history)
    for left in lasting(history):
        moment = left_at(history, left)
        for stayed in lasting(history):
            ours = stayed.requested
            if (
                moment is None
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
            told = next(
                (each for each in stayed.having(Role.FAILURE) if each.time >= moment.early.time), None
            )
            cancelled = any(is_cancelled(history, look.value) for look in states(history, stayed))
            yield left, stayed, told if cancelled else None


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
