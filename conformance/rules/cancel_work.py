"""Cancel: work that is cancelled stops, and so does work that nobody watches any more, or it goes on, as promised."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance.dialect import Role
from conformance.history import ACTIVE, EventArrival, Exchange, History
from conformance.pointer import ABSENT
from conformance.rules.cancel_looks import (
    Look,
    Moment,
    Places,
    active_before,
    against,
    evidence_from,
    gauge,
    is_cancelled,
    is_over,
    left_at,
    states,
    unclear,
    unseen_state,
)
from conformance.rules.cancel_request import was_accepted
from conformance.rules.completion_fate import end_of, evidence_for, named
from conformance.rules.order_content import told
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.stalls import room
from reports.results import Finding

_CANCEL = "cancel"
_NOT_CHANCE = 2  # events after the end that the status tells of: one alone may be a word about it


@dataclass(frozen=True)
class _Stop:
    """What should have stopped the work: when, in words, and somebody who watched it."""

    since: Moment
    said: str
    stream: Exchange


@rule(
    "cancel.work-stops",
    claim="Work stops within limits.cancellation after it was cancelled; and, where expect.abandoned says so, after "
    "its last subscriber has left.",
    why="Work that goes on for nobody takes a worker, memory and, where it asks a model or a database, money; the "
    "user who pressed stop believes that it has stopped.",
    source="https://docs.python.org/3/library/asyncio-task.html#task-cancellation",
    mend="Keep the task (or the AbortController, or the context) that does the work with the stream, and cancel it "
    "in the finally of the stream's body; pass it on to whatever the work calls. Await it afterwards, and let "
    "nothing in it swallow the cancellation. Where only a write would notice, see cancel.noticed.",
    scenarios=("cancel", "abandoned"),
    timing=True,
)
def work_stops(history: History) -> Judgement:
    stop = _cancelled(history) if history.scenario == _CANCEL else _abandoned(history)
    if isinstance(stop, Judgement):
        return stop
    limit = history.terms.limits.cancellation
    looks, over = _looks(history, stop.stream)
    if not looks:
        return _by_its_events(history, stop, limit)
    before = [look for look in looks if look.answered < stop.since.early]
    if before and over(before[-1]):
        return inconclusive(f"the work had ended before {stop.said}")
    outcome = against(stop.since, limit, looks, over)
    if outcome.last is not None and outcome.what == "late":
        return settle([_goes_on(stop, outcome.last, limit)], 0, "")
    if outcome.first is None or outcome.what == "unclear":
        return inconclusive(unclear(outcome, stop.since, limit, "the work had stopped"))
    state = outcome.first.value
    if _ended_by_itself(history, state):
        return inconclusive(
            f"the work had ended as {state!r} before it could be seen to stop: let target.variants."
            f"{'long' if history.scenario == _CANCEL else 'abandoned'} start work that takes longer than {limit:g} s"
        )
    if len(late := _events_after(history, stop, limit)) >= _NOT_CHANCE:
        said = f"the status endpoint said {outcome.first.value!r} at {outcome.first.answered.time:.3f} s"
        return settle([_told_on(stop, late[-1], limit, f"; {said}")], 0, "")
    return settle((), 1, "times that the work was seen to stop")


@rule(
    "cancel.work-survives",
    claim='Where expect.abandoned is "continues", work goes on to its end when its last subscriber has left.',
    why="A closed laptop or a tunnel ends a connection, not the order: whoever comes back finds work that was thrown "
    "away, or that is said to be running and never ends, because it died with the request that began it.",
    source="https://starlette.dev/background/",
    mend="Let the work belong to the service and not to the request: start it in a task group, a queue or a worker "
    "that outlives the response, and let the stream only read what it tells.",
    scenarios=("abandoned",),
    needs=("expect.abandoned",),
)
def work_survives(history: History) -> Judgement:
    if history.terms.expect.abandoned != "continues":
        return not_applicable('expect.abandoned is "stops": see cancel.work-stops')
    stop = _left(history)
    if isinstance(stop, Judgement):
        return stop
    limit = history.terms.limits.completion
    looks = states(history, stop.stream)
    if not looks:
        return inconclusive(unseen_state(history, stop.stream))
    if any(is_over(history, look.value) for look in looks if look.answered < stop.since.early):
        return inconclusive(f"the work had ended before {stop.said}")
    outcome = against(stop.since, limit, looks, lambda look: is_over(history, look.value))
    if outcome.last is not None and outcome.what == "late":
        passed = outcome.last.asked.time - stop.since.late.time
        message = (
            f"the work was still {outcome.last.value!r} {passed:.3g} s after {stop.said}, and did not end within "
            f"limits.completion ({limit:g} s)"
        )
        return settle([Finding(message, (evidence_from(outcome.last, expected="its end"),))], 0, "")
    if outcome.first is None or outcome.first.value is ABSENT:
        return inconclusive("nobody saw how the work ended")
    if is_cancelled(history, outcome.first.value):
        message = f"the work was {outcome.first.value!r} after {stop.said}, though nobody had cancelled it"
        return settle([Finding(message, (evidence_from(outcome.first),))], 0, "")
    return settle((), 1, "pieces of work that went on without a subscriber")


def _cancelled(history: History) -> _Stop | Judgement:
    answer = next((each for each in history.exchanges if each.requested.purpose == "cancel"), None)
    if answer is None:
        return inconclusive("nobody cancelled the work")
    if not was_accepted(answer):
        return inconclusive("the request to cancel was not accepted: see cancel.acknowledged")
    stream = next((each for each in history.streams if each.requested.names == answer.requested.names), None)
    if stream is None:
        return inconclusive("nobody watched the work that was cancelled")
    since = Places(history).of(answer)
    return _Stop(since, f"the request to cancel it was answered at {since.late.time:.3f} s", stream)


def _abandoned(history: History) -> _Stop | Judgement:
    if "expect.abandoned" not in history.terms.declared:
        return not_applicable("needs expect.abandoned in the configuration")
    if history.terms.expect.abandoned != "stops":
        return not_applicable('expect.abandoned is not "stops"')
    return _left(history)


def _left(history: History) -> _Stop | Judgement:
    """The leaving of the last subscriber."""
    last = max(history.streams, key=end_of, default=None)
    if last is None or not last.is_event_stream:
        return inconclusive("nobody could subscribe to the work")
    since = left_at(history, last)
    if since is None:
        return inconclusive(f"the last subscriber did not leave: its stream ended by itself ({last.how})")
    return _Stop(since, f"its last subscriber had left at {since.late.time:.3f} s", last)


def _looks(history: History, stream: Exchange) -> tuple[Sequence[Look], Callable[[Look], bool]]:
    """Looks at whether the work has ended, and how they tell."""
    if found := _until_somebody_returns(history, states(history, stream)):
        return found, lambda look: is_over(history, look.value)
    before = active_before(history)
    if before is None or history.scenario == _CANCEL:  # a gauge counts other scenarios' work, too
        return (), lambda _: False
    return gauge(history, ACTIVE), lambda look: bool(look.value <= before)


def _until_somebody_returns(history: History, looks: Sequence[Look]) -> Sequence[Look]:
    """The looks before anybody came back, who might set the work going again."""
    back = next((each for each in history.streams if each.requested.subscriber == "back"), None)
    if back is None:
        return looks
    came = Places(history).at(back.requested)
    return [look for look in looks if look.asked < came]


def _ended_by_itself(history: History, state: object) -> bool:
    """Whether the state tells of another end than that the work was cancelled."""
    terms = history.terms.status
    return (
        isinstance(state, str | bool | int)
        and terms is not None
        and bool(terms.cancelled)
        and is_over(history, state)
        and not is_cancelled(history, state)
    )


def _by_its_events(history: History, stop: _Stop, limit: float) -> Judgement:
    """Where nothing but its stream tells of the work: events long after it should have stopped were made then."""
    late = _events_after(history, stop, limit)
    if not late:
        return inconclusive(unseen_state(history, stop.stream))
    return settle([_told_on(stop, late[-1], limit)], 0, "")


def _events_after(history: History, stop: _Stop, limit: float) -> list[EventArrival]:
    """The events of the work, but for those that tell of its end, that were made when it had long to be over."""
    patience = limit + history.terms.limits.delivery + room(history)
    ends = {Role.COMPLETION, Role.FAILURE, Role.END}
    return [
        each
        for each in told(stop.stream)
        if each.role not in ends and patience < each.left_server - stop.since.late.time < math.inf
    ]


def _told_on(stop: _Stop, last: EventArrival, limit: float, but: str = "") -> Finding:
    message = (
        f"{named(stop.stream, last)} came {last.left_server - stop.since.late.time:.3g} s after {stop.said} "
        f"(limits.cancellation: {limit:g} s){but}"
    )
    return Finding(message, (evidence_for(stop.stream, last, expected="no more of the work"),))


def _goes_on(stop: _Stop, last: Look, limit: float) -> Finding:
    counted = isinstance(last.value, float)
    said = f"{last.value:g} active" if counted else repr(last.value)
    return Finding(
        f"the work was still {said} {last.asked.time - stop.since.late.time:.3g} s after {stop.said} "
        f"(limits.cancellation: {limit:g} s)",
        (
            evidence_at(stop.since.late.time, stop.stream.name, actual=stop.said),
            evidence_from(
                last,
                expected="the work has stopped" if counted else "a state that target.status.finished names",
            ),
        ),
    )
