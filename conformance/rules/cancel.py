"""Cancel: the server notices that a subscriber has left, at whatever point of the stream, and keeps nothing of it."""

from collections.abc import Callable, Iterable

from conformance.history import Exchange, History
from conformance.rules.cancel_counted import nobody_counted
from conformance.rules.cancel_looks import (
    At,
    Look,
    Moment,
    Places,
    against,
    counted_apart,
    counts,
    evidence_from,
    gauge,
    over_at,
    unclear,
    uncounted,
)
from conformance.rules.cancel_request import acknowledged, twice
from conformance.rules.cancel_streams import others_unaffected, stays_cancelled, stream_told, superseded
from conformance.rules.cancel_work import work_stops, work_survives
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.streams import nothing_to_read, readable
from reports.results import Finding

_GAUGES = "target.probe.gauges."
_UNTOLD = "the count of subscribers did not rise while one was there: it does not tell of them"


@rule(
    "cancel.noticed",
    claim="Within limits.cancellation after a subscriber has left, the server counts it no more.",
    why="Whoever is gone and not noticed keeps a connection, a queue that fills and what the stream holds. A server "
    "that notices only at its next write keeps all of it for as long as it has nothing to say, and with FIN for one "
    "write longer.",
    source="https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event",
    mend="Listen for the client's end beside the work instead of finding it by a write that fails: await "
    "request.is_disconnected() or the http.disconnect message in a task of its own (Starlette), req.on('close') "
    "(Node), r.Context().Done() (Go); then cancel what produces, and unsubscribe in a finally.",
    scenarios=("leaving", "cut-off"),
    timing=True,
)
def noticed(history: History) -> Judgement:
    if history.scenario == "explore":
        return nobody_counted(history)
    if not readable(history):
        return nothing_to_read(history)
    limit = history.terms.limits.cancellation
    findings: list[Finding] = []
    doubts: list[str] = []
    seen = rose = 0
    places = Places(history)
    for stream in history.streams:
        came = places.at(stream.requested)
        if _was_before_head(stream):
            continue
        since = over_at(history, stream)
        looks = _until_the_next(history, stream, counts(history, stream), counted_apart(history))
        before = _last_before(looks, came)
        if since is None or before is None:
            doubts.append(f"{stream.name} did not leave" if since is None else uncounted(history, stream))
            continue
        rose += any(each.value > before.value and _within(each, came, since) for each in looks)
        outcome = against(since, limit, looks, _no_more_than(before))
        if outcome.last is not None and outcome.what == "late":
            findings.append(_unnoticed(stream, since, outcome.last, before, limit))
        elif outcome.what == "unclear":
            what = f"the server had noticed that {stream.name} was gone"
            doubts.append(unclear(outcome, since, limit, what))
        else:
            seen += 1
    if findings:
        return settle(findings, seen, "")
    if doubts:
        return inconclusive(doubts[0])
    if seen and not rose:
        return inconclusive(_UNTOLD)
    return settle(findings, seen, "subscribers whose leaving was noticed")


@rule(
    "cancel.before-head",
    claim="A client that is gone before the head leaves nothing: counts and gauges are back within "
    "limits.cancellation.",
    why="What is taken when the request comes, and given back where the body ends, stays taken when the body never "
    "begins. Impatient users and health checks do that all day, and each costs a slot until the server turns "
    "everybody away.",
    source="https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event",
    mend="Take slots, subscriptions and tasks inside the body's own try, or with async with in the generator: a "
    "generator that is never started never runs its finally. What must be taken earlier needs a finally of its own "
    "around the whole handler, or a background task of the response.",
    scenarios=("leaving", "cut-off"),
    timing=True,
)
def before_head(history: History) -> Judgement:
    limit = history.terms.limits.cancellation
    findings: list[Finding] = []
    doubts: list[str] = []
    back = gone = 0
    for stream in filter(_was_before_head, history.streams):
        since = over_at(history, stream)
        if since is None:
            continue
        gone += 1
        for name, all_looks, apart in _everything_counted(history, stream):
            looks = _until_the_next(history, stream, all_looks, apart)
            before = _last_before(looks, Places(history).at(stream.requested))
            if before is None:
                continue
            outcome = against(since, limit, looks, _no_more_than(before))
            if outcome.last is not None and outcome.what == "late":
                findings.append(_kept(stream, since, name, outcome.last, before))
            elif outcome.what == "unclear":
                doubts.append(unclear(outcome, since, limit, f"{name} was back where it had been"))
            else:
                back += 1
    if findings:
        return settle(findings, back, "")
    if doubts:
        return inconclusive(doubts[0])
    if not gone:
        return inconclusive("nobody was gone before the head came")
    if not back:
        return inconclusive("no count and no gauge could be read before the client came that was gone")
    return settle(findings, back, "gauges that were back where they had been")


