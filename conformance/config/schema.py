"""The configuration as frozen data. The TOML keys are the contract; what None means: not declared.

Every constrained type carries a description: it is what an error message says is allowed.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from conformance.dialect.dialect import Dialect
from conformance.pointer import Pointer

_END = r"(?![\s\S])"  # `$` would let a closing newline through
_DAY = 86400

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
Path: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^/[^\s\x00-\x1f#]*{_END}", description='a path such as "/jobs/{job}" that starts with "/"'
    ),
]
Url: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#][^\s]*{_END}",
        description='an http or https URL such as "http://127.0.0.1:8000"',
    ),
]
Name: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=rf"^[A-Za-z_][A-Za-z0-9_]*{_END}", description="a name of letters, digits and _"),
]
HeaderName: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=rf"^[!#$%&'*+.^_`|~0-9A-Za-z-]+{_END}", description="the name of an HTTP header"),
]
HeaderValue: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[^\r\n\x00]*{_END}", description="the value of an HTTP header, a string on one line"
    ),
]
Headers: TypeAlias = dict[HeaderName, HeaderValue]
Seconds: TypeAlias = Annotated[
    float, msgspec.Meta(gt=0, le=_DAY, description=f"a number of seconds above 0 and up to {_DAY} (a day)")
]
Lag: TypeAlias = Annotated[
    float, msgspec.Meta(ge=0, le=_DAY, description=f"a number of seconds from 0 up to {_DAY} (a day)")
]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, description="a whole number from 1 up")]
Crowd: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=20_000, description="a whole number from 1 to 20000")]
Bytes: TypeAlias = Annotated[
    int, msgspec.Meta(ge=1024, le=2**30, description="a number of bytes from 1024 to 1073741824 (1 GiB)")
]
App: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?{_END}",
        description='an ASGI application such as "package.module:app"',
    ),
]
States: TypeAlias = Annotated[
    tuple[
        Annotated[str | int | bool, msgspec.Meta(description="a string, a whole number or a boolean")], ...
    ],
    msgspec.Meta(min_length=1, description='a list of at least one value such as ["completed", "failed"]'),
]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all tables share: unknown keys are errors."""


class AnswerHeader(_Table, frozen=True, kw_only=True):
    """A header of an answer, e.g. `Mcp-Session-Id`."""

    header: HeaderName


class Request(_Table, frozen=True, kw_only=True):
    """A request that is no stream. At most one of `json` and `body`; placeholders are filled in the strings inside
    `json`."""

    method: Method = "POST"
    path: Path
    headers: Headers = {}
    json: Any = None
    body: str | None = None


class Step(Request, frozen=True, kw_only=True):
    """A request on the way to the stream.

    `capture` takes values out of the answer: a name (used elsewhere as `{name}`), and a JSON Pointer or the name of a
    header. Where the answer is an event stream, the pointer leads into the data of its events: the first that has it
    counts, and the stream is left when everything has come.
    """

    capture: dict[
        Name,
        Annotated[
            Pointer | AnswerHeader,
            msgspec.Meta(
                description='a JSON Pointer such as "/id" or "/items/0", or a header such as '
                '{ header = "Mcp-Session-Id" }'
            ),
        ],
    ] = {}


class Start(Step, frozen=True, kw_only=True):
    """The request that begins the work and names the stream. `then` are requests that follow it, one after the other,
    before anybody subscribes; each may use what was captured before it."""

    then: tuple[Step, ...] = ()


class Stream(_Table, frozen=True, kw_only=True):
    """The request that opens an event stream, or resumes one. `path` None: the path and query of `target.url`
    itself; of one that resumes, those of the request that opens. `{exchange}` in it is the request's name, another one
    for each."""

    method: Method = "GET"
    path: Path | None = None
    headers: Headers = {}
    json: Any = None
    body: str | None = None


class Status(Request, frozen=True, kw_only=True):
    """Where the work's state can be asked: `pointer` leads to it in the JSON answer, `finished` are the states that are
    final, `cancelled` those it may say once the work was stopped, `subscribers` leads to a count of open streams."""

    method: Method = "GET"
    pointer: Pointer | None = None
    finished: States | None = None
    cancelled: States | None = None
    subscribers: Pointer | None = None


class Cancel(Request, frozen=True, kw_only=True):
    """The request that stops the work."""


class Metric(_Table, frozen=True, kw_only=True):
    """A metric in Prometheus' text format: the sum of its samples that have these labels, and maybe others."""

    metric: Annotated[str, msgspec.Meta(min_length=1, description='a name such as "streams_open"')]
    labels: dict[str, str] = {}


class Probe(_Table, frozen=True, kw_only=True):
    """Where the server's gauges can be asked (GET): a name for each, and where its number stands. That is a JSON
    Pointer, or a metric where the answer is in Prometheus' text format."""

    path: Path
    headers: Headers = {}
    gauges: Annotated[
        dict[
            Name,
            Annotated[
                Pointer | Metric,
                msgspec.Meta(
                    description='a JSON Pointer such as "/tasks", or a Prometheus metric such as '
                    '{ metric = "streams_open", labels = { kind = "sse" } }'
                ),
            ],
        ],
        msgspec.Meta(min_length=1, description='a table of at least one gauge such as { tasks = "/tasks" }'),
    ]


