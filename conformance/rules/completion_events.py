"""Completion: how the end of the work is told. Once, last, and by the end marker where the protocol has one."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from conformance.dialect import Role
from conformance.history import Arrival, EventArrival, Exchange, History
from conformance.rules.completion_fate import (
    end_of,
    evidence_for,
    evidence_of,
    held_back,
    named,
    severed,
    watched_on,
)
from conformance.rules.order_content import content, lane
from conformance.rules.rule import Judgement, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import LEFT, LINKS, PLAIN, RESUMES
from conformance.rules.streams import nothing_to_read, readable, resumes, was_cancelled
from reports.results import Finding

_ENDLESS = (
    "the stream goes on after a completion (expect.terminates is false), and neither dialect.scope nor "
    "dialect.stream tells which events belong to the work that completed"
)
_WHERE = (*PLAIN, "failing-job", *LINKS, *RESUMES, *LEFT, "crowd")


@rule(
    "completion.once",
    claim="The completion (or the failure) is told once.",
    why="What follows a completion is done twice: a result is stored twice, a message is shown twice, a customer "
    "is charged twice.",
    source="https://docs.ag-ui.com/spec/1.0/events/lifecycle",
    mend="Publish the completion in one place, where the work ends, and guard it by the state: only who changes the "
    "state from running to finished publishes. Look for a completion in both a callback and a finally block, and "
    "for one that is replayed from the log and sent live as well.",
    scenarios=_WHERE,
    needs=("dialect.completion",),
)
def once(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    if _mixes_works(history):
        return not_applicable(_ENDLESS)
    findings: list[Finding] = []
    observed = 0
    for stream in streams:
        for told in (*_completions(stream).values(), *_failures(history, stream)):
            observed += 1
            findings += (_told_again(stream, told[0], stream, each) for each in told[1:])
    for earlier, later in _comings_back(history):
        findings += _told_anew(earlier, later)
    return settle(findings, observed, "completions")


def _told_again(first: Exchange, before: EventArrival, stream: Exchange, again: EventArrival) -> Finding:
    return Finding(
        f"{stream.name} was told of the completion again: {named(stream, again)} at {again.time:.3f} s, after "
        f"{named(first, before)} at {before.time:.3f} s",
        (evidence_for(first, before), evidence_for(stream, again, expected="one completion")),
    )


def _told_anew(earlier: Exchange, later: Exchange) -> Iterator[Finding]:
    """A completion under a new id, for a subscriber that came back and said that it had seen the first one.
    The same one again is a replay."""
    seen = _completions(earlier)
    for name, told in _completions(later).items():
        before = seen[name][0] if name in seen else None
        if before and before.event.id and told[0].event.id and before.event.id != told[0].event.id:
            yield _told_again(earlier, before, later, told[0])


def _comings_back(history: History) -> Iterator[tuple[Exchange, Exchange]]:
    for connections in history.subscribers.values():
        for earlier, later in pairwise(connections):
            if resumes(later) and earlier.is_event_stream and later.is_event_stream:
                yield earlier, later


@rule(
    "completion.last",
    claim="After the completion nothing comes but the end marker and heartbeats.",
    why="Whoever leaves at the completion misses what comes after it, and whoever stays applies it to work that it "
    "has put away as done.",
    source="https://docs.ag-ui.com/spec/1.0/events/lifecycle",
    mend="Let the code that does the work publish its completion itself, after it has waited for all that reports "
    "progress: join the workers, drain the queue, then complete. Send a summary (usage, totals) before it or in it.",
    scenarios=_WHERE,
    needs=("dialect.completion",),
)
def last(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    if _mixes_works(history):
        return not_applicable(_ENDLESS)
    findings: list[Finding] = []
    observed = 0
    for stream in streams:
        for final, followers in _finals(history, stream):
            observed += bool(followers) or watched_on(stream)
            if followers:
                findings.append(_followed(stream, final, followers))
    if not observed:
        return inconclusive("nobody saw the completion and stayed after it")
    return settle(findings, observed, "completions with what followed")


def _followed(stream: Exchange, final: EventArrival, followers: list[EventArrival]) -> Finding:
    first, more = followers[0], len(followers) - 1
    return Finding(
        f"on {stream.name} {named(stream, first)} came at {first.time:.3f} s"
        f"{f' and {more} more' if more else ''}, after the completion, "
        f"{named(stream, final)} at {final.time:.3f} s",
        (
            evidence_for(stream, final),
            evidence_for(
                stream, first, expected="an end marker (dialect.end) or a heartbeat", actual=first.event.type
            ),
        ),
    )


def _is_more_work(final: EventArrival, each: EventArrival) -> bool:
    """A second completion is `once`'s; of an error there may be several accounts, e.g. `error`, `response.failed`."""
    if each.role is Role.FAILURE:
        return final.role is Role.COMPLETION
    return each.role is Role.PROGRESS


