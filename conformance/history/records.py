"""What a history is made of: one frozen record for each thing that happened.

Times are seconds since the run began, on the run's clock. `exchange` names one HTTP request and what came of
it, e.g. `a`, `a-2` for the second connection of subscriber `a`, `status-1`. On disk a history is JSON Lines:
one record a line, the first one is `Began`. Strings may hold whatever a peer sent.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from conformance.config import Expect, Limits, Status
from conformance.dialect import Dialect
from conformance.pointer import Pointer
from fault_injection.faults import Fault, Plan

VERSION = 1

Purpose: TypeAlias = Literal["stream", "start", "status", "cancel", "probe", "other"]

How: TypeAlias = Literal[
    "complete",  # the response ended as HTTP says it should
    "truncated",  # the connection ended before the response did
    "reset",  # the peer reset the connection
    "dropped",  # the scenario left, on purpose
    "watched",  # an endless stream: the time to watch it was over
    "timeout",  # a limit passed; `detail` names it
    "body-limit",  # more bytes than `limits.body`
    "refused",  # nobody listens there
    "unreachable",  # no route, no such host, or no answer to the connection request
    "tls",  # the TLS handshake failed
    "protocol",  # what came is not HTTP/1.1, or redirects without end
]


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", omit_defaults=True):
    time: float = 0.0


class StatusTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How to read what the status endpoint answers (see `conformance.config.Status`)."""

    pointer: Pointer | None = None
    finished: tuple[str | int | bool, ...] = ()
    cancelled: tuple[str | int | bool, ...] = ()
    subscribers: Pointer | None = None

    @classmethod
    def of(cls, status: Status | None) -> "StatusTerms | None":
        """What judging needs of it. Its path and headers stay out, for they may hold secrets."""
        if status is None:
            return None
        return cls(
            pointer=status.pointer,
            finished=status.finished or (),
            cancelled=status.cancelled or (),
            subscribers=status.subscribers,
        )


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the subject is held to: the configuration that judging needs, presets resolved.

    `declared` are the configuration keys that hold a value, e.g. `dialect.completion`. `assumed` says which
    of them were recognised in the stream instead of being configured. `status` is None where no status
    endpoint is configured.
    """

    dialect: Dialect = Dialect()
    expect: Expect = Expect()
    limits: Limits = Limits()
    status: StatusTerms | None = None
    declared: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


class Began(_Record, frozen=True, tag="began"):
    """The run's first record: what was driven, and on which terms. `at` is wall-clock time in seconds since
    the epoch when `time` was 0; `clock` says whether time was real."""

    version: int = VERSION
    harness: str = ""
    at: float = 0.0
    clock: Literal["real", "virtual"] = "real"
    target: str = ""
    scenario: str = ""
    seed: int = 0
    plan: Plan = Plan()
    link: Literal["none", "proxy", "toxiproxy"] = "none"
    terms: Terms = Terms()


class Requested(_Record, frozen=True, tag="requested"):
    """A request is about to be sent. `subscriber` names whose stream this is, over its reconnections.

    `last_event_id` is the one that the subscriber comes back with, wherever in the request it stands; None: it comes
    with none, or the history is older than this field and the header tells. `opened` is the exchange that opened the
    stream to which it comes back; "": what this request asks for is what it names.
    """

    exchange: str
    purpose: Purpose
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    subscriber: str = ""
    names: dict[str, str] = {}
    last_event_id: str | None = None
    opened: str = ""


class Connected(_Record, frozen=True, tag="connected"):
    """The connection stands; `local` is the subscriber's address, by which a link in between knows it."""

    exchange: str
    local: str = ""


class Head(_Record, frozen=True, tag="head"):
    """The head of the response. `url` is where it came from if redirects were followed."""

    exchange: str
    status: int
    reason: str = ""
    http_version: str = "HTTP/1.1"
    headers: tuple[tuple[str, str], ...] = ()
    url: str = ""


