"""Timeliness: two monitors of one stream hear of an event at the same time; and if not, where the lag arises."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from conformance.history import EventArrival, Exchange, History
from conformance.rules.order_content import excerpt, identified, label
from conformance.rules.rule import Judgement, broken, conforms, evidence_at, inconclusive, rule
from conformance.rules.stalls import room, steady
from conformance.rules.streams import nothing_to_read, pairs, readable
from conformance.rules.timeliness_clock import delays
from conformance.rules.timeliness_delivery import AUTHORING
from reports.outcome import plural
from reports.results import Finding

Where: TypeAlias = Literal["server", "link", "client"]

_SHOWN = 3


@dataclass(frozen=True)
class Lag:
    """One event at two subscribers: by how many seconds the second one got it later. Negative: earlier.

    `server` is the part of it that had passed when the event left the server, None where nobody saw that.
    """

    first: EventArrival
    second: EventArrival
    total: float
    server: float | None


def lags(one: Exchange, other: Exchange) -> list[Lag]:
    """The lags of the events that both got while both were there; what was replayed to a late one is old by right."""
    here, there = identified(one), identified(other)
    joined = max(_joined(one), _joined(other))
    return [
        _lag(first, there[key])
        for key, first in here.items()
        if key in there and min(first.left_server, there[key].left_server) >= joined
    ]


def _joined(stream: Exchange) -> float:
    """When the subscriber was let in for certain."""
    return stream.head.time if stream.head else stream.requested.time


def _lag(first: EventArrival, second: EventArrival) -> Lag:
    seen = first.at_link is not None and second.at_link is not None
    return Lag(
        first,
        second,
        second.time - first.time,
        second.left_server - first.left_server if seen else None,
    )


@rule(
    "timeliness.subscribers-agree",
    claim="Two subscribers of one stream get an event within limits.delivery of each other.",
    why="The orchestrator sees that the work is done and leaves, while the monitor still shows it at work: two "
    "truths at one time, and whoever looks at the monitor stops a thing that has ended.",
    source=AUTHORING,
    mend="If the server lags, let each subscriber have its own queue and its own task: one that writes to all "
    "subscribers in turn makes each wait for those before it. If the client lags, let it read what is there and "
    "not wait until its buffer is full (iter_content or read(n) with a large n waits; read1, iter_raw do not). If "
    "the link lags, look for a buffer on the way of the one and not of the other.",
    scenarios=("two-subscribers", "late-subscriber"),
    needs=("expect.shared",),
    timing=True,
)
@steady
def subscribers_agree(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    limit = history.terms.limits.delivery
    findings: list[Finding] = []
    by_link: list[str] = []
    compared: list[Lag] = []
    for one, other in pairs(history, streams):
        found = lags(one, other)
        compared += found
        for late, early, behind in _behind(one, other, found, limit + room(history)):
            where = _where(history, late, behind)
            finding = _lagging(late, early, behind, found, where, limit)
            if where == "link" and delays(history):
                by_link.append(finding.message)
            else:
                findings.append(finding)
    if findings:
        return broken(findings)
    if not compared:
        return inconclusive("the subscribers have no event in common that was made while both were there")
    worst = max(abs(lag.total) for lag in compared)
    note = f"; {by_link[0]}, by our own doing" if by_link else ""
    return conforms(len(compared), f"events in common, at most {worst:.3f} s apart{note}")


def _behind(
    one: Exchange, other: Exchange, found: Sequence[Lag], bound: float
) -> Iterator[tuple[Exchange, Exchange, list[Lag]]]:
    """Who lags behind whom, with the lags over the bound, as the late one has them."""
    if late := [lag for lag in found if lag.total > bound]:
        yield other, one, late
    if late := [_turned(lag) for lag in found if lag.total < -bound]:
        yield one, other, late


def _turned(lag: Lag) -> Lag:
    return Lag(lag.second, lag.first, -lag.total, None if lag.server is None else -lag.server)


def _where(history: History, late: Exchange, behind: Iterable[Lag]) -> Where:
    """Where most of the worst lag arises.

    Whoever has seen the event reach the link knows the server's part. The rest is the link's where it delays by
    plan, and else the client's, who reads late what is there. Without a link the harness reads at once, so what
    lags is the server, or what stands in front of it.
    """
    worst = max(behind, key=lambda lag: lag.total)
    if worst.server is None:
        return "link" if delays(history) else "server"
    if worst.server >= worst.total / 2:
        return "server"
    return "link" if late.fired else "client"


def _lagging(
    late: Exchange, early: Exchange, behind: Sequence[Lag], found: Sequence[Lag], where: Where, limit: float
) -> Finding:
    worst = sorted(behind, key=lambda lag: lag.total, reverse=True)[:_SHOWN]
    return Finding(
        f"{late.name} got {len(behind)} of {plural(len(found), 'event')} later than {early.name}, "
        f"{label(late.dialect, worst[0].second)} by {worst[0].total:.3f} s (limits.delivery is {limit:g} s); the lag "
        f"arises in the {where}{_or_before(worst[0], where)}",
        tuple(
            evidence_at(
                lag.second.time,
                late.name,
                offset=lag.second.event.offset,
                excerpt=excerpt(lag.second),
                expected=f"within {limit:g} s of {lag.first.time:.3f} s, when {early.name} got it",
                actual=f"{lag.total:.3f} s later" + _server_part(lag),
            )
            for lag in worst
        ),
    )


def _or_before(lag: Lag, where: Where) -> str:
    """Nobody can tell a server from a proxy in front of it, unless there was a link of ours to look from."""
    return ", or in what stands in front of it" if where == "server" and lag.server is None else ""


def _server_part(lag: Lag) -> str:
    return "" if lag.server is None else f", {lag.server:.3f} s of it before it left the server"