@rule(
    "completion.end-marker",
    claim="The end marker comes after the completion, once, and nothing comes after it.",
    why="A client that waits for the marker before it closes waits in vain, or leaves before the completion has "
    "come; one that takes a missing marker for a broken stream comes back for what it has.",
    source="https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol",
    mend="Append the completion and the marker to the stream's log in one step, in this order, and close the "
    "response only when both were sent. Send the marker in the one place where streams end, also for work that "
    "fails; not in a finally block that runs while the completion still waits in a queue.",
    scenarios=_WHERE,
    needs=("dialect.end",),
    timing=True,
)
def end_marker(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    if _mixes_works(history):
        return not_applicable(_ENDLESS)
    findings: list[Finding] = []
    doubts: list[str] = []
    seen = 0
    for connections in history.subscribers.values():
        for index, stream in enumerate(connections):
            if not stream.is_event_stream:
                continue
            marker = next(iter(stream.having(Role.END)), None)
            if marker is not None:
                seen += 1
                findings += _misplaced(history, stream, marker)
                continue
            if was_cancelled(history, stream):
                continue
            outcome = _unmarked(history, stream, connections[index + 1 :])
            if isinstance(outcome, Finding):
                findings.append(outcome)
            elif outcome:
                doubts.append(outcome)
    if not seen and not findings:
        return inconclusive(doubts[0] if doubts else "no subscriber saw a completion")
    return settle(findings, seen, "end markers")


def _misplaced(history: History, stream: Exchange, marker: Arrival) -> Iterator[Finding]:
    """What is wrong with where the marker came."""
    told = stream.having(Role.PROGRESS, Role.COMPLETION, Role.FAILURE, Role.END)
    place = marker.item.offset
    completed = any(
        each.item.offset < place and each.role in {Role.COMPLETION, Role.FAILURE} for each in told
    )
    for each in told:
        if each.item.offset <= place or not _is_same_work(history, stream, marker, each):
            continue
        if each.role is Role.END:
            wrong = f"came again at {each.time:.3f} s"
        elif each.role is Role.PROGRESS or completed:
            wrong = f"was not the last: {named(stream, each)} came at {each.time:.3f} s"
        else:
            wrong = f"came before the completion, {named(stream, each)} at {each.time:.3f} s"
        yield Finding(
            f"on {stream.name} the end marker at {marker.time:.3f} s {wrong}",
            (
                evidence_for(stream, marker),
                evidence_for(stream, each, expected="nothing after the end marker"),
            ),
        )
        return


def _unmarked(history: History, stream: Exchange, later: Iterable[Exchange]) -> Finding | str:
    """A completion that no marker followed, though the subscriber stayed for it or came back for it: a finding, or
    a doubt, or "". After a failure, not every protocol has one."""
    told = next(iter(_completions(stream).values()), None)
    if told is None or any(each.having(Role.END) for each in later):
        return ""
    if not watched_on(stream) or severed(history, stream) or held_back(history, stream):
        return f"{stream.name} was not watched to its end"
    if stream.how == "complete" and not later and "expect.resumable" in history.terms.declared:
        return f"{stream.name} was ended without it; whether it comes to who comes back was not tried"
    waited = f"{end_of(stream) - told[0].time:.3g} s after {named(stream, told[0])}"
    how = "was ended" if stream.how == "complete" else "was cut off"
    how = "was still open" if stream.how in {"timeout", "watched"} else how
    return Finding(
        f"no end marker came on {stream.name}: it {how} {waited}",
        (evidence_for(stream, told[0]), evidence_of(stream, "an end marker")),
    )


def _mixes_works(history: History) -> bool:
    """Whether the stream carries one piece of work after another, and nothing tells them apart."""
    terms = history.terms
    return _is_endless(history) and terms.dialect.scope is None and terms.dialect.stream is None


def _is_endless(history: History) -> bool:
    return history.terms.expect.terminates is False


def _completions(stream: Exchange) -> dict[str, list[EventArrival]]:
    """The completions by the work that they complete: on a bus there may be several."""
    found: dict[str, list[EventArrival]] = {}
    for each in stream.events:
        if each.role is Role.COMPLETION:
            found.setdefault(lane(stream.dialect, each), []).append(each)
    return found


def _failures(history: History, stream: Exchange) -> Iterable[list[EventArrival]]:
    """The failures by their content: of one failure there may be several accounts, but no two that are alike. On
    an endless stream an error may be passing, and come again."""
    found: dict[object, list[EventArrival]] = {}
    for each in () if _is_endless(history) else stream.events:
        if each.role is Role.FAILURE:
            found.setdefault((lane(stream.dialect, each), content(stream.dialect, each)), []).append(each)
    return found.values()


def _finals(history: History, stream: Exchange) -> Iterator[tuple[EventArrival, list[EventArrival]]]:
    """The events that said of a piece of work that it is over, each with what came of that work after it.

    An error is no end where a completion follows, and on an endless stream it may be passing.
    """
    finals = {name: told[0] for name, told in _completions(stream).items()}
    for each in () if finals or _is_endless(history) else stream.events:
        if each.role is Role.FAILURE:
            finals.setdefault(lane(stream.dialect, each), each)
    earliest = min(finals.values(), key=lambda each: each.event.offset, default=None)
    followers: dict[int, list[EventArrival]] = {id(final): [] for final in finals.values()}
    for each in stream.events:
        name = lane(stream.dialect, each)
        final = finals.get(name)
        if final is None and not _is_endless(history):  # it names no work, or the completion names none
            final = finals.get("") if name else earliest
        if final and each.event.offset > final.event.offset and _is_more_work(final, each):
            followers[id(final)].append(each)
    yield from ((final, followers[id(final)]) for final in finals.values())


def _is_same_work(history: History, stream: Exchange, one: Arrival, other: Arrival) -> bool:
    """Whether two events belong to the same work. One that names none does where the stream carries but one."""
    here, there = lane(stream.dialect, one), lane(stream.dialect, other)
    return here == there or ("" in {here, there} and not _is_endless(history))