class Chunk(_Record, frozen=True, tag="chunk"):
    """Bytes of the response's body as they arrived, transfer coding removed, content coding not."""

    exchange: str
    text: str = ""
    base64: bytes = b""

    @classmethod
    def of(cls, time: float, exchange: str, data: bytes) -> "Chunk":
        """The record for these bytes: as text where they are UTF-8, so that a history can be read."""
        try:
            return cls(time=time, exchange=exchange, text=data.decode())
        except UnicodeDecodeError:
            return cls(time=time, exchange=exchange, base64=data)

    @property
    def data(self) -> bytes:
        return self.base64 or self.text.encode()


class Relayed(_Record, frozen=True, tag="relayed"):
    """So many bytes of the body (from its beginning) had reached the link from the server by now. What comes
    out later is held by the link, not by the server. `peer` is the subscriber's address."""

    peer: str
    end: int


class Ended(_Record, frozen=True, tag="ended"):
    """How the exchange ended, and in a sentence what was seen."""

    exchange: str
    how: How
    detail: str = ""


class Mark(_Record, frozen=True, tag="mark"):
    """Something that the scenario did or saw, e.g. `completion seen`, `dropping`, `server killed`."""

    what: str
    exchange: str = ""
    detail: str = ""


class Fired(_Record, frozen=True, tag="fired"):
    """A fault acted. `index` is its place in the plan, `peer` the address of the subscriber that it hit."""

    fault: Fault
    index: int
    peer: str = ""
    detail: str = ""


SERVER_UP = "server.up"
"""The gauge of whether a server that the harness started still runs when a scenario is over: 1 or 0."""

OWN_MEMORY = "harness.memory"
"""The gauge of the harness's own resident memory (bytes)."""

SUBSCRIBERS = "subscribers"
"""The gauge (`target.probe.gauges`) that counts subscribers, where the status does not."""

ACTIVE = "active"
"""The gauge that counts work that is under way, where there is no status."""

Phase: TypeAlias = Literal["", "before", "during", "after"]


class Gauge(_Record, frozen=True, tag="gauge"):
    """What a probe answered; `value` None where it could not see, and `detail` why.

    `phase`: where in the scenario it was asked. `cycles`: how many connections had come and gone by then.
    """

    name: str
    value: float | None
    detail: str = ""
    phase: Phase = ""
    cycles: int = 0


class Left(_Record, frozen=True, tag="left"):
    """Something that the application left behind when it was shut down: its kind, its name, the line where it was
    created, and the library that made it ("": the application itself)."""

    kind: str
    name: str
    created_at: str = ""
    owner: str = ""
    detail: str = ""


class Exited(_Record, frozen=True, tag="exited"):
    """The server ended after it had been asked to by `signal`, at the mark `SIGNALLED`. `code` is its exit code,
    negative where a signal ended it (-15: SIGTERM); None: it was still there when it was waited for no longer.
    What is left of it afterwards is told by `Left` (kind "process") and `PORT_TAKEN`."""

    signal: str
    code: int | None = None


SIGNALLED = "server signalled"
"""The mark that the server was asked to end; its detail is the signal's name."""

LOOKED_AFTER = "looked for what is left of the server"
"""The mark that, after its exit, its processes and its port were looked for."""

PORT_TAKEN = "port taken"
"""The mark that after the server's exit its address still took connections."""

NOT_STARTED_AGAIN = "server not started again"
"""The mark that after its exit it could not be started again; its detail says why."""


HARNESS_LOOKED = "harness looked at itself"
"""The mark that after the scenario the harness looked for what itself has left behind; its detail says for what."""

HARNESS_LEFT = "harness left behind"
"""The mark of something that the harness itself has left behind; its detail says what."""


class Concluded(_Record, frozen=True, tag="concluded"):
    """The last record. `skipped`: the scenario could not be driven here, and why. `unreached`: the target did
    not answer in a way that let it be driven. `failed`: the harness broke."""

    outcome: Literal["done", "skipped", "unreached", "failed", "interrupted"] = "done"
    reason: str = ""


Record: TypeAlias = (
    Began
    | Requested
    | Connected
    | Head
    | Chunk
    | Relayed
    | Ended
    | Mark
    | Fired
    | Gauge
    | Left
    | Exited
    | Concluded
)


def schema() -> dict[str, Any]:
    """The JSON Schema of one line of a history."""
    return msgspec.json.schema(Record)
