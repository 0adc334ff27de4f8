"""Completion: whoever comes late is told too, or is told that there is nothing to come for."""

from conformance.dialect import Role
from conformance.history import EventArrival, Exchange, History
from conformance.rules.completion_fate import LATE, answer_of, evidence_of, fate, named
from conformance.rules.order_content import content, label, listed, number, told
from conformance.rules.refusals import failed, refused
from conformance.rules.rule import Judgement, broken, inconclusive, not_applicable, rule, settle
from reports.outcome import plural
from reports.results import Finding

_ALL = 'expect.replay = "all"'


@rule(
    "completion.late-subscriber",
    claim="A subscriber that comes late gets what expect.replay promises, and is never left waiting for a completion "
    "that has passed.",
    why="The work may be quicker than the client: between the request that starts it and the one that subscribes, "
    "everything can be over. Whoever then finds an empty queue and an open stream waits for ever.",
    source="https://github.com/frankbria/codeframe/issues/757",
    mend="Subscribe first, then look whether the work is over, and if so send its completion from the state; or keep "
    "the events in a log and replay it to everybody who comes. Where nothing is kept, answer 404, 410 or 204 for "
    "work that is over. Waiting before the work starts does not help: a slow client comes later.",
    scenarios=("late-subscriber", "after-completion"),
    needs=("dialect.completion", "expect.shared"),
)
def late_subscriber(history: History) -> Judgement:
    late = next(iter(history.subscribers.get(LATE, ())), None)
    first = next((each for each in history.streams if each.requested.subscriber != LATE), None)
    if late is None or first is None:
        return inconclusive("no subscriber came late")
    if not first.is_event_stream or first.completed is None:
        return inconclusive(
            f"the first subscriber saw no completion: {first.name} {fate(history, first).said}"
        )
    after = first.completed.time <= late.requested.time
    came = "after the completion" if after else "in the middle of the stream"
    if late.is_event_stream and late.completed is not None:
        return _compared(history, first, late, came)
    outcome = fate(history, late)
    promised = history.terms.expect.replay == "all"
    doubt = f"{late.name} came {came} and {outcome.said}"
    finding = Finding(
        doubt, (evidence_of(late, _ALL if promised else "the completion, or an answer that says no"),)
    )
    match outcome.what:
        case "no-stream":
            return _answered(late, finding, promised)
        case "unanswered" | "silent":
            return broken([finding])
        case "ended" if promised or (not after and told(late)):
            return broken([finding])
        case "ended":
            return settle((), 1, "answer: the stream was ended")
        case "broken-off" if promised:
            return broken([finding])
        case "unknown" if late.how == "watched" and not promised:
            return not_applicable(f'the stream goes on for ever and expect.replay is not "all": {doubt}')
        case _:
            return inconclusive(doubt)


def _answered(late: Exchange, finding: Finding, promised: bool) -> Judgement:
    """An answer other than a stream. It is a proper one where nothing was promised."""
    status = late.head.status if late.head else 0
    if failed(late) or (status == 200 and not refused(late)):
        return inconclusive(f"{late.name} was answered with {answer_of(late)}")  # `http` has its say
    return broken([finding]) if promised else settle((), 1, f"answer: {answer_of(late)}")


def _compared(history: History, first: Exchange, late: Exchange, came: str) -> Judgement:
    """It was told of the completion; where everything was promised, it must have got everything."""
    if history.terms.expect.replay != "all":
        return settle((), 1, "completion")
    lost = _lost(history, first, late)
    if lost is None:
        return inconclusive("the events have neither numbers nor ids, and expect.events is not declared")
    if not lost:
        return settle((), len(told(late)), "events")
    return broken(
        [
            Finding(
                f"{late.name} came {came} and never got {lost} ({_ALL}); "
                f"the first that it got was {named(late, told(late)[0])}",
                (evidence_of(late, f"all of {plural(len(told(first)), 'event')} that {first.name} had got"),),
            )
        ]
    )


def _lost(history: History, first: Exchange, late: Exchange) -> str | None:
    """What the late subscriber did not get, in words; "" for nothing, None where there is no telling.

    Events without a number (or an id) do not count: they may be heartbeats that nobody declared.
    """
    for key in (_number, _id):
        got = {key(late, each) for each in told(late)} - {None}
        missing = [each for each in told(first) if key(first, each) not in {None, *got}]
        if got:
            return listed(label(first.dialect, each) for each in missing)
    expected = history.terms.expect.events
    count = sum(each.role is not Role.END for each in told(late))
    if expected is not None and count < expected:
        return f"more than {count} of the {expected} events of expect.events"
    if expected is not None or {content(late.dialect, each) for each in told(late)} >= {
        content(first.dialect, each) for each in told(first)
    }:
        return ""
    return None


def _number(stream: Exchange, each: EventArrival) -> object:
    return number(stream.dialect, each)


def _id(_: Exchange, each: EventArrival) -> object:
    return each.event.id or None
