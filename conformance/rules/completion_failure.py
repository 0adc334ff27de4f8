"""Completion: work that fails is over too, and says so."""

from typing import Any

from conformance.dialect import Role
from conformance.history import EventArrival, Exchange, History
from conformance.rules.completion_fate import evidence_for, evidence_of, fate, named
from conformance.rules.completion_status import says_finished
from conformance.rules.http_seen import status_of
from conformance.rules.order_content import told
from conformance.rules.refusals import failed, refused
from conformance.rules.rule import Judgement, inconclusive, not_applicable, rule, settle
from reports.results import Finding

_ERROR_KEYS = frozenset({"error", "errors", "exception", "failure", "err"})
_OUTCOME_KEYS = frozenset(
    {
        "state",
        "status",
        "type",
        "event",
        "outcome",
        "result",
        "reason",
        "code",
        "finish_reason",
        "finishreason",
    }
)
_ERROR_WORDS = ("fail", "error", "abort", "cancel", "crash", "exception")
_DEPTH = 4


@rule(
    "completion.failure-reported",
    claim="When the work fails, the stream says so.",
    why="A stream that just ends looks like a broken network: the client comes back, again and again, or shows half "
    "an answer as a whole one. The status can say it no more, for 200 was sent long ago.",
    source="https://docs.anthropic.com/en/api/messages-streaming",
    mend="Catch the exception where the work runs, not where it is streamed: publish a failure event with a message "
    "for the user, then end the stream as after a completion. In a generator, yield it in the except block before "
    "returning; an exception that leaves the generator only cuts the response off.",
    scenarios=("failing-job",),
)
def failure_reported(history: History) -> Judgement:
    declared = set(history.terms.declared)
    if not declared & {"dialect.failure", "dialect.completion"}:
        return not_applicable("needs dialect.failure or dialect.completion in the configuration")
    findings: list[Finding] = []
    doubts: list[str] = []
    heard = 0
    for connections in history.subscribers.values():
        final = (each for each in connections if each.is_event_stream and each.completed is not None)
        stopped = len(connections) > 1 and status_of(connections[-1]) == 204
        outcome = _judged(history, next(final, connections[-2 if stopped else -1]), stopped)
        if isinstance(outcome, Finding):
            findings.append(outcome)
        elif outcome:
            doubts.append(outcome)
        else:
            heard += 1
    if doubts and not findings:
        return inconclusive(doubts[0])
    return settle(findings, heard, "subscribers that heard of the failure")


def _judged(history: History, stream: Exchange, stopped: bool) -> Finding | str:
    """What to say of one subscriber: a finding, a doubt, or "" where it heard of the failure. `stopped`: when it came
    back it was answered with 204, which tells an event source to stop, and tells nobody why."""
    if refused(stream) or failed(stream):
        return ""  # told before the stream began
    outcome = fate(history, stream)
    knows = "dialect.failure" in history.terms.declared
    if outcome.what == "completed":
        return _completed(stream, knows)
    if not knows and (hint := _unknown_failure(stream)):
        return f"{stream.name} {outcome.said}; {named(stream, hint)} may tell of the failure: declare dialect.failure"
    comes_back = not stopped and "expect.resumable" in history.terms.declared and bool(told(stream))
    if outcome.what not in {"ended", "broken-off", "silent"} or (outcome.what == "ended" and comes_back):
        return f"{stream.name} {outcome.said}"
    words, evidence = says_finished(history, stream)
    back = "; it came back, and got 204" if stopped else ""
    return Finding(
        f"the work failed and nobody was told: {stream.name} {outcome.said}{back}{words}",
        (evidence_of(stream, "an event that says that the work failed"), *evidence),
    )


def _completed(stream: Exchange, knows: bool) -> Finding | str:
    final = stream.completed
    if final is None or stream.having(Role.FAILURE):
        return ""
    if isinstance(final, EventArrival) and _tells_of_error(final):
        return ""
    if hint := _unknown_failure(stream):
        return f"{named(stream, hint)} may tell of the failure, but is none by dialect.failure"
    if not knows:
        return "a completion came, and dialect.failure is not declared: no telling what a failure looks like"
    return Finding(
        f"the work failed and {stream.name} was told that it is complete: {named(stream, final)} at {final.time:.3f} s",
        (
            evidence_for(
                stream, final, expected="an event that matches dialect.failure", actual="a completion"
            ),
        ),
    )


def _unknown_failure(stream: Exchange) -> EventArrival | None:
    return next((each for each in told(stream) if _tells_of_error(each)), None)


def _tells_of_error(arrival: EventArrival) -> bool:
    """Whether an event looks as if it told of an error, whatever the dialect."""
    return _is_error_word(arrival.event.type) or _holds_error(arrival.parsed.json, _DEPTH)


def _holds_error(value: Any, depth: int) -> bool:
    if not isinstance(value, dict) or depth == 0:
        return False
    return any(
        (key.lower() in _ERROR_KEYS and bool(inner))
        or (key.lower() in _OUTCOME_KEYS and isinstance(inner, str) and _is_error_word(inner))
        or _holds_error(inner, depth - 1)
        for key, inner in value.items()
    )


def _is_error_word(text: str) -> bool:
    return any(word in text.lower() for word in _ERROR_WORDS)
