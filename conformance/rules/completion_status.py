"""Completion: what the status endpoint says must be what the stream said."""

from typing import Any

from conformance.history import Arrival, Exchange, History
from conformance.pointer import ABSENT, resolve
from conformance.rules.completion_fate import (
    end_of,
    evidence_for,
    evidence_of,
    fate,
    named,
    severed,
)
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.streams import lasting, may_have_missed_all, nothing_to_read, was_cancelled
from reports.results import Evidence, Finding


@rule(
    "completion.status-agrees",
    claim="The status endpoint says that the work is finished once the stream has said so, or no later than "
    "limits.status, and not unless it has.",
    why="Whoever falls back to polling waits for an end that was already told, or fetches a result that is not "
    "there yet; and when the status says finished while the stream is silent, its subscribers wait for nothing.",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#section-15.3.3",
    mend="Change the state before the completion is published, in one step and without a wait in between, and let "
    "both come from one place: the code that ends the work sets the state and appends the event. Where the state is "
    "read from a copy that follows later, and clients know of that, limits.status says how much later.",
    scenarios=("subscribe", "after-completion", "failing-job"),
    needs=("target.status.pointer", "target.status.finished", "dialect.completion"),
)
def status_agrees(history: History) -> Judgement:
    if not lasting(history):
        return nothing_to_read(history)
    answers = [
        each
        for each in history.exchanges
        if each.requested.purpose == "status" and not was_cancelled(history, each)
    ]
    if not answers:
        return inconclusive("the status was not asked")
    findings: list[Finding] = []
    doubts: list[str] = []
    agreed = 0
    for answer in answers:
        state = state_of(history, answer)
        if state is ABSENT:
            doubts.append(_unreadable(history, answer))
            continue
        for stream in _before(history, answer):
            told = _told_before(stream, answer)
            if told is not None and not is_finished(history, state) and _may_lag(history, told, answer):
                doubts.append("the status was asked only while it may lag behind the stream (limits.status)")
            elif told is not None and not is_finished(history, state):
                findings.append(_lags(history, stream, told, answer, state))
            elif told is not None:
                agreed += 1
            elif is_finished(history, state):
                outcome = _untold(history, stream, answer, state)
                if isinstance(outcome, Finding):
                    findings.append(outcome)
                else:
                    doubts.append(outcome)
            else:
                doubts.append("neither the stream nor the status endpoint said that the work is finished")
    if doubts and not agreed and not findings:
        return inconclusive(doubts[0])
    return settle(findings, agreed, "answers of the status endpoint")


def state_of(history: History, answer: Exchange) -> Any:
    """The work's state in an answer of the status endpoint, or `ABSENT`."""
    terms = history.terms.status
    if terms is None or terms.pointer is None or answer.head is None or answer.head.status >= 300:
        return ABSENT
    state = resolve(answer.json, terms.pointer)
    return ABSENT if isinstance(state, dict | list) else state


def is_finished(history: History, state: Any) -> bool:
    """Whether a state is one of `target.status.finished`; true is not 1 there."""
    terms = history.terms.status
    finished = () if terms is None else terms.finished
    return any(state == each and isinstance(state, bool) == isinstance(each, bool) for each in finished)


def says_finished(history: History, stream: Exchange) -> tuple[str, tuple[Evidence, ...]]:
    """What the status endpoint said of this stream's work, if it said that it was finished: in words to add to
    a sentence, with the evidence; else nothing."""
    for answer in history.exchanges:
        if answer.requested.purpose != "status" or answer.requested.names != stream.requested.names:
            continue
        state = state_of(history, answer)
        if is_finished(history, state):
            words = f"; the status endpoint said {state!r} at {end_of(answer):.3f} s"
            return words, (_evidence(answer, "", state),)
    return "", ()


def _unreadable(history: History, answer: Exchange) -> str:
    if answer.head is None:
        return f"the status endpoint did not answer: {answer.ended.detail if answer.ended else ''}"
    if answer.head.status >= 300:
        return f"the status endpoint answered {answer.head.status}"
    pointer = history.terms.status.pointer if history.terms.status else ""
    return f"the status endpoint's answer has no value at {pointer} (target.status.pointer)"


def _before(history: History, answer: Exchange) -> list[Exchange]:
    """The streams of the work that the status was asked for, which had begun by then; of each subscriber the
    connection on which it was told, else its last."""
    last: dict[str, Exchange] = {}
    for stream in history.exchanges[: history.exchanges.index(answer)]:
        name, asked = stream.requested.subscriber, stream.requested
        if not stream.is_event_stream or asked.purpose != "stream" or asked.names != answer.requested.names:
            continue
        if name not in last or last[name].completed is None:
            last[name] = stream
    return list(last.values())


def _told_before(stream: Exchange, answer: Exchange) -> Arrival | None:
    completed = stream.completed
    return completed if completed and completed.time <= answer.requested.time else None


def _may_lag(history: History, told: Arrival, answer: Exchange) -> bool:
    """Whether the status may not know yet what the stream has told. What it answers was so when it was asked, or
    later."""
    limit = history.terms.limits.status
    return limit > 0 and answer.requested.time - told.time <= limit


def _lags(history: History, stream: Exchange, told: Arrival, answer: Exchange, state: Any) -> Finding:
    limit = history.terms.limits.status
    allowed = f", more than {limit:g} s before (limits.status)" if limit else ""
    return Finding(
        f"the status endpoint said {state!r} at {end_of(answer):.3f} s, "
        f"but {stream.name} had got {named(stream, told)} at {told.time:.3f} s{allowed}",
        (
            evidence_for(stream, told),
            _evidence(answer, f"one of {_finished(history)}", state),
        ),
    )


def _untold(history: History, stream: Exchange, answer: Exchange, state: Any) -> Finding | str:
    outcome = fate(history, stream)
    if outcome.what == "completed" or severed(history, stream) or end_of(stream) > answer.requested.time:
        return f"{stream.name} had not been read to its end when the status was asked"
    if history.scenario == "failing-job" and "dialect.failure" not in history.terms.declared:
        return "how the stream tells of a failure is not declared (dialect.failure)"
    if outcome.what == "ended" and may_have_missed_all(history, stream):
        return f'{stream.name} may have come late, and expect.replay is not "all"'
    comes_back = "expect.resumable" in history.terms.declared and bool(stream.events)
    if outcome.what not in {"ended", "broken-off", "silent"} or (outcome.what == "ended" and comes_back):
        return f"{stream.name} {outcome.said}"
    return Finding(
        f"the status endpoint said {state!r} at {end_of(answer):.3f} s, but the stream never said so: "
        f"{stream.name} {outcome.said}",
        (evidence_of(stream, "the completion"), _evidence(answer, "", state)),
    )


def _finished(history: History) -> str:
    terms = history.terms.status
    return ", ".join(map(repr, terms.finished if terms else ()))


def _evidence(answer: Exchange, expected: str, state: Any) -> Evidence:
    return evidence_at(
        end_of(answer),
        answer.name,
        excerpt=answer.body[:80].decode("utf-8", "replace"),
        expected=expected,
        actual=repr(state)[:80],
    )