class Override(_Table, frozen=True, kw_only=True):
    """What a variant changes in a request; None (or empty) leaves it as it is. `json` is merged in depth."""

    method: Method | None = None
    path: Path | None = None
    headers: Headers = {}
    json: Any = None
    body: str | None = None


class Variant(_Table, frozen=True, kw_only=True):
    """Another way to start (or, where the stream's own request begins the work, to subscribe)."""

    start: Override | None = None
    stream: Override | None = None


class Target(_Table, frozen=True, kw_only=True):
    """What is tested: at least one of `url`, `command`, `app`.

    `url` is where requests go; their paths replace its path (RFC 3986, section 5.2.2). `command` starts a
    server: `{port}` in it is the port of `url` where that names one, else a free one. `ready` is polled until
    it answers below 500. `instances`: how many of it may run side by side, each on a port of its own; scenarios that
    measure or disturb a whole server then need not wait for one another. `app` is an ASGI application, run in process
    on an event loop of `app_loop`. `pid` is the process of a server that runs already on this machine, to be looked
    into. `resume` is the request of a subscriber that comes back with a last event ID, `{last_event_id}` in it; None:
    `stream` once more. Where it has no such placeholder, and by default, the ID is the header Last-Event-ID. With
    `{last_sequence}` in it, the sequence of the last event (`dialect.sequence`) stands for the ID.
    """

    url: Url | None = None
    command: (
        Annotated[
            tuple[str, ...],
            msgspec.Meta(
                min_length=1, description='a list of strings such as ["python", "app.py", "--port", "{port}"]'
            ),
        ]
        | None
    ) = None
    ready: Path | None = None
    instances: Annotated[int, msgspec.Meta(ge=1, le=16, description="a number of servers from 1 to 16")] = 1
    pid: Annotated[int, msgspec.Meta(ge=1, description="the number of a process")] | None = None
    app: App | None = None
    app_loop: Literal["asyncio", "trio"] | None = None
    start: Start | None = None
    stream: Stream = Stream()
    resume: Stream | None = None
    status: Status | None = None
    cancel: Cancel | None = None
    probe: Probe | None = None
    variants: dict[Name, Variant] = {}


class Expect(_Table, frozen=True, kw_only=True):
    """What the stream is expected to do; None: not declared.

    `events`: how many, completion included. `terminates`: the server ends the stream after completion.
    `resumable`: it honours Last-Event-ID. `replay`: what a late subscriber gets. `shared`: several
    subscribers may attach to one stream. `abandoned`: what becomes of work that nobody subscribes to any more.
    `superseding`: a second stream of the same session ends the first. The last two speak of `target.variants`
    `abandoned` and `superseding`, where these are configured.
    """

    events: Count | None = None
    terminates: bool | None = None
    resumable: bool | None = None
    replay: Literal["all", "none", "since-id"] | None = None
    shared: bool | None = None
    abandoned: Literal["stops", "continues"] | None = None
    superseding: bool | None = None


class Limits(_Table, frozen=True, kw_only=True):
    """Seconds, but `body`, which is bytes, and `events`, `crowd` and `cycles`, which are counts.

    `connect`: to an accepted connection. `head`: from the request to the response head. `first_event`: from
    the request to the first event. `silence`: the longest gap without an event or a heartbeat. `delivery`:
    from an event's timestamp to its arrival. `close`: from completion (or the end marker) to the end of the
    response. `completion`: from the start to completion. `cancellation`: from a cancel or a disconnect to the
    end of the work. `status`: from the completion until the status endpoint must say so, too; 0: at once. `shutdown`:
    from SIGTERM to the exit. `body`: how much of each response is recorded.
    `crowd`: how many streams at once the server may be asked for; each takes a port of this machine, which has some
    28,000 for one address. None: 20 of a server that the harness started, none of any other. `cycles`: how often the
    connect storm connects and drops; None: as often as fits into some two seconds, and
    more often where the server's memory grows.
    """

    connect: Seconds = 5.0
    head: Seconds = 5.0
    first_event: Seconds = 5.0
    silence: Seconds = 15.0
    delivery: Seconds = 1.0
    close: Seconds = 5.0
    completion: Seconds = 60.0
    cancellation: Seconds = 2.0
    status: Lag = 0.0
    shutdown: Seconds = 10.0
    body: Bytes = 8 * 2**20
    events: Count = 50_000
    crowd: Crowd | None = None
    cycles: Count | None = None


class Config(_Table, frozen=True, kw_only=True):
    """The whole configuration."""

    target: Annotated[Target, msgspec.Meta(description="a table with at least one of url, command, app")]
    dialect: Dialect = Dialect()
    expect: Expect = Expect()
    limits: Limits = Limits()
