"""The HTTP of the reference service: jobs are started, watched, asked about and cancelled.

POST /jobs               a `Work` as JSON       201 {"id": ...}
GET  /jobs/{id}/events   the event stream; honours Last-Event-ID; with ?session=NAME it ends the session's older one
GET  /jobs/{id}                                 200 {"state": ..., "subscribers": n}
POST /jobs/{id}/cancel                          202 {"state": ...}
GET  /debug                                     200 the gauges
GET  /healthz                                   200
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus

import msgspec
import trio

from conformance.reference.app import HeaderList, Request, Responder
from conformance.reference.channel import Subscription, parse_id
from conformance.reference.producer import Job, Producer, Unavailable
from conformance.reference.work import Work
from conformance.wire import encode_comment, encode_event

STREAM_HEADERS: HeaderList = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache, no-store, no-transform"),  # no-transform: no proxy may compress it
    ("pragma", "no-cache"),
    ("expires", "0"),
    ("x-accel-buffering", "no"),  # nginx: pass each piece on at once
)

_Handler = Callable[[Responder, HeaderList], Awaitable[None]]


class Routes:
    """The application (see `app.App`: call `handle`).

    Streams send a comment after each `heartbeat` seconds of silence and begin by setting the reconnection
    time to `retry` seconds. With a `token`, everything under /jobs takes "Authorization: Bearer <token>".
    `origins` are those that pages may come from ("*": any; no credentials but the token are looked at).
    """

    def __init__(
        self,
        producer: Producer,
        gauges: Callable[[], Mapping[str, int]],
        *,
        heartbeat: float,
        retry: float,
        token: str | None = None,
        origins: tuple[str, ...] = ("*",),
    ) -> None:
        self._producer = producer
        self._gauges = gauges
        self._heartbeat = heartbeat
        self._retry = retry
        self._token = token
        self._origins = origins

    async def handle(self, request: Request, respond: Responder) -> None:
        """Answer one request."""
        cors = self._cors(request)
        handlers = self._handlers(request)
        if not handlers:
            await _error(respond, HTTPStatus.NOT_FOUND, f"there is nothing at {request.path}", cors)
        elif request.method == "OPTIONS":
            await self._preflight(respond, [*handlers, "OPTIONS"], cors)
        elif request.path.startswith("/jobs") and not self._authorized(request):
            challenge = [("www-authenticate", 'Bearer realm="jobs"')]
            await _error(respond, HTTPStatus.UNAUTHORIZED, "a bearer token is needed", [*challenge, *cors])
        elif request.method not in handlers:
            allow = [("allow", ", ".join([*handlers, "OPTIONS"]))]
            message = f"{request.path} does not take {request.method}"
            await _error(respond, HTTPStatus.METHOD_NOT_ALLOWED, message, [*allow, *cors])
        else:
            await handlers[request.method](respond, cors)

    def _handlers(self, request: Request) -> dict[str, _Handler]:
        """What can be done at the request's path, by method."""
        match request.path.split("/")[1:]:
            case ["healthz"]:
                return {"GET": self._health}
            case ["debug"]:
                return {"GET": self._debug}
            case ["jobs"]:
                return {"POST": partial(self._start, request.body)}
            case ["jobs", id]:
                return {"GET": partial(self._with_job, id, self._state)}
            case ["jobs", id, "cancel"]:
                return {"POST": partial(self._with_job, id, self._cancel)}
            case ["jobs", id, "events"]:
                last_event_id = request.header("last-event-id")
                session = request.query.get("session")
                return {"GET": partial(self._with_job, id, partial(self._events, last_event_id, session))}
        return {}

    async def _health(self, respond: Responder, cors: HeaderList) -> None:
        await _json(respond, HTTPStatus.OK, {"status": "ok"}, cors)

    async def _debug(self, respond: Responder, cors: HeaderList) -> None:
        await _json(respond, HTTPStatus.OK, self._gauges(), cors)

    async def _start(self, body: bytes, respond: Responder, cors: HeaderList) -> None:
        try:
            job = self._producer.start(msgspec.json.decode(body or b"{}", type=Work))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            await _error(respond, HTTPStatus.BAD_REQUEST, f"not a job: {error}", cors)
        except Unavailable as error:
            headers = [("retry-after", "1"), *cors]
            await _error(respond, HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers)
        else:
            headers = [("location", f"/jobs/{job.id}"), *cors]
            await _json(respond, HTTPStatus.CREATED, {"id": job.id}, headers)

    async def _with_job(
        self,
        id: str,
        handler: Callable[[Job, Responder, HeaderList], Awaitable[None]],
        respond: Responder,
        cors: HeaderList,
    ) -> None:
        if job := self._producer.jobs.get(id):
            await handler(job, respond, cors)
        else:
            await _error(respond, HTTPStatus.NOT_FOUND, "no such job, or not any more", cors)

    async def _state(self, job: Job, respond: Responder, cors: HeaderList) -> None:
        state = {"state": job.state, "subscribers": len(job.channel.subscriptions)}
        await _json(respond, HTTPStatus.OK, state, cors)

    async def _cancel(self, job: Job, respond: Responder, cors: HeaderList) -> None:
        job.cancel()
        await _json(respond, HTTPStatus.ACCEPTED, {"state": job.state}, cors)

    async def _events(
        self,
        last_event_id: str | None,
        session: str | None,
        job: Job,
        respond: Responder,
        cors: HeaderList,
    ) -> None:
        """The stream. It ends where the channel does, when its session opens another one, or when the server shuts
        down."""
        if job.channel.closed and parse_id(last_event_id) == job.channel.last_id:
            await respond.start(HTTPStatus.NO_CONTENT, cors)  # WHATWG 9.2.3: this stops the reconnecting
            await respond.finish()
            return
        with job.watch(last_event_id, session) as subscription:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_when, subscription.overrun, respond.abort)
                nursery.start_soon(_when, respond.closing, subscription.end)
                await respond.start(HTTPStatus.OK, [*STREAM_HEADERS, *cors])
                await respond.send(encode_event(retry=round(self._retry * 1000)))
                await self._send(subscription, respond)
                nursery.cancel_scope.cancel()
        await respond.finish()  # last: who sees the end finds the subscriber gone

    async def _send(self, subscription: Subscription, respond: Responder) -> None:
        while True:
            # The scope is around the wait alone: what is taken from the log must be sent, however late it is.
            with trio.move_on_after(self._heartbeat) as silence:
                record = await anext(subscription, None)
            if silence.cancelled_caught:
                await respond.send(encode_comment(" heartbeat"))
            elif record is None:
                return
            else:
                await respond.send(encode_event(record.data, type=record.type, id=str(record.id)))

    def _authorized(self, request: Request) -> bool:
        if self._token is None:
            return True
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), self._token.encode()
        )

    def _cors(self, request: Request) -> HeaderList:
        """The Fetch standard's CORS protocol: only a request with an Origin gets these headers."""
        origin = request.header("origin")
        if "*" in self._origins:
            return [("access-control-allow-origin", "*")] if origin else []
        vary = ("vary", "origin")
        return [("access-control-allow-origin", origin), vary] if origin in self._origins else [vary]

    async def _preflight(self, respond: Responder, methods: list[str], cors: HeaderList) -> None:
        headers = [("allow", ", ".join(methods)), *cors]
        if any(name == "access-control-allow-origin" for name, _ in cors):
            headers += [
                ("access-control-allow-methods", ", ".join(methods)),
                ("access-control-allow-headers", "authorization, content-type, last-event-id"),
                ("access-control-max-age", "600"),
            ]
        await respond.start(HTTPStatus.NO_CONTENT, headers)
        await respond.finish()


async def _when(event: trio.Event, act: Callable[[], None]) -> None:
    await event.wait()
    act()


async def _error(respond: Responder, status: HTTPStatus, message: str, headers: HeaderList) -> None:
    await _json(respond, status, {"error": message}, headers)


async def _json(respond: Responder, status: HTTPStatus, content: object, headers: HeaderList) -> None:
    body = msgspec.json.encode(content)
    fixed = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
    ]
    await respond.start(status, [*fixed, *headers])
    await respond.send(body)
    await respond.finish()
