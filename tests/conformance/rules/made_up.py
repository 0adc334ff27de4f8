"""Histories made up of a few records, for tests of rules: what a server might have done, without a server."""

from collections.abc import Iterable, Sequence
from typing import Literal

from conformance.config import Config, Expect, Limits, Target
from conformance.dialect import Dialect, Matcher, effective_dialect
from conformance.history import (
    Began,
    Chunk,
    Concluded,
    Connected,
    Ended,
    Fired,
    Head,
    History,
    How,
    Mark,
    Record,
    Relayed,
    Requested,
    Terms,
    history,
)
from conformance.judging import held
from fault_injection.faults import Fault, Plan

WALL = 1_700_000_000.0
"""Wall-clock time when a made-up history began, in seconds since 1970."""

Body = Iterable[tuple[float, str | bytes]]
"""Pieces of a body: when each arrived (seconds), and what."""

EVENT_STREAM = (("content-type", "text/event-stream"),)


def terms(
    dialect: Dialect | None = None,
    expect: Expect | None = None,
    limits: Limits | None = None,
    *,
    also: Iterable[str] = (),
) -> Terms:
    """What the subject is held to. Whatever is given counts as declared, and the keys in `also`."""
    dialect = effective_dialect(dialect or Dialect())
    expect, limits = expect or Expect(), limits or Limits()
    config = Config(target=Target(), dialect=dialect, expect=expect, limits=limits)
    declared = tuple(sorted({*held(config), *also}))
    return Terms(dialect=dialect, expect=expect, limits=limits, declared=declared)


TASK = Dialect(preset="task-stream")
"""The dialect of the reference: ids, `/timestamp`, `complete`, `stream_end`, comments as heartbeats."""

TYPED = Dialect(
    json=True,
    completion=(Matcher(pointer="/type", equals="done"),),
    heartbeat=(Matcher(pointer="/type", equals="heartbeat"), Matcher(comment=True)),
)
"""A dialect without sequence and timestamp: `/type` says it all."""


def stream(
    pieces: Body = (),
    *,
    name: str = "a",
    subscriber: str | None = None,
    at: float = 0.0,
    head: float | None = None,
    status: int = 200,
    headers: Sequence[tuple[str, str]] = EVENT_STREAM,
    sent: Sequence[tuple[str, str]] = (),
    how: How | None = "complete",
    ended: float | None = None,
    detail: str = "",
    relayed: Body | None = None,
    fired: Sequence[tuple[float, Fault]] = (),
    method: str = "GET",
    url: str = "http://127.0.0.1:8000/jobs/j1/events",
    names: dict[str, str] | None = None,
    version: str = "HTTP/1.1",
    led_to: str = "",
) -> list[Record]:
    """The records of one subscriber's connection: requested `at`, answered at `head` (None: at once), ended at
    `ended` (None: with the last piece), or still open where `how` is None.

    `headers` are the response's, `sent` the request's. `relayed` is when which bytes of the body had reached the
    link; `fired` are the faults that hit this connection. `status` 0: no head came. `version` is HTTP's; `led_to`
    the URL to which redirects led.
    """
    arrived = [(time, _bytes(data)) for time, data in pieces]
    begun = at if head is None else head
    local = f"127.0.0.1:{40_000 + sum(name.encode())}"
    records: list[Record] = [
        Requested(
            time=at,
            exchange=name,
            purpose="stream",
            method=method,
            url=url,
            headers=tuple(sent),
            subscriber=name.partition("-")[0] if subscriber is None else subscriber,
            names={"job": "j1"} if names is None else names,
        ),
        Connected(time=at, exchange=name, local=local),
    ]
    if status:
        head_record = Head(
            time=begun,
            exchange=name,
            status=status,
            http_version=version,
            headers=tuple(headers),
            url=led_to,
        )
        records.append(head_record)
    records += [Chunk.of(time, name, data) for time, data in arrived]
    end = 0
    for time, data in relayed or ():
        end += len(_bytes(data))
        records.append(Relayed(time=time, peer=local, end=end))
    records += [Fired(time=time, fault=fault, index=0, peer=local) for time, fault in fired]
    if how is not None:
        last = ended if ended is not None else arrived[-1][0] if arrived else begun
        records.append(Ended(time=last, exchange=name, how=how, detail=detail))
    return records


def answered(
    purpose: Literal["start", "status", "cancel", "probe", "other"] = "start",
    *,
    at: float = 0.0,
    name: str | None = None,
    status: int = 200,
    body: str = "{}",
    method: str = "POST",
    url: str = "http://127.0.0.1:8000/jobs",
    names: dict[str, str] | None = None,
) -> list[Record]:
    """The records of a request that is no stream, answered at once."""
    name = name or purpose
    return [
        Requested(
            time=at,
            exchange=name,
            purpose=purpose,
            method=method,
            url=url,
            names={} if names is None else names,
        ),
        Head(time=at, exchange=name, status=status, headers=(("content-type", "application/json"),)),
        Chunk.of(at, name, body.encode()),
        Ended(time=at, exchange=name, how="complete"),
    ]


def marked(what: str, at: float = 0.0, detail: str = "") -> list[Record]:
    """The record of something that the scenario did."""
    return [Mark(time=at, what=what, detail=detail)]


def made_up(
    *groups: Iterable[Record],
    terms: Terms | None = None,
    scenario: str = "subscribe",
    plan: Plan | None = None,
    link: Literal["none", "proxy", "toxiproxy"] | None = None,
    clock: Literal["real", "virtual"] = "virtual",
    target: str = "http://127.0.0.1:8000",
    at: float = WALL,
    concluded: bool = True,
) -> History:
    """A history of these records. `link` None: the embedded proxy where there is a plan, else none."""
    plan = plan or Plan()
    began = Began(
        at=at,
        clock=clock,
        target=target,
        scenario=scenario,
        plan=plan,
        link=link or ("proxy" if plan else "none"),
        terms=terms if terms is not None else Terms(),
    )
    records: list[Record] = [began, *(record for group in groups for record in group)]
    if concluded:
        records.append(Concluded(time=max(record.time for record in records)))
    return history(records)


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
