"""Resuming: a subscriber comes back with the last event ID and goes on where it was."""

from functools import partial

from conformance.history import EventArrival, Exchange, History
from conformance.pointer import ABSENT, resolve
from conformance.rules.completion_fate import evidence_for, evidence_of, fate, named
from conformance.rules.order_content import label
from conformance.rules.resume_outcomes import after_restart, completion_survives, unknown_id
from conformance.rules.resume_return import Return, again_finding, came_back, lost, of_each, sent_again
from conformance.rules.rule import Judgement, broken, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import RESUMES
from conformance.rules.streams import readable
from conformance.wire import Defect, Violation
from reports.results import Finding

_LIKELY = ("/id", "/seq", "/sequence", "/event_id", "/eventId", "/sequence_number", "/offset")


@rule(
    "resume.no-gap",
    claim="What a subscriber got before and after it came back is all there is: nothing in between is missing.",
    why="A connection breaks at every change of network, every deployment, every proxy timeout. What is published "
    "meanwhile is lost for this client and for no other, so nobody finds out why its text has a hole.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Give each event an `id:` line of its own (an id inside the JSON does not count), keep the events in a log, "
    "read Last-Event-ID on every request, and send from behind it. Subscribe to what is new before you read the "
    "log, or read both by one cursor, or what is published in between falls through. Take an event for sent when "
    "the next request says so, not when it was written to the socket.",
    scenarios=RESUMES,
    needs=("expect.resumable",),
)
def no_gap(history: History) -> Judgement:
    return of_each(history, partial(_without_gap, history))


def _without_gap(history: History, subscriber: str) -> Judgement:
    returns = came_back(history, subscriber)
    if isinstance(returns, Judgement):
        return returns
    if not returns[0].asked and not _by_itself(history) and (reason := _without_id(history, returns[0])):
        return broken([reason])
    findings: list[Finding] = []
    doubts: list[str] = []
    proven = 0
    for back in returns:
        missing = lost(history, back)
        if missing:
            findings.append(_gap(back, missing))
        elif missing is None:
            doubts.append(_doubt(history, back))
        else:
            proven += len(back.had) + len(back.got)
    if not findings and not proven:
        return inconclusive(doubts[0])
    return settle(findings, proven, "events before and after")


def _by_itself(history: History) -> bool:
    """Whether another request resumes, and is sent everything anew: it takes no ID."""
    return "target.resume" in history.terms.declared and history.terms.expect.replay == "all"


def _without_id(history: History, back: Return) -> Finding | None:
    """Why the subscriber had no id to come back with, if no event has one at all."""
    had, stream = back.had, back.before[-1]
    if not had or any(each.event.id is not None for every in readable(history) for each in every.all_events):
        return None
    why = "the events carry no id field, so the subscriber had nothing to resume with"
    if any(
        isinstance(each.item, Violation) and each.item.defect is Defect.ID_NULL for each in stream.violations
    ):
        why = "the ids hold a NULL, so clients ignore them, and the subscriber had nothing to resume with"
    elif pointer := _id_in_data(stream, had[-1]):
        why += f"; there is one in the data, at {pointer}, but no client looks there"
    return Finding(why, (evidence_for(stream, had[-1], expected="an `id:` line", actual="none"),))


def _id_in_data(stream: Exchange, event: EventArrival) -> str:
    """Where in the data there is what should be the id, if it is there."""
    sequence = stream.dialect.sequence
    places = list(_LIKELY)
    if sequence is not None and sequence != "id":
        places.insert(0, sequence)
    for pointer in places:
        value = resolve(event.parsed.json, pointer)
        if value is not ABSENT and isinstance(value, str | int):
            return pointer
    return ""


def _gap(back: Return, missing: str) -> Finding:
    last = f"after {label(back.now.dialect, back.had[-1])}" if back.had else "from the beginning"
    reset = any(each.event.id == "" for each in back.had)
    how = back.how + (" (an empty id had reset it)" if reset and not back.asked else "")
    evidence = [evidence_of(back.before[-1], "")]
    if back.got:
        first = back.got[0]
        evidence.append(
            evidence_for(back.now, first, expected=f"what comes {last}", actual=named(back.now, first))
        )
    return Finding(f"{back.now.name} came back {how} and never got {missing}", tuple(evidence))


def _doubt(history: History, back: Return) -> str:
    if not back.got:
        return f"no event came after it had come back: {back.now.name} {fate(history, back.now).said}"
    return (
        "nothing tells whether an event is missing: no other subscriber saw them all, expect.events is not declared "
        "or does not fit, and the events are not counted by even steps"
    )


@rule(
    "resume.no-duplicate",
    claim="A subscriber that comes back with Last-Event-ID is not sent again what it had up to there.",
    why="A client that appends shows the text twice; one that acts, acts twice; and every short break makes the "
    "server send everything from the start, just when the network is bad.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Send what comes behind the event that Last-Event-ID names: `WHERE id > ?`, not `>=`, and not from the start. "
    "Read the header on every request, in any case of letters (request.headers['last-event-id']), and let proxies "
    "pass it on. A generator that is made anew for each request starts anew: the log must outlive the connection.",
    scenarios=RESUMES,
    needs=("expect.resumable",),
)
def no_duplicate(history: History) -> Judgement:
    return of_each(history, partial(_without_duplicate, history))


def _without_duplicate(history: History, subscriber: str) -> Judgement:
    returns = came_back(history, subscriber)
    if isinstance(returns, Judgement):
        return returns
    asked = [back for back in returns if back.asked]
    if not asked:
        return not_applicable("the subscriber had no id to come back with")
    if not any(back.got for back in asked):
        return inconclusive(_doubt(history, asked[0]))
    findings = [again_finding(back, again) for back in asked if (again := sent_again(back))]
    return settle(findings, sum(len(back.got) for back in asked), "events after coming back")


RULES = (no_gap, no_duplicate, unknown_id, completion_survives, after_restart)
