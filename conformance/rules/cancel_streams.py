"""Cancel: what those hear of it who watch: the work's own subscribers, those of other work, those who come back."""

from collections.abc import Sequence

from conformance.dialect import Role
from conformance.history import Arrival, Exchange, History
from conformance.pointer import ABSENT
from conformance.rules.cancel_looks import (
    Look,
    Moment,
    Places,
    evidence_from,
    is_cancelled,
    is_over,
    left_at,
    states,
)
from conformance.rules.cancel_request import NOT_ASKED, was_accepted
from conformance.rules.cancel_staying import beside_all_who_leave, beside_one_who_leaves
from conformance.rules.cancel_unasked import stopped_unasked
from conformance.rules.completion_fate import (
    answer_of,
    end_of,
    evidence_for,
    evidence_of,
    fate,
    named,
    severed,
)
from conformance.rules.order_content import content, label, listed, told
from conformance.rules.refusals import failed, refused
from conformance.rules.resume_return import namer
from conformance.rules.rule import Judgement, inconclusive, not_applicable, rule, settle
from conformance.rules.stalls import room
from conformance.rules.streams import no_response, nothing_to_read, readable
from reports.results import Finding

_BACK = "back"
_OTHER = "other"
_ENDS = (Role.COMPLETION, Role.FAILURE, Role.END)
_NOT_ACCEPTED = "the request to cancel was not accepted: see cancel.acknowledged"
_PREEMPTED = "the work completed before it could be cancelled"


@rule(
    "cancel.stream-told",
    claim="Who watches work that is cancelled hears how it ended within limits.cancellation, and the stream ends.",
    why="A subscriber that is told nothing waits for a completion that will never come; one whose response just ends "
    "takes it for a broken network and reconnects, again and again.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="In the handler that catches the cancellation, publish a last event that says so to every subscriber before "
    "the stream is closed, as for any other end. Do not cancel the subscribers' own tasks together with the work: "
    "they have something left to send.",
    scenarios=("cancel",),
    needs=("target.cancel", "dialect.completion"),
    timing=True,
)
def stream_told(history: History) -> Judgement:
    answer = next(iter(history.cancels), None)
    if answer is None:
        return inconclusive(NOT_ASKED)
    if not was_accepted(answer):
        return inconclusive(_NOT_ACCEPTED)
    watching: dict[str, list[Exchange]] = {}
    for each in readable(history):
        if each.requested.names == answer.requested.names and each.requested.subscriber not in {
            _BACK,
            _OTHER,
        }:
            watching.setdefault(each.requested.subscriber, []).append(each)
    if not watching:
        return nothing_to_read(history)
    findings: list[Finding] = []
    doubts: list[str] = []
    observed = 0
    since = Places(history).of(answer)
    for connections in watching.values():
        outcome = _heard(history, _decisive(history, connections, since), since)
        if isinstance(outcome, Finding):
            findings.append(outcome)
        elif outcome:
            doubts.append(outcome)
        else:
            observed += 1
    if doubts and not findings:
        return inconclusive(doubts[0])
    return settle(findings, observed, "subscribers who were told")


def _decisive(history: History, connections: Sequence[Exchange], since: Moment) -> Exchange:
    """Of a subscriber's connections, the one on which it was told; else the last, if it waited on that one; else the
    last that was there when the work was cancelled."""
    told_on = [each for each in connections if each.having(*_ENDS)]
    there = [each for each in connections if Places(history).at(each.requested) < since.late]
    if told_on or connections[-1].how != "complete" or not there:
        return (told_on or connections)[-1]
    return there[-1]


