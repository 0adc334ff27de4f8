"""Servers whose response head is wrong, or comes at the wrong time."""

import zlib
from collections.abc import Callable

import msgspec
import trio

from conformance.config import Config, Start
from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.reference.service import ServiceOptions
from conformance.specimens.specimen import Specimen, Wrap

TOKEN = "token-of-the-specimen"
"""What guarded specimens want to see."""


class Answering(WrappedResponder):
    """Becomes the responder that `make` gives if the answer has this status; else it stays what it is."""

    def __init__(self, inner: Responder, make: Callable[[Responder], Responder], status: int) -> None:
        super().__init__(inner)
        self._make = make
        self._status = status

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        if status == self._status:
            self.inner = self._make(self.inner)
        await super().start(status, headers)


def on_streams(make: Callable[[Responder], Responder], status: int = 200) -> Wrap:
    """A server whose answers of this status to requests for a stream go through the responder that `make` gives."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            is_stream = request.path.endswith("/events")
            await app(request, Answering(respond, make, status) if is_stream else respond)

        return handle

    return wrap


def heading(**changes: str | None) -> Wrap:
    """A server whose streams have other headers: `content_type="text/html"`; None takes one out."""
    new = {name.replace("_", "-"): value for name, value in changes.items()}

    class Heading(WrappedResponder):
        async def start(self, status: int, headers: HeaderList = ()) -> None:
            if status == 200:
                kept = [(name, value) for name, value in headers if name not in new]
                headers = [*kept, *((name, value) for name, value in new.items() if value is not None)]
            await super().start(status, headers)

    return on_streams(Heading)


def working(**work: object) -> Callable[[Config], Config]:
    """The reference's configuration, with another job to do."""

    def configure(config: Config) -> Config:
        assert config.target.start is not None
        start = msgspec.structs.replace(config.target.start, json={**config.target.start.json, **work})
        return _with_start(config, start)

    return configure


def _with_start(config: Config, start: Start) -> Config:
    return msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, start=start))


class _Created(WrappedResponder):
    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await super().start(201 if status == 200 else status, headers)


class _Compressing(WrappedResponder):
    """As a middleware does that takes the stream for a page and asks nobody."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._gzip = zlib.compressobj(wbits=31)

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await super().start(status, [*headers, ("content-encoding", "gzip")])

    async def send(self, data: bytes) -> None:
        await super().send(self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH))

    async def finish(self) -> None:
        await super().send(self._gzip.flush())
        await super().finish()


class _Whole(WrappedResponder):
    """Builds the body before it sends anything, as a middleware does that wants its length or its hash."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._head: tuple[int, HeaderList] = (500, ())
        self._body = b""

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._head = status, headers

    async def send(self, data: bytes) -> None:
        self._body += data

    async def finish(self) -> None:
        status, headers = self._head
        await super().start(status, [*headers, ("content-length", str(len(self._body)))])
        await super().send(self._body)
        await super().finish()


