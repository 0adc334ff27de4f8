"""Resuming: what becomes of a subscriber that comes back after the completion, with a strange id, after a restart."""

from functools import partial

import msgspec

from conformance.history import Exchange, History
from conformance.pointer import ABSENT
from conformance.rules.cancel_looks import is_cancelled, is_over, states, unseen_state
from conformance.rules.completion_fate import Fate, answer_of, evidence_of, fate
from conformance.rules.completion_status import says_finished
from conformance.rules.order_content import told
from conformance.rules.refusals import failed, refused, rpc_error
from conformance.rules.resume_return import Return, again_finding, came_back, lost, of_each, sent_again
from conformance.rules.rule import Judgement, broken, conforms, inconclusive, not_applicable, rule
from conformance.rules.scopes import RESUMES
from conformance.rules.streams import may_have_missed_all
from reports.results import Finding

_WITNESS = "witness"
_RUNNING = "the work did not complete while the subscriber was away"
_GATEWAY = frozenset({502, 503, 504})  # said by what stands before a server that is not back yet


@rule(
    "resume.unknown-id",
    claim="A Last-Event-ID that the server does not know is answered with the stream, or with a clear refusal.",
    why="Ids grow old: logs are cut, servers are restarted, a tab is woken after a week. An error in reading the id "
    "locks this client out for ever, as it comes back with the same id again and again; a silent stream does so "
    "without a word.",
    source="https://github.com/whatwg/html/issues/8297",
    mend="Take an id that cannot be read, or is not in the log, for none: send what is kept from the oldest event on, "
    "or only what is new and how the work ended. Where that would mislead, answer 204 or 404. Do not wait for the "
    "id to appear, and catch the error of int(last_event_id).",
    scenarios=("unknown-id",),
    needs=("expect.resumable",),
)
def unknown_id(history: History) -> Judgement:
    stream = next(iter(history.streams), None)
    if stream is None:
        return inconclusive("no stream was requested")
    outcome = fate(history, stream)
    if stream.head is not None and not stream.is_event_stream:
        if failed(stream):
            return broken([_unhelped(stream, f"was answered with {answer_of(stream)}")])
        if stream.head.status == 200 and not refused(stream):
            return not_applicable(f"the response is no event stream: {answer_of(stream)}")
        return conforms(1, f"clear answer: {answer_of(stream)}")
    completes = "dialect.completion" in history.terms.declared
    if outcome.what in {"unanswered", "broken-off"} or (outcome.what in {"silent", "ended"} and completes):
        if outcome.what == "ended" and told(stream):
            return inconclusive(
                f"{stream.name} {outcome.said}; whether the rest comes to who comes back was not tried"
            )
        return broken([_unhelped(stream, outcome.said)])
    if outcome.what == "completed" or (told(stream) and not completes):
        return conforms(len(told(stream)), "events")
    return inconclusive(f"{stream.name} {outcome.said}")


def _unhelped(stream: Exchange, said: str) -> Finding:
    return Finding(
        f"{stream.name} came with a Last-Event-ID that the server never sent and {said}",
        (evidence_of(stream, "the stream to its completion, 204 or 4xx"),),
    )


@rule(
    "resume.completion-survives",
    claim="A completion that is published while the subscriber is away is delivered when it comes back.",
    why="The work ends in the very second in which the train is in a tunnel. The client comes back to a stream that "
    "has nothing more to say, and waits for an end that has passed.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Put the completion into the log like any other event, with an id, and keep the log for some time after the "
    "end. When somebody comes back, send what is behind its id, the completion included, and then end the "
    "response. Answer 204 only to who has the completion already.",
    scenarios=RESUMES,
    needs=("expect.resumable", "dialect.completion"),
)
def completion_survives(history: History) -> Judgement:
    return of_each(history, partial(_survives, history))


def _survives(history: History, subscriber: str) -> Judgement:
    returns = came_back(history, subscriber)
    if isinstance(returns, Judgement):
        return returns
    if doubt := _not_completed(history, returns[0]):
        return doubt
    if any(back.now.is_event_stream and back.now.completed is not None for back in returns):
        return conforms(1, "completion after coming back")
    last = returns[-1].now
    outcome = fate(history, last)
    if not _is_missed(last, outcome):
        return inconclusive(f"{last.name} {outcome.said}")
    if outcome.what == "ended" and history.scenario == "explore" and may_have_missed_all(history, last):
        return inconclusive(f'{last.name} {outcome.said}; it had no id, and expect.replay is not "all"')
    words, evidence = says_finished(history, last)
    asked = f" {returns[-1].how}" if returns[-1].asked else ""
    return broken(
        [
            Finding(
                f"{last.name} came back for the completion{asked} and {outcome.said}{words}",
                (evidence_of(last, "the completion"), *evidence),
            )
        ]
    )