def _heard(history: History, stream: Exchange, since: Moment) -> Finding | str:
    """A finding; or why it is not known; or "" where the subscriber was told in time and the stream ended."""
    limits = history.terms.limits
    if any(each.time < since.early.time for each in stream.having(*_ENDS)):
        return _PREEMPTED
    if stream.how not in {"complete", "truncated", "reset", "dropped", "timeout", "watched"}:
        return f"{stream.name} is not known to its end: {stream.how}"
    word = _word(history, stream, since)
    end = end_of(stream)
    if end < since.early.time:
        return f"{stream.name} had ended before the work was cancelled"
    if word is None:
        if severed(history, stream):
            return f"{stream.name} was cut off by the link"
        if stream.how == "complete" and _may_have_come_after(history, stream, since):
            return f"{stream.name} came when the work had been cancelled"
        if stream.how == "complete" and _comes_back_for_it(history, stream):
            return f"{stream.name} was ended at {end:.3f} s, when the work had not stopped yet; who came back was told"
        if stream.how == "complete":
            said = f"was ended at {end:.3f} s without a word about it"
        elif stream.how in {"truncated", "reset"}:
            said = f"was cut off at {end:.3f} s without a word about it"
        elif any(each.left_server - since.late.time > limits.cancellation for each in told(stream)):
            return "the work did not stop: see cancel.work-stops"
        elif end - since.late.time < limits.cancellation:
            return f"{stream.name} was left before limits.cancellation had passed"
        else:
            said = f"was told nothing about it within {end - since.late.time:.3g} s"
        return Finding(
            f"the work was cancelled at {since.late.time:.3f} s; {stream.name} {said}",
            (evidence_of(stream, "an event that says how the work ended"),),
        )
    late = word.left_server - since.late.time
    if late > limits.cancellation + room(history):
        heard = f"was told {named(stream, word)}" if word.role is Role.COMPLETION else "heard of it only"
        return Finding(
            f"{stream.name} {heard} {late:.3g} s after the work was cancelled "
            f"(limits.cancellation: {limits.cancellation:g} s)",
            (evidence_for(stream, word),),
        )
    terminates = "expect.terminates" in history.terms.declared
    if stream.how in {"dropped", "timeout", "watched"} and terminates:
        last = [*stream.having(*_ENDS), word][-1]
        open_for = end - max(last.time, word.time)
        if open_for < 0.99 * limits.close:
            return f"{stream.name} was left before limits.close had passed"
        return Finding(
            f"{stream.name} was still open {open_for:.3g} s after {named(stream, word)} told how the work ended "
            f"(limits.close: {limits.close:g} s)",
            (evidence_for(stream, word), evidence_of(stream, "the end of the response")),
        )
    return ""


def _may_have_come_after(history: History, stream: Exchange, since: Moment) -> bool:
    """Whether it came when the work had been cancelled. Who was told nothing may have been on the way in until then,
    also behind a head: where nothing is replayed, it rightly hears no word."""
    if since.late < Places(history).at(stream.requested):
        return True
    return history.scenario == "explore" and history.terms.expect.replay != "all" and not told(stream)


def _comes_back_for_it(history: History, stream: Exchange) -> bool:
    """Whether the response ended while the work went on, as that of a server does that lets none last for long, and
    who came back heard how the work ended."""
    back = [each for each in history.streams if each.requested.subscriber == _BACK]
    if "expect.resumable" not in history.terms.declared or not any(each.having(*_ENDS) for each in back):
        return False
    end = Places(history).of(stream).late
    return any(look.asked > end and not is_over(history, look.value) for look in states(history, stream))


def _word(history: History, stream: Exchange, since: Moment) -> Arrival | None:
    """What told that the work was over. Where `dialect.failure` does not say how a stream tells of such an end, a
    last event of a type that had not come before is taken for it."""
    ends = [each for each in stream.having(*_ENDS) if each.time >= since.early.time]
    if ends:
        return ends[0]
    events = told(stream)
    if "dialect.failure" in history.terms.declared or not events or events[-1].time < since.early.time:
        return None
    before = {each.event.type for each in events if each.time < since.early.time}
    return events[-1] if events[-1].event.type not in before else None


