"""Servers to which a subscriber comes back in vain: to too much, too little, another stream, or nothing at all."""

import math
from collections import defaultdict
from collections.abc import Callable

import msgspec
import trio

from conformance.config import Config
from conformance.dialect import Dialect, Matcher
from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.reference.channel import parse_id
from conformance.reference.routes import STREAM_HEADERS
from conformance.specimens.completion import Waiting, is_event, published
from conformance.specimens.order import is_stream, sending
from conformance.specimens.specimen import Specimen, Wrap


def _asked(change: Callable[[str], str | None]) -> Wrap:
    """A server that takes another last event ID for the one that it was sent; None: none."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            asked = request.header("last-event-id")
            if is_stream(request) and asked is not None:
                others = tuple(pair for pair in request.headers if pair[0] != "last-event-id")
                changed = change(asked)
                own = () if changed is None else (("last-event-id", changed),)
                request = msgspec.structs.replace(request, headers=(*others, *own))
            await app(request, respond)

        return handle

    return wrap


def _one_less(asked: str) -> str | None:
    id = parse_id(asked)
    return asked if id is None else str(id - 1)


def _resuming(make: Callable[[Responder], Responder]) -> Wrap:
    """A server that treats those in another way who come back."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            back = is_stream(request) and request.header("last-event-id") is not None
            await app(request, make(respond) if back else respond)

        return handle

    return wrap