def _not_completed(history: History, back: Return) -> Judgement | None:
    """That the completion was not published while the subscriber was away, where it was to be."""
    if history.scenario == "completion-unwatched":
        return _unfinished(history, back.now)
    witness = next(iter(history.subscribers.get(_WITNESS, ())), None)
    if history.scenario != "completion-while-away" or witness is None:
        return None
    completed = witness.completed if witness.is_event_stream else None
    if completed is None or completed.time > back.now.requested.time:
        said = fate(history, witness).said
        return inconclusive(f"{_RUNNING}: {witness.name} {said}")
    return None


def _unfinished(history: History, back: Exchange) -> Judgement | None:
    """The same, where the status endpoint is the only witness. Work that ends as cancelled ended because nobody
    watched it, and published no completion."""
    looks = [look for look in states(history, back) if look.answered.time <= back.requested.time]
    if not looks:
        return inconclusive(unseen_state(history, back))
    state = looks[-1].value
    if state is ABSENT:
        return inconclusive("nobody saw how the work ended: the server knew of it no more")
    if is_cancelled(history, state):
        return not_applicable(f"the work was {state!r} when nobody watched it any more: it did not complete")
    return (
        None if is_over(history, state) else inconclusive(f"{_RUNNING}: the status endpoint said {state!r}")
    )


def _is_missed(stream: Exchange, outcome: Fate) -> bool:
    """Whether this end of the last connection means that the completion will not come."""
    if outcome.what == "no-stream":
        return stream.head is not None and (stream.head.status != 200 or bool(rpc_error(stream)))
    if outcome.what == "ended":
        return not told(stream)  # else a client would come back once more
    return outcome.what in {"unanswered", "broken-off", "silent"}


@rule(
    "resume.after-restart",
    claim="After the server was killed and started again, a stream goes on where it was, or the answer says that it "
    "is gone.",
    why="Servers are restarted with every deployment. A client that comes back to an open stream which knows "
    "nothing of it waits for ever; one that is sent another stream under the same name shows both as one.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Keep the events where they outlive the process (a file, a database, Redis streams), with ids that do not "
    "start anew. Where they do not outlive it, answer 404 or 410 for a stream that this process does not know "
    "(or 204, which stops event sources for good) instead of opening an empty one.",
    scenarios=("restart",),
    needs=("expect.resumable", "target.command"),
)
def after_restart(history: History) -> Judgement:
    if not history.marked("server started again"):
        short = next(iter(history.marked("too short")), None)
        return inconclusive(short.detail if short else "the server was not restarted")
    each = [_healed(history, subscriber) for subscriber in history.subscribers or ("a",)]
    for verdict in ("broken", "inconclusive", "not-applicable"):
        if found := next((judgement for judgement in each if judgement.verdict == verdict), None):
            return found
    return each[0] if len(each) == 1 else conforms(len(each), "subscribers who came back")


def _healed(history: History, subscriber: str) -> Judgement:
    """What the rule says of one subscriber."""
    returns = came_back(history, subscriber)
    if isinstance(returns, Judgement):
        return returns
    first = returns[0]
    if not first.asked:
        return inconclusive("the subscriber had no id to come back with")
    stream = first.now
    if stream.head is not None and not stream.is_event_stream:
        return _answered(stream)
    for back in returns:
        if again := sent_again(back):
            finding = again_finding(back, again)
            return broken([msgspec.structs.replace(finding, message=f"after the restart {finding.message}")])
        if missing := lost(history, back):
            return broken([_unhealed(back.now, f"never got {missing}")])
    last = returns[-1].now
    outcome = fate(history, last)
    completes = "dialect.completion" in history.terms.declared
    if outcome.what in {"unanswered", "broken-off"} or (completes and _is_missed(last, outcome)):
        return broken([_unhealed(last, outcome.said)])
    if outcome.what == "completed" or (not completes and first.got):
        if lost(history, first) == "":
            return conforms(len(first.had) + len(first.got), "events before and after")
        return inconclusive("the stream went on, but nothing tells whether an event is missing")
    return inconclusive(f"{last.name} {outcome.said}")


def _answered(stream: Exchange) -> Judgement:
    status = stream.head.status if stream.head else 0
    if status in _GATEWAY or (status == 200 and not rpc_error(stream)):
        return inconclusive(f"{stream.name} was answered with {answer_of(stream)}")
    if failed(stream):
        return broken([_unhealed(stream, f"was answered with {answer_of(stream)}")])
    return conforms(1, f"clear answer: {answer_of(stream)}")


def _unhealed(stream: Exchange, said: str) -> Finding:
    return Finding(
        f"after the restart {stream.name} {said}",
        (evidence_of(stream, "the rest of the stream, or 404, 410 or 204"),),
    )