@rule(
    "cancel.stays-cancelled",
    claim="Work that is said to be cancelled stays so: it does not run on, and who comes back does not set it going "
    "again, and is not left waiting.",
    why="An event source reconnects whenever its response ends. Where the stream's request begins the work, stopping "
    "it starts it anew a moment later, and so on; where nobody answers it, a window waits for ever. Where only the "
    "state was changed, the work runs on, costs what it costs, and ends in a result that nobody wants any more.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Keep for a while what was cancelled. Answer who comes back with 204, which stops an event source, or with "
    "the last events and the end; begin work only in a request of its own (POST), never because somebody subscribes. "
    "Cancel the task itself, and let the state change where the task has ended.",
    scenarios=("cancel",),
    needs=("target.cancel",),
)
def stays_cancelled(history: History) -> Judgement:
    answer = next(iter(history.cancels), None)
    if answer is None:
        return inconclusive(NOT_ASKED)
    if not was_accepted(answer):
        return inconclusive(_NOT_ACCEPTED)
    if ran_on := _another_end(history, states(history, answer)) or _more_of_it(history, answer):
        return settle([ran_on], 0, "")
    back = next((each for each in history.streams if each.requested.subscriber == _BACK), None)
    if back is None:
        return inconclusive("nobody came back")
    if back.head is None:
        return inconclusive(f"who came back got {no_response(back)}")
    looks = states(history, back)
    when = Places(history).of(back)
    before = [look for look in looks if look.answered < when.early]
    if before and not is_over(history, before[-1].value):
        return inconclusive("the work had not stopped when the subscriber came back: see cancel.work-stops")
    again = next(
        (look for look in looks if look.asked > when.late and not is_over(history, look.value)), None
    )
    if before and again is not None:
        message = (
            f"the work had ended as {before[-1].value!r}; after {back.name} came back at {back.requested.time:.3f} s "
            f"the status endpoint says {again.value!r}"
        )
        return settle([Finding(message, (evidence_from(again, expected=repr(before[-1].value)),))], 0, "")
    if failed(back):
        message = f"who came back to cancelled work was answered {answer_of(back)}"
        return settle([Finding(message, (evidence_of(back, "204, or the end of the stream"),))], 0, "")
    waited = end_of(back) - back.requested.time
    is_left = back.is_event_stream and back.how in {"dropped", "timeout", "watched"}
    if is_left and "expect.terminates" in history.terms.declared:
        if not before and not back.having(*_ENDS):
            return inconclusive("whether the work had stopped is not known")
        if waited < 0.99 * history.terms.limits.close:
            return inconclusive(f"{back.name} was left after {waited:.3g} s")
        message = (
            f"{back.name} came back to cancelled work, and its stream was still open {waited:.3g} s later"
        )
        return settle([Finding(message, (evidence_of(back, "204, or the end of the stream"),))], 0, "")
    if not before and not back.having(*_ENDS) and back.head.status == 200 and not refused(back):
        return inconclusive("whether the work had stopped is not known")
    return settle((), 1, f"who came back: answered {answer_of(back)}")


def _another_end(history: History, looks: Sequence[Look]) -> Finding | None:
    """A cancelled state that turned into that of work which ended in another way."""
    was = next((look for look in looks if is_cancelled(history, look.value)), None)
    for now in looks if was else ():
        ended = is_over(history, now.value) and now.value is not ABSENT
        if was and ended and now.asked > was.answered and not is_cancelled(history, now.value):
            return Finding(
                f"the work ran on after it was said to be cancelled: the status endpoint said {was.value!r} at "
                f"{was.answered.time:.3f} s, and {now.value!r} at {now.answered.time:.3f} s",
                (evidence_from(was), evidence_from(now, expected=repr(was.value))),
            )
    return None


def _more_of_it(history: History, answer: Exchange) -> Finding | None:
    """Events of the work that came to who looked once more, and had not to who had looked before, when its
    cancellation was long over. Neither the first event of a connection nor a single one counts: it may greet."""
    places, names = Places(history), answer.requested.names
    long_over = places.of(answer).late.time + history.terms.limits.cancellation
    streams = [each for each in history.streams if each.requested.names == names]
    late = [
        each
        for each in streams
        if each.requested.subscriber == _BACK and each.requested.time >= long_over and each.how == "complete"
    ]
    if len(late) < 2 or not late[-1].is_event_stream or not (late[0].is_event_stream or _is_empty(late[0])):
        return None
    last = late[-1]
    earlier = [told(each) for each in streams if each.is_event_stream and each is not last]
    name = namer(last.dialect, *earlier, told(last))
    known = [each for events in earlier for each in events]
    names_had = {None, *map(name, known)}
    had = {content(last.dialect, each) for each in known}  # some servers number anew what they send again
    more = [
        each
        for each in told(last)[1:]
        if each.role not in _ENDS and name(each) not in names_had and content(last.dialect, each) not in had
    ]
    if len(more) < 2:
        return None
    after = late[0].requested.time
    return Finding(
        f"the work ran on after it was cancelled at {end_of(answer):.3f} s: who had come back at {after:.3f} s had "
        f"been told all there was, and who came back at {last.requested.time:.3f} s was told "
        f"{listed(label(last.dialect, each) for each in more)}",
        (evidence_for(last, more[0], expected="no more of the work"),),
    )


def _is_empty(stream: Exchange) -> bool:
    return stream.head is not None and stream.head.status == 204


