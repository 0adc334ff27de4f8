"""Servers that mix up whose events are whose: of two pieces of work, two sessions, two subscribers."""

from collections import Counter
from collections.abc import Callable

import msgspec
import trio

from conformance.config import Config
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.specimens.answers import job_of
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Specimen, Wrap

_PROGRESS = b"event: progress\n"
_LONGER = 1.5  # seconds: a while, and less than limits.cancellation


def _id_of(data: bytes) -> int:
    """The id of an event that the reference sends; 0 for none."""
    return next((int(line[4:]) for line in data.split(b"\n") if line.startswith(b"id: ")), 0)


def _one_buffer(app: App) -> App:
    """Fills one buffer for all streams: now and then it still holds what was written for another one."""
    buffers: dict[str, bytes] = {}

    class Sharing(WrappedResponder):
        def __init__(self, inner: Responder, job: str) -> None:
            super().__init__(inner)
            self._job = job

        async def send(self, data: bytes) -> None:
            payload = next((line for line in data.split(b"\n") if line.startswith(b"data: ")), b"")
            others = [buffer for job, buffer in buffers.items() if job != self._job]
            if _PROGRESS in data and b'"echo"' in payload:
                buffers[self._job] = payload
                if others and _id_of(data) == 4:
                    data = data.replace(payload, others[-1])
            await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        await app(request, Sharing(respond, job_of(request)) if is_stream(request) else respond)

    return handle


class _Numbering(WrappedResponder):
    """Ids that are unique over all streams."""

    def __init__(self, inner: Responder, job: str) -> None:
        super().__init__(inner)
        self._job = job

    async def send(self, data: bytes) -> None:
        await super().send((b"\n" + data).replace(b"\nid: ", b"\nid: %s-" % self._job.encode())[1:])


def _one_log(app: App) -> App:
    """Finds the place to go on from in a log of all streams, by the id alone."""

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        job = job_of(request)
        whose, _, number = (request.header("last-event-id") or "").rpartition("-")
        if number.isdigit():
            kept = tuple(pair for pair in request.headers if pair[0] != "last-event-id")
            job = whose
            request = msgspec.structs.replace(
                request, path=f"/jobs/{job}/events", headers=(*kept, ("last-event-id", number))
            )
        await app(request, _Numbering(respond, job))

    return handle


def _numbered_in_data(config: Config) -> Config:
    dialect = msgspec.structs.replace(config.dialect, sequence="/seq")
    return msgspec.structs.replace(config, dialect=dialect)


class _Older(WrappedResponder):
    """A stream that may be superseded."""

    def __init__(self, inner: Responder, scope: trio.CancelScope) -> None:
        super().__init__(inner)
        self.since: float | None = None
        self.scope = scope


class _Silent(_Older):
    """Gets nothing more, and stays open."""

    async def send(self, data: bytes) -> None:
        await super().send(data if self.since is None else b": heartbeat\n\n")


class _Late(_Older):
    """Reads along for a while, then ends."""

    async def send(self, data: bytes) -> None:
        await super().send(data)
        if self.since is not None and trio.current_time() > self.since + _LONGER:
            self.scope.cancel()


def _superseding(make: Callable[[Responder, trio.CancelScope], _Older]) -> Wrap:
    """A server with its own way to treat the older stream of a session."""

    def wrap(app: App) -> App:
        current: dict[tuple[str, str], _Older] = {}

        async def handle(request: Request, respond: Responder) -> None:
            session = request.query.get("session") if is_stream(request) else None
            if session is None:
                await app(request, respond)
                return
            key = job_of(request), session
            if older := current.get(key):
                older.since = trio.current_time()
            with trio.CancelScope() as scope:
                current[key] = make(respond, scope)
                await app(msgspec.structs.replace(request, query={}), current[key])
            await respond.finish()

        return handle

    return wrap


def _without_sessions(app: App) -> App:
    """Takes no notice of sessions."""

    async def handle(request: Request, respond: Responder) -> None:
        await app(msgspec.structs.replace(request, query={}), respond)

    return handle


def _sharing_out(app: App) -> App:
    """Two who read the same work at the same time take turns."""
    there: Counter[str] = Counter()

    class Taking(WrappedResponder):
        def __init__(self, inner: Responder, job: str, turn: int) -> None:
            super().__init__(inner)
            self._job, self._turn = job, turn

        async def send(self, data: bytes) -> None:
            is_theirs = there[self._job] > 1 and _id_of(data) % 2 != self._turn
            if _PROGRESS not in data or not is_theirs:
                await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        job = job_of(request)
        if not is_stream(request):
            await app(request, respond)
            return
        there[job] += 1
        try:
            await app(request, Taking(respond, job, there[job] % 2))
        finally:
            there[job] -= 1

    return handle


SPECIMENS = (
    Specimen(
        "one-buffer",
        "Sends, once, what it had written for another stream.",
        ("isolation.no-cross-talk",),
        "side-by-side",
        _one_buffer,
        implies=("isolation.foreign-id", "security.event-injection"),
    ),
    Specimen(
        "one-log",
        "Resumes whatever stream the id is of, and not the one that was asked for.",
        ("isolation.foreign-id",),
        "foreign-id",
        _one_log,
        configure=_numbered_in_data,
    ),
    Specimen(
        "without-sessions",
        "Serves both streams of a session.",
        ("cancel.superseded", "isolation.superseded-silent"),
        "supersede",
        _without_sessions,
    ),
    Specimen(
        "silent-but-open",
        "Sends nothing to a superseded stream, and does not end it.",
        ("cancel.superseded",),
        "supersede",
        _superseding(_Silent),
    ),
    Specimen(
        "reading-along",
        "Lets a superseded stream read along for another second and a half.",
        ("isolation.superseded-silent",),
        "supersede",
        _superseding(_Late),
    ),
    Specimen(
        "sharing-out",
        "Shares the events out among the subscribers of one stream.",
        ("isolation.no-stealing",),
        "two-subscribers",
        _sharing_out,
        implies=(
            "order.subscribers-agree",
            "order.no-gap",
            "completion.late-subscriber",
            "resume.after-restart",
        ),
    ),
)
