"""Jobs and their event streams with sse-starlette, meant to be right in every respect.

POST /jobs               {"steps": 8, "interval": 0.1, "silence": 0, "fail": false, "echo": null} -> 201 {"id": ...}
GET  /jobs/{id}/events   the stream; Last-Event-ID resumes it; 204 once everything was received
GET  /jobs/{id}          {"state": ..., "subscribers": n}
POST /jobs/{id}/cancel   stops the work
GET  /debug              {"active": jobs that run, "subscribers": open streams}

A subscriber is a position in the job's log and not a queue that somebody fills: nothing is lost between
replay and live, nothing comes twice, and subscribers take nothing from each other.
"""

import asyncio
import contextlib
import hmac
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from store import FINAL, Store

TOKEN = "example"  # a real service has one for each client, and not in its source
GRACE = 2  # seconds for open streams to end when the server is stopped
PING = 1  # seconds between heartbeats; short, so that a run is; on the internet 15 do
HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "Pragma": "no-cache", "Expires": "0"}
DATABASE = Path(os.environ.get("JOBS_DATABASE", "jobs.sqlite3"))


class Jobs:
    """The work that runs, and the subscribers who wait for news of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.subscribers: Counter[str] = Counter()
        self.stopping = False
        self.news = asyncio.Event()  # set when any job tells something, and replaced by a new one

    def run(self, job: str, order: dict[str, Any]) -> None:
        task = self.tasks[job] = asyncio.create_task(self._work(job, order))
        task.add_done_callback(lambda _: self.tasks.pop(job))

    async def stop(self) -> None:
        """Stop all work and wait for it. The jobs stay as they are, and the next process goes on with them."""
        self.stopping = True
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, job: str, type: str, **data: Any) -> None:
        self.store.tell(job, type, **data)
        self.news.set()
        self.news = asyncio.Event()

    async def _work(self, job: str, order: dict[str, Any]) -> None:
        steps = order["steps"]
        echo = {} if order.get("echo") is None else {"echo": order["echo"]}  # comes back in every event
        try:
            for step in range(self.store.last_id(job) + 1, steps + 1):
                await asyncio.sleep(order["interval"] + (order["silence"] if step == steps // 2 + 1 else 0))
                if step < steps:
                    self._tell(job, "progress", step=step, steps=steps, **echo)
            if order["fail"]:
                self._tell(job, "failed", state="failed", reason="as it was asked to", **echo)
            else:
                self._tell(job, "result", state="completed", result=steps * (steps - 1) // 2, **echo)
        except asyncio.CancelledError:
            if not self.stopping:
                self._tell(job, "failed", state="cancelled", reason="cancelled")
            raise


def position(request: Request, last: int) -> int:
    """The id behind which a subscriber wants to read; an id that was never given out means: all of it."""
    given = request.headers.get("last-event-id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 and int(given) <= last else 0


def known(request: Request) -> tuple[Jobs, str, str]:
    """The jobs, and the id and the state of the one that was asked for, by somebody who may ask."""
    authorize(request)
    jobs: Jobs = request.app.state.jobs
    job = request.path_params["job"]
    state = jobs.store.state(job)
    if state is None:
        raise HTTPException(404, "no such job")
    return jobs, job, state


def authorize(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), TOKEN.encode()):
        raise HTTPException(401, "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})


async def start(request: Request) -> Response:
    authorize(request)
    order = {"steps": 8, "interval": 0.1, "silence": 0, "fail": False, "echo": None, **await request.json()}
    jobs: Jobs = request.app.state.jobs
    job = uuid.uuid4().hex
    jobs.store.create(job, order)
    jobs.run(job, order)
    return JSONResponse({"id": job}, 201, {"Location": f"/jobs/{job}"})


async def status(request: Request) -> Response:
    jobs, job, state = known(request)
    return JSONResponse({"state": state, "subscribers": jobs.subscribers[job]})


async def cancel(request: Request) -> Response:
    jobs, job, _ = known(request)
    if task := jobs.tasks.get(job):
        task.cancel()
    return JSONResponse({"accepted": True}, 202)


async def debug(request: Request) -> Response:
    jobs: Jobs = request.app.state.jobs
    return JSONResponse({"active": len(jobs.tasks), "subscribers": jobs.subscribers.total()})


async def events(request: Request) -> Response:
    jobs, job, state = known(request)
    last = jobs.store.last_id(job)
    after = position(request, last)
    if state in FINAL and after == last:
        return Response(status_code=204)  # an event source that gets this stops reconnecting
    closing = anyio.Event()
    return EventSourceResponse(
        follow(jobs, job, after, closing),
        ping=PING,
        headers=HEADERS,
        shutdown_event=closing,
        shutdown_grace_period=GRACE,
    )


async def follow(jobs: Jobs, job: str, after: int, closing: anyio.Event) -> AsyncIterator[ServerSentEvent]:
    """What the job has told behind `after`, then what it tells, until it has told its end or the server closes:
    then a subscriber whose stream ends properly comes back to the next process with its last event ID."""
    jobs.subscribers[job] += 1
    try:
        yield ServerSentEvent(retry=100)
        while True:
            news = jobs.news  # before looking: what is told in between sets it
            for told in jobs.store.told(job, after):
                yield ServerSentEvent(told.data, event=told.type, id=str(told.id))
                after = told.id
            if jobs.store.state(job) in FINAL and after == jobs.store.last_id(job):
                return
            await first_of(news, closing)
            if closing.is_set():
                return
    finally:
        jobs.subscribers[job] -= 1


async def first_of(*events: asyncio.Event | anyio.Event) -> None:
    """Wait until one of the events is set."""
    async with anyio.create_task_group() as group:

        async def wait(event: asyncio.Event | anyio.Event) -> None:
            await event.wait()
            group.cancel_scope.cancel()

        for event in events:
            group.start_soon(wait, event)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    store = Store(DATABASE)
    app.state.jobs = jobs = Jobs(store)
    for job, order in store.unfinished():
        jobs.run(job, order)
    yield
    await jobs.stop()
    store.close()


app = Starlette(
    routes=[
        Route("/jobs", start, methods=["POST"]),
        Route("/jobs/{job}", status),
        Route("/jobs/{job}/events", events),
        Route("/jobs/{job}/cancel", cancel, methods=["POST"]),
        Route("/debug", debug),
    ],
    middleware=[
        Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["Authorization", "Last-Event-ID"])
    ],
    lifespan=lifespan,
)