class _HeadLater(WrappedResponder):
    """Keeps the head until there is an event to send with it, as Node does with `writeHead`."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._head: tuple[int, HeaderList] | None = None
        self._kept = b""

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._head = status, headers

    async def send(self, data: bytes) -> None:
        self._kept += data
        if b"data:" in self._kept:
            await self._flush()

    async def finish(self) -> None:
        await self._flush()
        await super().finish()

    async def _flush(self) -> None:
        if self._head is not None:
            await super().start(*self._head)
            self._head = None
        kept, self._kept = self._kept, b""
        await super().send(kept)


class _Miscounting(WrappedResponder):
    """Announces more than there is; then the connection is all that it can end."""

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await super().start(status, [*headers, ("content-length", "1000000")])

    async def finish(self) -> None:
        self.abort()
        await trio.sleep_forever()  # until the server has noticed


def _reflecting(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        headers = {"access_control_allow_origin": request.header("origin"), "cache_control": "max-age=60"}
        await heading(**headers)(app)(request, respond)

    return handle


def _unguarded(app: App) -> App:
    """The route of the stream is mounted where nobody asks for the token."""

    async def handle(request: Request, respond: Responder) -> None:
        if request.path.endswith("/events"):
            others = tuple(pair for pair in request.headers if pair[0] != "authorization")
            headers = (*others, ("authorization", f"Bearer {TOKEN}"))
            request = msgspec.structs.replace(request, headers=headers)
        await app(request, respond)

    return handle


def with_token(config: Config) -> Config:
    """The configuration of a guarded specimen."""
    credentials = {"Authorization": f"Bearer {TOKEN}"}
    target = config.target
    start, stream, status, cancel = (
        each and msgspec.structs.replace(each, headers=credentials)
        for each in (target.start, target.stream, target.status, target.cancel)
    )
    target = msgspec.structs.replace(target, start=start, stream=stream, status=status, cancel=cancel)
    return msgspec.structs.replace(config, target=target)


GUARDED = Specimen(
    "guarded",
    "Correct: the reference with a token.",
    (),
    "without-credentials",
    options=ServiceOptions(token=TOKEN),
    configure=with_token,
)


class _AnyStream(WrappedResponder):
    """Opens every stream that is asked for, and waits for somebody to send on it."""

    _lost = False

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._lost = status == 404
        await super().start(200, (("content-type", "text/event-stream"),) if self._lost else headers)

    async def send(self, data: bytes) -> None:
        if not self._lost:
            await super().send(data)

    async def finish(self) -> None:
        if self._lost:
            await self.closing.wait()
        await super().finish()


class _Crashing(WrappedResponder):
    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await super().start(500 if status == 404 else status, headers)


SPECIMENS = (
    Specimen(
        "created",
        "Answers 201 to a request for the stream.",
        ("http.status",),
        "subscribe",
        on_streams(_Created),
    ),
    Specimen(
        "html",
        "Says that the stream is text/html, as PHP does by default.",
        ("http.content-type",),
        "subscribe",
        heading(content_type="text/html; charset=UTF-8"),
    ),
    Specimen(
        "latin-1-header",
        "Declares the charset that its servlet container has by default.",
        ("http.charset",),
        "subscribe",
        heading(content_type="text/event-stream;charset=ISO-8859-1"),
    ),
    Specimen(
        "cacheable",
        "Says nothing about caching.",
        ("http.cache-control",),
        "subscribe",
        heading(cache_control=None, expires=None, pragma=None),
    ),
    Specimen(
        "fit-for-a-minute",
        "Lets caches keep the stream for a minute.",
        ("http.cache-control",),
        "subscribe",
        heading(cache_control="public, max-age=60"),
    ),
    Specimen(
        "buffered-by-nginx",
        "Does not ask nginx to pass events on at once.",
        ("http.proxy-buffering",),
        "subscribe",
        heading(x_accel_buffering=None),
    ),
    Specimen(
        "expiring-later",
        "Has an Expires that a rule for static files gave it.",
        ("http.pragma-expires",),
        "subscribe",
        heading(expires="Fri, 31 Dec 2100 23:59:59 GMT"),
    ),
    Specimen(
        "compressing",
        "Compresses the stream, although only identity was accepted.",
        ("http.compression",),
        "subscribe",
        on_streams(_Compressing),
    ),
    Specimen(
        "built-whole",
        "Builds the whole body before it sends the head with its length.",
        ("http.no-length", "http.head-before-first-event"),
        "subscribe",
        on_streams(_Whole),
        implies=(
            "timeliness.delivery",
            "timeliness.no-burst",
        ),
    ),
    Specimen(
        "miscounting",
        "Announces a length that the stream never reaches.",
        ("http.connection", "http.no-length"),
        "subscribe",
        on_streams(_Miscounting),
        implies=("completion.clean-close", "shutdown.streams-ended"),
    ),
    Specimen(
        "hop-by-hop-type",
        "Names Content-Type in Connection, so that a proxy must remove it.",
        ("http.connection",),
        "subscribe",
        heading(connection="keep-alive, Content-Type"),
    ),
    Specimen(
        "of-two-origins",
        "Lists all allowed origins in one header.",
        ("http.cors",),
        "other-origin",
        heading(access_control_allow_origin="https://sse-conformance.example, https://b.example"),
    ),
    Specimen(
        "star-with-credentials",
        "Allows any origin, and credentials.",
        ("http.cors",),
        "other-origin",
        heading(access_control_allow_origin="*", access_control_allow_credentials="true"),
    ),
    Specimen(
        "reflecting",
        "Allows whatever origin asks, and lets caches give the answer to another one.",
        ("http.cors",),
        "other-origin",
        _reflecting,
    ),
    Specimen(
        "unguarded",
        "Asks for a token everywhere but at the stream.",
        ("http.auth",),
        "without-credentials",
        _unguarded,
        options=ServiceOptions(token=TOKEN),
        configure=with_token,
        implies=("security.auth",),
    ),
    Specimen(
        "any-stream",
        "Opens a silent stream for a job that does not exist.",
        ("http.unknown-stream",),
        "unknown-stream",
        on_streams(_AnyStream, 404),
    ),
    Specimen(
        "crashing-on-unknown",
        "Answers 500 for a job that does not exist.",
        ("http.unknown-stream",),
        "unknown-stream",
        on_streams(_Crashing, 404),
    ),
    Specimen(
        "head-with-first-event",
        "Keeps the head until there is an event to send with it.",
        ("http.head-before-first-event",),
        "subscribe",
        on_streams(_HeadLater),
        configure=working(events=3, interval=0.8),
        implies=("timeliness.heartbeat",),
    ),
)
