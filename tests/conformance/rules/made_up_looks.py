"""Made-up histories of who leaves and who cancels: looks at the server, as tests of cancel and isolation write them."""

import json
from collections.abc import Iterable

import msgspec
from made_up import TASK, answered, stream, terms

from conformance.config import Expect, Limits
from conformance.history import Chunk, Ended, Gauge, Head, Mark, Record, Requested, StatusTerms, Terms

JOB = {"job": "j1"}
STATUS = StatusTerms(
    pointer="/state",
    finished=("completed", "failed", "cancelled"),
    cancelled=("cancelled",),
    subscribers="/subscribers",
)


def held_to(
    expect: Expect | None = None, *, status: StatusTerms | None = STATUS, also: Iterable[str] = ()
) -> Terms:
    """Terms with a limit of 2 s for a cancellation and of 3 s for the end after the completion."""
    found = terms(
        TASK,
        expect or Expect(terminates=True),
        Limits(cancellation=2, close=3, completion=10),
        also=("target.cancel", *also),
    )
    return msgspec.structs.replace(found, status=status)


def look(
    at: float, took: float = 0.0, *, names: dict[str, str] | None = None, status: int = 200, **told: object
) -> list[Record]:
    """A question to the status endpoint, asked `at` and answered `took` seconds later."""
    name = f"status-{at:g}-{json.dumps(told)}"
    return [
        Requested(
            time=at,
            exchange=name,
            purpose="status",
            method="GET",
            url="http://h/j",
            names=JOB if names is None else names,
        ),
        Head(time=at + took, exchange=name, status=status),
        Chunk.of(at + took, name, json.dumps(told).encode()),
        Ended(time=at + took, exchange=name, how="complete"),
    ]


def sample(at: float, took: float = 0.0, **gauges: float) -> list[Record]:
    """A question to the probe."""
    name = f"probe-{at:g}"
    return [
        Requested(time=at, exchange=name, purpose="probe", method="GET", url="http://h/debug"),
        Head(time=at + took, exchange=name, status=200),
        Ended(time=at + took, exchange=name, how="complete"),
        *(Gauge(time=at + took, name=key, value=value) for key, value in gauges.items()),
    ]


def event(type: str, id: int, job: str = "j1", **more: object) -> str:
    """An event of the reference's dialect."""
    return f"id: {id}\nevent: {type}\ndata: {json.dumps({'seq': id, 'job': job, **more})}\n\n"


def left(
    name: str, came: float, at: float, *ids: int, gone: float | None = None, head: bool = True
) -> list[Record]:
    """A subscriber who gets these events of progress and leaves: decided `at`, gone a little later."""
    body = [(came + 0.1, event("progress", id)) for id in ids]
    records = stream(
        body,
        name=name,
        subscriber=name,
        at=came,
        how="dropped",
        ended=at if gone is None else gone,
        status=200 * head,
    )
    return sorted(
        [*records, Mark(time=at, what="dropping", exchange=name)],
        key=lambda record: (record.time, isinstance(record, Ended)),
    )


def cancelled(at: float, took: float = 0.0, *, status: int = 202, name: str = "cancel") -> list[Record]:
    """The request to cancel."""
    asked, *answer = answered("cancel", at=at, name=name, status=status, names=JOB)
    return [asked, *(msgspec.structs.replace(record, time=at + took) for record in answer)]
