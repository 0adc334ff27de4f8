"""Cancel: the request to cancel is answered, does what it says, and may come twice."""

from collections.abc import Iterator

from conformance.dialect import Role
from conformance.history import Exchange, History
from conformance.pointer import ABSENT
from conformance.rules.cancel_looks import Places, evidence_from, is_cancelled, is_over, states
from conformance.rules.completion_fate import answer_of, end_of
from conformance.rules.refusals import failed, rpc_error
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from reports.results import Finding, Level

NOT_ASKED = "nobody cancelled the work"


def was_accepted(answer: Exchange) -> bool:
    """Whether a request to cancel was answered as one that is done, or will be."""
    return answer.head is not None and 200 <= answer.head.status < 300 and not rpc_error(answer)


@rule(
    "cancel.acknowledged",
    claim="A request to cancel work that is under way is answered 2xx within limits.head, and the status then says "
    "that it was cancelled (target.status.cancelled).",
    why="A button that seems to do nothing is pressed again, or the page is closed while the work goes on; and work "
    "that was stopped on purpose but is called failed sets off alarms and retries.",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#section-15.3.3",
    mend="Answer 202 as soon as the cancellation is on its way (200 or 204 once it is done), without waiting for the "
    "work; keep a state of its own for cancelled work, and set it in the handler that catches the cancellation.",
    scenarios=("cancel",),
    needs=("target.cancel",),
)
def acknowledged(history: History) -> Judgement:
    answer = next(iter(history.cancels), None)
    if answer is None:
        return inconclusive(NOT_ASKED)
    looks = states(history, answer)
    places = Places(history)
    asked = places.at(answer.requested)
    early = [look for look in looks if look.answered < asked]
    completed = _completed(history, answer)
    went_on = 0.0 if completed is None else completed - end_of(answer)
    late = went_on > history.terms.limits.cancellation
    if any(is_over(history, look.value) for look in early) or (completed is not None and not late):
        return inconclusive("the work ended by itself before it could be cancelled")
    if not was_accepted(answer):
        if answer.how in {"refused", "unreachable", "tls", "open"}:
            return inconclusive(f"the request to cancel did not reach the server: {_detail(answer)}")
        said = f"was answered {answer_of(answer)}" if answer.head else "got no answer"
        message = f"the request to cancel {said}" + (f": {_detail(answer)}" if _detail(answer) else "")
        evidence = evidence_at(end_of(answer), answer.name, expected="2xx", actual=answer_of(answer))
        return settle([Finding(message, (evidence,))], 0, "")
    if late:
        return inconclusive(f"the work went on and completed {went_on:.3g} s later: see cancel.work-stops")
    terms = history.terms.status
    again = [places.at(each.requested) for each in history.cancels[1:]]
    after = [
        look
        for look in looks
        if look.asked > asked
        and is_over(history, look.value)
        and look.value is not ABSENT
        and (not again or look.answered < again[0])
    ]
    if terms is None or not terms.cancelled or not after:
        return settle((), 1, "requests to cancel that were accepted")
    if is_cancelled(history, after[-1].value):
        return settle((), 2, "answers that said so")
    message = f"the status endpoint says {after[-1].value!r} of work that was cancelled"
    expected = f"one of {', '.join(map(repr, terms.cancelled))}"
    return settle([Finding(message, (evidence_from(after[-1], expected=expected),))], 0, "")


@rule(
    "cancel.twice",
    level=Level.SHOULD,
    claim="To cancel once more, or after the work has ended, is no server error and changes nothing.",
    why="A second click, a retry after a lost answer, or a cancel that crosses the completion on its way is everyday "
    "traffic: as a server error it alarms, and as a change of state it turns a result that was told into a cancelled "
    "one.",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#section-9.2.2",
    mend="Look at the state first: where the work has ended, leave it and answer 200 or 409 with the state as it is. "
    "Do not take the task out of a table that a second request looks into without a check.",
    scenarios=("cancel",),
    needs=("target.cancel",),
)
def twice(history: History) -> Judgement:
    asked = history.cancels
    if not asked:
        return inconclusive(NOT_ASKED)
    late = [each for each in asked if each is not asked[0] or _had_ended(history, each)]
    if turned := next(_turned(history, asked[0]), None):
        return settle([turned], 0, "")
    if not late:
        return inconclusive("nobody cancelled once more, or work that had ended")
    findings: list[Finding] = []
    seen = 0
    for again in late:
        if again.head is None:
            if again.how in {"timeout", "truncated", "reset"}:
                findings.append(_bad(again, f"got no answer: {_detail(again)}"))
            continue
        seen += 1
        if failed(again):
            findings.append(_bad(again, f"was answered {answer_of(again)}"))
        findings += _changes(history, again)
    if not seen and not findings:
        return inconclusive("the request to cancel what had ended did not reach the server")
    return settle(findings, seen, "requests to cancel what had ended")


def _had_ended(history: History, answer: Exchange) -> bool:
    """Whether the status said so before."""
    asked = Places(history).at(answer.requested)
    before = [look.value for look in states(history, answer) if look.answered < asked]
    return any(is_over(history, value) and value is not ABSENT for value in before)


def _turned(history: History, answer: Exchange) -> Iterator[Finding]:
    """An end that was told after the request to cancel was sent, and is told to be a cancelled one later: the two had
    crossed."""
    asked = Places(history).at(answer.requested)
    looks = [look for look in states(history, answer) if look.asked > asked and look.value is not ABSENT]
    for was in looks:
        if not is_over(history, was.value) or is_cancelled(history, was.value):
            continue
        for now in looks:
            if now.asked > was.answered and is_cancelled(history, now.value):
                yield Finding(
                    f"the request to cancel crossed the end of the work: the status endpoint said {was.value!r}, "
                    f"and {now.value!r} later",
                    (evidence_from(was), evidence_from(now, expected=repr(was.value))),
                )


def _changes(history: History, again: Exchange) -> Iterator[Finding]:
    """A final state that is another one after the work was cancelled once more."""
    looks = states(history, again)
    when = Places(history).of(again)
    before = [look for look in looks if look.answered < when.early]
    after = [look for look in looks if look.asked > when.late]
    if not before or not after or not is_over(history, before[-1].value) or before[-1].value is ABSENT:
        return
    was, now = before[-1], after[0]
    if now.value is not ABSENT and now.value != was.value:
        yield Finding(
            f"the work had ended as {was.value!r}; after it was cancelled then the status endpoint says "
            f"{now.value!r}",
            (evidence_from(was), evidence_from(now, expected=repr(was.value))),
        )


def _bad(again: Exchange, said: str) -> Finding:
    return Finding(
        f"a request to cancel work that had ended {said}",
        (evidence_at(end_of(again), again.name, expected="no server error", actual=answer_of(again)),),
    )


def _completed(history: History, answer: Exchange) -> float | None:
    """When a stream of the work first told that it was done; None where none did."""
    return min(
        (
            told.left_server
            for stream in history.streams
            if stream.requested.names == answer.requested.names and stream.is_event_stream
            for told in stream.having(Role.COMPLETION)
        ),
        default=None,
    )


def _detail(answer: Exchange) -> str:
    return answer.ended.detail if answer.ended else ""