@rule(
    "cancel.others-unaffected",
    claim="Cancelling one piece of work, or leaving one stream, changes nothing for those who watch other work or "
    "stay.",
    why="One user's stop button ends another user's work, or one closed window the stream of all the others.",
    source="https://trio.readthedocs.io/en/stable/reference-core.html#cancellation-and-timeouts",
    mend="Find the task to cancel by the id of the work in the request, and nothing wider: no shared scope, no "
    "shared AbortController, no cancel of the task group. Unsubscribe only the one who left, and stop the work only "
    "when nobody is left.",
    scenarios=("cancel", "abandoned", "one-leaves"),
)
def others_unaffected(history: History) -> Judgement:
    if not readable(history):
        return nothing_to_read(history)
    if history.scenario == "cancel":
        return _beside_the_cancelled(history)
    if history.scenario == "one-leaves":
        return beside_one_who_leaves(history)
    if history.scenario == "explore":
        return stopped_unasked(history)
    return beside_all_who_leave(history)


def _beside_the_cancelled(history: History) -> Judgement:
    answer = next(iter(history.cancels), None)
    other = next((each for each in history.streams if each.requested.subscriber == _OTHER), None)
    if other is None:
        return not_applicable(
            "needs target.start.capture in the configuration: there is no other work to watch"
        )
    if answer is None or not other.is_event_stream:
        return inconclusive("nobody cancelled the work while another was watched")
    after = [each for each in told(other) if each.left_server > end_of(answer)]
    outcome = fate(history, other)
    bad = next((each for each in other.having(Role.FAILURE) if each.time >= answer.requested.time), None)
    if bad is not None:
        message = f"other work was cancelled at {end_of(answer):.3f} s, and {other.name} was told {named(other, bad)}"
        return settle([Finding(message, (evidence_for(other, bad, expected="its completion"),))], 0, "")
    if end_of(other) < answer.requested.time:
        return inconclusive(f"{other.name} had ended before the work was cancelled")
    fell_silent = outcome.what == "silent" and bool(told(other))
    if (outcome.what in {"ended", "broken-off"} or fell_silent) and not after:
        message = f"when other work had been cancelled at {end_of(answer):.3f} s, {other.name} {outcome.said}"
        return settle([Finding(message, (evidence_of(other, "its events, as before"),))], 0, "")
    if not after:
        return inconclusive(f"{other.name} brought nothing after the work was cancelled, and {outcome.said}")
    return settle((), len(after), "events of other work after the cancel")


@rule(
    "cancel.superseded",
    claim="Where a second stream of a session ends the first (expect.superseding), it does so within "
    "limits.cancellation.",
    why="Two windows, or an old connection that the client has forgotten, go on as one session: each acts on the "
    "same events, and the old one holds its place until the server turns the user away.",
    source="https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#multiple-connections",
    mend="Keep the session's current stream under its name; when another one comes, put it there first, then end the "
    "older: wake it through its own queue or event, so that it does not wait for the next event to notice. In its "
    "finally, take it out only if it is still the one that is there.",
    scenarios=("supersede",),
    needs=("expect.superseding",),
    timing=True,
)
def superseded(history: History) -> Judgement:
    pair = both_streams(history)
    if isinstance(pair, Judgement):
        return pair
    older, newer = pair
    assert newer.head is not None
    limit = history.terms.limits.cancellation
    since = newer.head.time
    if older.how == "dropped":
        left = left_at(history, older)
        passed = (left.early.time if left else end_of(older)) - since
        if passed <= limit:
            return inconclusive(f"{older.name} was left {passed:.3g} s after {newer.name} had come")
        said = f"was still open {passed:.3g} s"
    elif any(each.time <= end_of(older) for each in older.having(*_ENDS)):
        return inconclusive("the work ended, so nobody can tell what ended the older stream")
    elif older.how not in {"complete", "truncated", "reset"}:
        return inconclusive(f"{older.name} is not known to its end: {older.how}")
    elif (passed := end_of(older) - since) > limit + room(history):
        said = f"ended only {passed:.3g} s"
    else:
        return settle((), 1, "streams that were superseded")
    message = f"{older.name} {said} after {newer.name} of the same session had come (limits.cancellation: {limit:g} s)"
    return settle([Finding(message, (evidence_of(older, f"its end within {limit:g} s"),))], 0, "")


def both_streams(history: History) -> tuple[Exchange, Exchange] | Judgement:
    """The older stream of a session and the newer one; or why there are not two."""
    found = {each.requested.subscriber: each for each in history.streams}
    older, newer = found.get("older"), found.get("newer")
    if older is None or not older.is_event_stream:
        return nothing_to_read(history)
    if newer is None or not newer.is_event_stream:
        said = "came" if newer is None else f"was answered {answer_of(newer)}"
        return inconclusive(f"no second stream {said}")
    assert newer.head is not None
    if end_of(older) < newer.requested.time:
        return inconclusive(f"{older.name} had ended before {newer.name} came")
    return older, newer
