"""Timeliness: the first event comes soon, and no silence is long."""

from collections.abc import Iterator
from itertools import pairwise

from conformance.dialect import Role
from conformance.history import Arrival, EventArrival, Exchange, History
from conformance.rules.order_content import excerpt
from conformance.rules.rule import (
    Judgement,
    broken,
    conforms,
    evidence_at,
    inconclusive,
    not_applicable,
    rule,
    settle,
)
from conformance.rules.scopes import READING
from conformance.rules.stalls import room, steady
from conformance.rules.streams import from_the_beginning, nothing_to_read, readable, resumes
from conformance.rules.timeliness_bursts import no_burst
from conformance.rules.timeliness_clock import knows, left_server
from conformance.rules.timeliness_delivery import AUTHORING, delivery, not_held_by_one
from conformance.rules.timeliness_subscribers import subscribers_agree
from conformance.wire import Comment, Violation
from reports.results import Finding

_OR_SO = 1.2  # a timer of 15 s is late by a little, and that is no fault


@rule(
    "timeliness.first-event",
    claim="The first event arrives within limits.first_event of the request.",
    why="Until the first event nobody knows whether the work runs: users reload, clients time out and come back, "
    "and the work is begun twice.",
    source=AUTHORING,
    mend="Send something as soon as the subscriber is there: the state as it is now, or an event that says the work "
    "was taken up. Do the slow part after that, not before the response begins, and flush.",
    scenarios=tuple(name for name in READING if name != "long-silence"),
    timing=True,
)
@steady
def first_event(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    due = [stream for stream in streams if _is_due_at_once(history, stream)]
    if not due:
        return not_applicable(
            'nobody was there from the beginning, and expect.replay is not "all": a late subscriber may have to wait'
        )
    limit = history.terms.limits.first_event
    bound = limit + room(history)
    findings: list[Finding] = []
    seen = 0
    doubt = ""
    for stream in due:
        first = next((each for each in stream.all_events if each.role is not Role.HEARTBEAT), None)
        waited = (first.left_server if first else _end(history, stream)) - stream.requested.time
        if first is not None and waited <= bound:
            seen += 1
        elif waited <= bound:
            doubt = doubt or f"connection {stream.name} had no event ({stream.how})"
        elif first is not None and not knows(history, first):
            doubt = (
                doubt or "the first event was late behind the link, which delays on purpose and did not tell"
            )
        elif not _ends(history, stream):
            doubt = doubt or (
                f"connection {stream.name} had no event for {waited:.3f} s: an endless stream may have none to send"
            )
        else:
            findings.append(_late(stream, first, waited, limit))
    if doubt and not findings:
        return inconclusive(doubt)
    return settle(findings, seen, "first events")


def _is_due_at_once(history: History, stream: Exchange) -> bool:
    """Whether the subscriber has an event coming: it was there from the beginning, or is told all from there."""
    if resumes(stream):
        return False
    return history.terms.expect.replay == "all" or from_the_beginning(history, stream)


def _ends(history: History, stream: Exchange) -> bool:
    """Whether the stream tells of work that comes to an end, so that there is something to tell."""
    if history.terms.expect.terminates is False:
        return False
    return "dialect.completion" in history.terms.declared or stream.how == "complete"


def _end(history: History, stream: Exchange) -> float:
    return stream.ended.time if stream.ended else history.began.time + history.duration


def _late(stream: Exchange, first: EventArrival | None, waited: float, limit: float) -> Finding:
    what = f"came {waited:.3f} s after the request" if first else f"had not come after {waited:.3f} s"
    return Finding(
        f"the first event on connection {stream.name} {what}; limits.first_event is {limit:g} s",
        (
            evidence_at(
                stream.requested.time + waited,
                stream.name,
                offset=first.event.offset if first else None,
                excerpt=excerpt(first) if first else "",
                expected=f"within {limit:g} s",
                actual=f"{waited:.3f} s" if first else "none",
            ),
        ),
    )


@rule(
    "timeliness.heartbeat",
    claim="No silence is longer than limits.silence: an event comes, or a heartbeat.",
    why="Proxies and load balancers close a connection on which nothing moves, often after 30 or 60 seconds, and "
    "a client cannot tell a silent server from a dead one.",
    source=AUTHORING,
    mend='Send a comment (":" and an empty line), or an event of its own type, whenever nothing was sent for 15 '
    "seconds or so: wait for the next event with a timeout, and on the timeout write the heartbeat and flush it. "
    "The timer belongs to the connection, so that it also runs while the work is busy.",
    scenarios=READING,
    timing=True,
)
@steady
def heartbeat(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    limit = history.terms.limits.silence
    bound = max(limit * _OR_SO, limit + room(history))
    findings: list[Finding] = []
    carried = 0
    unknown = False
    for stream in streams:
        signs = _signs_of_life(history, stream)
        for start, end in pairwise(signs):
            if end - start > bound:
                if _tells(history, stream):
                    findings.append(_silence(stream, start, end, limit))
                unknown = True
        carried += sum(end - start > bound for start, end in pairwise(_told(history, stream)))
    if findings:
        return broken(findings)
    if unknown:
        return inconclusive(
            "there was a long silence behind the link, which delays on purpose and did not tell"
        )
    if carried:
        return conforms(carried, f"silences longer than {limit:g} s, carried by heartbeats")
    reason = f"no silence was longer than limits.silence ({limit:g} s)"
    return inconclusive(reason) if history.scenario == "long-silence" else not_applicable(reason)


def _tells(history: History, stream: Exchange) -> bool:
    return left_server(history, stream) is not None


def _signs_of_life(history: History, stream: Exchange) -> list[float]:
    """The moments at which a client could know that the stream is alive, from its begin to its end.

    Where the dialect says what a heartbeat is, events and heartbeats count. Where it does not, every byte does.
    """
    if stream.dialect.heartbeat:
        moments = [each.left_server for each in stream.arrivals if _is_alive(each)]
    else:
        moments = [time for time, _ in left_server(history, stream) or ()]
        moments = moments or [each.left_server for each in stream.arrivals]
    return list(_between(history, stream, moments))


def _is_alive(arrival: Arrival) -> bool:
    if isinstance(arrival.item, Violation):
        return False
    return arrival.role is Role.HEARTBEAT or not isinstance(arrival.item, Comment)


def _told(history: History, stream: Exchange) -> list[float]:
    """The moments at which the stream had something to tell, from its begin to its end."""
    moments = [each.left_server for each in stream.all_events if each.role is not Role.HEARTBEAT]
    return list(_between(history, stream, moments))


def _between(history: History, stream: Exchange, moments: list[float]) -> Iterator[float]:
    """The moments with the begin and the end of the time in which the stream is to be alive.

    After the end of the work a stream need not be; and behind a link nobody saw when the server began and ended.
    """
    direct = not history.began.plan
    if direct and stream.head is not None:
        yield stream.head.time
    over = None if history.terms.expect.terminates is False else stream.completed
    for moment in moments:
        if over is None or moment <= over.left_server:
            yield moment
    if direct and over is None:
        yield _end(history, stream)


def _silence(stream: Exchange, start: float, end: float, limit: float) -> Finding:
    return Finding(
        f"nothing came on connection {stream.name} for {end - start:.3f} s, from {start:.3f} s to {end:.3f} s; "
        f"limits.silence is {limit:g} s",
        (
            evidence_at(
                start,
                stream.name,
                expected=f"an event or a heartbeat within {limit:g} s",
                actual=f"none for {end - start:.3f} s",
            ),
        ),
    )


RULES = (first_event, delivery, no_burst, not_held_by_one, heartbeat, subscribers_agree)