def _was_before_head(stream: Exchange) -> bool:
    """Whether the client was gone before there could be a head."""
    return stream.head is None and not any(fired.fault.direction == "downstream" for fired in stream.fired)


def _everything_counted(history: History, stream: Exchange) -> Iterable[tuple[str, tuple[Look, ...], bool]]:
    """All that must be back: the count of subscribers, where the status tells it, and the configured gauges;
    and whether it is counted for this work alone."""
    if counted_apart(history):
        yield "the count of subscribers", counts(history, stream), True
    declared = [key for key in history.terms.declared if key.startswith(_GAUGES)]
    for name in dict.fromkeys(key.removeprefix(_GAUGES).partition(".")[0] for key in declared):
        yield f"the gauge {name}", gauge(history, name), False


def _until_the_next(history: History, stream: Exchange, looks: Iterable[Look], apart: bool) -> list[Look]:
    """The looks before somebody came who is counted with this subscriber, or, where all are, before more was begun."""
    places = Places(history)
    came = places.at(stream.requested)
    others = (
        each.requested
        for each in history.exchanges
        if each.requested.purpose in ({"stream"} if apart else {"start", "stream"})
        and (not apart or each.requested.names == stream.requested.names)
    )
    until = min((at for each in others if (at := places.at(each)) > came), default=None)
    return [look for look in looks if until is None or look.answered < until]


def _last_before(looks: Iterable[Look], came: At) -> Look | None:
    return max((look for look in looks if look.answered < came), key=lambda look: look.answered, default=None)


def _within(look: Look, came: At, since: Moment) -> bool:
    """Whether the look was taken while the subscriber was there."""
    return came < look.asked and look.answered < since.late


def _no_more_than(before: Look) -> Callable[[Look], bool]:
    return lambda look: bool(look.value <= before.value)


def _unnoticed(stream: Exchange, since: Moment, last: Look, before: Look, limit: float) -> Finding:
    passed = last.asked.time - since.late.time
    how = stream.ended.detail if stream.ended and stream.ended.detail else stream.how
    noun = "subscriber" if last.value == 1 else "subscribers"
    return Finding(
        f"{stream.name} was gone at {since.late.time:.3f} s, and {passed:.3g} s later the server still counted "
        f"{last.value:g} {noun}, as before it left (limits.cancellation: {limit:g} s)",
        (
            evidence_at(since.late.time, stream.name, actual=how),
            evidence_from(last, expected=f"{before.value:g}", actual=f"{last.value:g}"),
        ),
    )


def _kept(stream: Exchange, since: Moment, name: str, last: Look, before: Look) -> Finding:
    return Finding(
        f"{stream.name} was gone before the head, at {since.late.time:.3f} s; {name} was {before.value:g} before it "
        f"came and is {last.value:g} {last.asked.time - since.late.time:.3g} s after it left",
        (evidence_from(last, expected=f"{before.value:g}", actual=f"{last.value:g}"),),
    )


RULES = (
    noticed,
    before_head,
    work_stops,
    work_survives,
    acknowledged,
    twice,
    stream_told,
    stays_cancelled,
    others_unaffected,
    superseded,
)
