"""Completion: whoever stays to the end is told that the work is over."""

from conformance.history import Exchange, History
from conformance.rules.completion_closing import clean_close, early_close_tolerated, server_closes
from conformance.rules.completion_events import end_marker, last, once
from conformance.rules.completion_failure import failure_reported
from conformance.rules.completion_fate import LATE, evidence_of, fate
from conformance.rules.completion_late import late_subscriber
from conformance.rules.completion_status import says_finished, status_agrees
from conformance.rules.completion_unanswered import waited, why_unanswered
from conformance.rules.rule import Judgement, inconclusive, rule, settle
from conformance.rules.scopes import LEFT, LINKS, PLAIN
from conformance.rules.streams import (
    from_the_beginning,
    is_shared,
    lasting,
    may_have_missed_all,
    nothing_to_read,
    was_cancelled,
)
from reports.results import Finding


@rule(
    "completion.delivered",
    claim="Every subscriber that stays to the end is told that the work is over.",
    why="The work completes and nobody hears of it: the page shows a spinner for ever, the client falls back to "
    "polling or gives up, and work that was done and paid for is done again.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage",
    mend="Append the completion to the stream's log before the stream may close, and end the response only when "
    "this subscriber was sent all of the log. Subscribe before the work starts, or replay what came before: a "
    "queue that nobody reads yet must not lose it. End the completion's block with an empty line, and flush it. "
    "Waiting some milliseconds before closing is no mend: a slow network takes longer.",
    scenarios=(*PLAIN, *LINKS, *LEFT),
    needs=("dialect.completion",),
)
def delivered(history: History) -> Judgement:
    findings: list[Finding] = []
    doubts: list[str] = []
    heard = 0
    for name, connections in history.subscribers.items():
        if name == LATE:
            continue  # `completion.late-subscriber` looks after those
        if was_cancelled(history, connections[0]):
            continue  # and `cancel.stream-told` after those
        if any(each.is_event_stream and each.completed is not None for each in connections):
            heard += 1
            continue
        outcome = _unheard(history, connections)
        if isinstance(outcome, Finding):
            findings.append(outcome)
        elif outcome:
            doubts.append(outcome)
    if not findings and not lasting(history):
        return nothing_to_read(history)
    if doubts and not findings:
        return inconclusive(doubts[0])
    if not findings and not heard:
        return inconclusive("no subscriber stayed to the end")
    return settle(findings, heard, "subscribers that were told")


def _unheard(history: History, connections: tuple[Exchange, ...]) -> Finding | str:
    """What to say of a subscriber that was not told: a finding, or a doubt; "" where it did not stay."""
    stream = connections[-1]
    outcome = fate(history, stream)
    doubt = "; coming back, ".join(f"{each.name} {fate(history, each).said}" for each in connections[-2:])
    match outcome.what:
        case "left" | "cut":
            return ""
        case "no-stream" if len(connections) > 1 and stream.head is not None and stream.head.status == 204:
            pass  # told not to come back any more
        case "unanswered" if not waited(history, stream):
            return doubt
        case "unanswered" if reason := why_unanswered(history, stream):
            return f"{doubt}; {reason}"
        case "ended" | "broken-off" | "silent" | "unanswered":
            if reason := _may_miss(history, connections, ended=outcome.what == "ended"):
                return f"{doubt}; {reason}"
        case _:
            return doubt
    words, evidence = says_finished(history, stream)
    return Finding(doubt + words, (evidence_of(stream, "an event that says the work is over"), *evidence))


def _may_miss(history: History, connections: tuple[Exchange, ...], *, ended: bool) -> str:
    """Why a subscriber may miss the completion by right; "" where it may not."""
    first, stream = connections[0], connections[-1]
    late = not from_the_beginning(history, first)
    if late and not is_shared(history):
        return "another subscriber had been there before, and expect.shared is not declared"
    if not ended:
        return ""
    # where schedules are explored, also who has had events may come back too late for the rest
    explored = history.scenario == "explore"
    came, seen = (stream, ()) if explored else (first, connections)
    if may_have_missed_all(history, came) and not any(each.events for each in seen):
        return 'it came late, and expect.replay is not "all"'
    if "expect.resumable" in history.terms.declared and stream.events:
        return "as the stream is resumable, a client would come back for the rest, which was not tried here"
    return ""


RULES = (
    delivered,
    once,
    last,
    end_marker,
    server_closes,
    clean_close,
    late_subscriber,
    status_agrees,
    failure_reported,
    early_close_tolerated,
)