class _Live(WrappedResponder):
    """Whoever comes back gets what is published from then on, and how the work ended."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._came = trio.current_time()

    async def send(self, data: bytes) -> None:
        if published(data) > self._came + 0.001 or is_event(data, "complete", "error", "stream_end"):
            await super().send(data)


class _Falling(Waiting):
    """Between the log, which it has read, and the live events, which it waits for, the completion falls through."""

    async def send(self, data: bytes) -> None:
        if not is_event(data, "complete", "error", "stream_end"):
            await super().send(data)


def naming_no_ids(data: bytes) -> bytes:
    """The blocks without their ids."""
    return b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"id:"))


def _nothing_more(app: App) -> App:
    """Answers 204 to whoever comes back to work that is over, whatever is still missing."""

    async def handle(request: Request, respond: Responder) -> None:
        id = parse_id(request.header("last-event-id"))
        if is_stream(request) and id is not None:
            state = Probe()
            await app(msgspec.structs.replace(request, path=request.path.removesuffix("/events")), state)
            if b'"completed"' in state.body:
                await respond.start(204)
                await respond.finish()
                return
        await app(request, respond)

    return handle


def _telling_nobody(app: App) -> App:
    """Publishes to those who are there, and keeps of the completion nothing for others if nobody is."""
    watched: dict[str, list[list[float]]] = defaultdict(list)

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        spans = watched[request.path]
        span = [trio.current_time(), math.inf]
        spans.append(span)
        try:
            await app(request, _Unpublished(respond, spans))
        finally:
            span[1] = trio.current_time()

    return handle


class _Unpublished(WrappedResponder):
    """A stream without the completion that was published when nobody was there."""

    _lost = False

    def __init__(self, inner: Responder, spans: list[list[float]]) -> None:
        super().__init__(inner)
        self._spans = spans

    async def send(self, data: bytes) -> None:
        if is_event(data, "complete"):
            when = published(data)
            self._lost = not any(came < when - 0.001 <= left for came, left in self._spans)
        if not self._lost:
            await super().send(data)


class Probe:
    """A responder that keeps what the application answers."""

    def __init__(self) -> None:
        self.closing = trio.Event()
        self.bytes_sent = 0
        self.status = 0
        self.body = b""

    async def start(self, status: int, _headers: HeaderList = ()) -> None:
        self.status = status

    async def send(self, data: bytes) -> None:
        self.body += data

    async def finish(self) -> None:
        """Nothing to do: it is all here."""

    def abort(self) -> None:
        """Nothing to do: there is no connection."""


def _reading_ids_as_numbers(app: App) -> App:
    """Fails on an id that is no number."""

    async def handle(request: Request, respond: Responder) -> None:
        asked = request.header("last-event-id") if is_stream(request) else None
        if asked is not None and not asked.isdigit():
            await respond.start(500)
            await respond.finish()
        else:
            await app(request, respond)

    return handle


async def _wait_for_ever(respond: Responder) -> None:
    await respond.start(200, STREAM_HEADERS)
    while True:
        await respond.send(b": heartbeat\n\n")
        await trio.sleep(0.5)


def _waiting_for_the_id(app: App) -> App:
    """Waits until the event comes that the subscriber has seen last."""

    async def handle(request: Request, respond: Responder) -> None:
        asked = request.header("last-event-id") if is_stream(request) else None
        if asked is not None and not asked.isdigit():
            await _wait_for_ever(respond)
        else:
            await app(request, respond)

    return handle


def _opening(app: App) -> App:
    """Opens a stream for whatever name it is asked for, and waits for events."""

    async def handle(request: Request, respond: Responder) -> None:
        if is_stream(request) and not await _knows(app, request):
            await _wait_for_ever(respond)
        else:
            await app(request, respond)

    return handle


def _beginning_anew(app: App) -> App:
    """Begins the work again under the old name, if it does not know it any more."""

    async def handle(request: Request, respond: Responder) -> None:
        if is_stream(request) and not await _knows(app, request):
            started = Probe()
            work = b'{"events": 8, "interval": 0.1}'
            await app(msgspec.structs.replace(request, method="POST", path="/jobs", body=work), started)
            path = f"/jobs/{msgspec.json.decode(started.body)['id']}/events"
            request = msgspec.structs.replace(request, path=path, headers=())
        await app(request, respond)

    return handle


async def _knows(app: App, request: Request) -> bool:
    state = Probe()
    await app(msgspec.structs.replace(request, path=request.path.removesuffix("/events")), state)
    return state.status == 200


def numbered_in_data(config: Config) -> Config:
    """The same subject, as one describes it whose events are numbered in their data."""
    dialect = Dialect(
        json=True,
        sequence="/seq",
        completion=(Matcher(event="complete"),),
        failure=(Matcher(event="error"),),
        end=(Matcher(event="stream_end"),),
    )
    return msgspec.structs.replace(config, dialect=dialect)


SPECIMENS = (
    Specimen(
        "live-after-return",
        "Sends to whoever comes back what is new, and nothing of what came meanwhile.",
        ("resume.no-gap",),
        "resume-mid-event",
        _resuming(_Live),
    ),
    Specimen(
        "live-after-absence",
        "Sends to whoever comes back how the work ended, and nothing of what came meanwhile.",
        ("resume.no-gap",),
        "completion-while-away",
        _resuming(_Live),
    ),
    Specimen(
        "without-ids",
        "Has its ids in the JSON only.",
        ("resume.no-gap",),
        "resume-after-cut",
        sending(lambda _: lambda data: (naming_no_ids(data),)),
        configure=numbered_in_data,
    ),
    Specimen(
        "from-the-start",
        "Does not look at Last-Event-ID and sends everything again.",
        ("resume.no-duplicate",),
        "resume-after-cut",
        _asked(lambda _: None),
        implies=("resume.after-restart",),
    ),
    Specimen(
        "off-by-one",
        "Sends the event again that Last-Event-ID names.",
        ("resume.no-duplicate",),
        "resume-after-cut",
        _asked(_one_less),
        implies=("resume.after-restart",),
    ),
    Specimen(
        "reading-ids-as-numbers",
        "Answers 500 to a Last-Event-ID that is no number.",
        ("resume.unknown-id",),
        "unknown-id",
        _reading_ids_as_numbers,
    ),
    Specimen(
        "waiting-for-the-id",
        "Opens a stream that stays silent for a Last-Event-ID that it does not know.",
        ("resume.unknown-id",),
        "unknown-id",
        _waiting_for_the_id,
    ),
    Specimen(
        "falling-between",
        "Loses the completion between the log that it replays and the live events that it waits for.",
        ("resume.completion-survives",),
        "completion-while-away",
        _resuming(_Falling),
        implies=(
            "order.subscribers-agree",
            "resume.unknown-id",
            "resume.after-restart",
        ),
    ),
    Specimen(
        "telling-nobody",
        "Drops a completion that is published while nobody is there.",
        ("resume.completion-survives",),
        "completion-unwatched",
        _telling_nobody,
    ),
    Specimen(
        "nothing-more",
        "Answers 204 to whoever comes back to work that is over.",
        ("resume.completion-survives",),
        "completion-while-away",
        _nothing_more,
    ),
    Specimen(
        "opening",
        "Opens an empty stream after a restart, for work that it does not know any more.",
        ("resume.after-restart",),
        "restart",
        _opening,
        remembers=False,
        implies=("http.unknown-stream",),
    ),
    Specimen(
        "beginning-anew",
        "Begins the work anew after a restart, without a word.",
        ("resume.after-restart",),
        "restart",
        _beginning_anew,
        remembers=False,
        implies=("http.unknown-stream",),
    ),
)
