"""What the races share: a small job service as a pure ASGI application, correct; and what a race is.

A job publishes a few events, the last one says that it is complete. Each race replaces one step of `Service` by
one that is wrong at an unlucky moment; its corrected twin by one that does the same thing right.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

import msgspec

from conformance.asgi.types import ASGIApp, Receive, Scope, Send
from conformance.config import Config, load_config

Make: TypeAlias = Callable[[], ASGIApp]

STEP = 0.1  # seconds from one event of a job to the next
EVENTS = 4  # of a job, the completion included


@dataclass(frozen=True)
class Race:
    """An application that is wrong at an unlucky moment, and its twin, which is not.

    `breaks`: the rules, one of which catches it. `configure` changes the configuration (`races.toml`) that both
    are judged by.
    """

    name: str
    summary: str
    breaks: tuple[str, ...]
    make: Make
    twin: Make
    configure: Callable[[Config], Config] = lambda config: config

    @property
    def config(self) -> Config:
        """What it is judged by."""
        return self.configure(races_config())


@cache
def races_config() -> Config:
    """The configuration that all races share."""
    with resources.as_file(resources.files("conformance.races") / "races.toml") as path:
        return load_config(path, environ={}).config


def not_resumable(config: Config) -> Config:
    """Without a promise that who comes back gets the rest: then a lost completion is lost."""
    expect = msgspec.structs.replace(config.expect, resumable=None)
    return msgspec.structs.replace(config, expect=expect)


@dataclass(frozen=True)
class Event:
    """An event of a job; its number is its id."""

    number: int
    last: bool

    @property
    def block(self) -> bytes:
        """As it is sent."""
        kind = "event: complete\n" if self.last else ""
        return f"{kind}id: {self.number}\ndata: {json.dumps({'seq': self.number})}\n\n".encode()


@dataclass
class Job:
    """A job's log of events, and what is set anew whenever something has happened to it."""

    name: str
    log: list[Event] = field(default_factory=list)
    finished: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        """Wake who waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether the completion is in the log."""
        return bool(self.log) and self.log[-1].last


class Response:
    """What a stream sends to one client."""

    def __init__(self, send: Send) -> None:
        self.send = send

    async def begin(self) -> None:
        await self._begin(200, b"text/event-stream; charset=utf-8", (b"cache-control", b"no-store"))

    async def event(self, event: Event) -> None:
        await self.write(event.block)

    async def write(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def answer(self, body: Any, status: int = 200) -> None:
        """A whole response in JSON."""
        await self._begin(status, b"application/json")
        await self.send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async def _begin(self, status: int, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
        head = [(b"content-type", kind), *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": head})


class Service:
    """The service. A race overrides `begin`, `work`, `publish`, `serve` or `stream`."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.active = 0  # streams that are open
        self._background: set[asyncio.Task[None]] = set()

    # The job's side.

    async def begin(self, job: Job) -> None:
        """Let a new job work."""
        self.in_background(self.work(job))

    async def work(self, job: Job) -> None:
        """The job: its events, one after the other."""
        for number in range(1, EVENTS + 1):
            await asyncio.sleep(STEP)
            if number == EVENTS:
                job.finished = True
            await self.publish(job, Event(number, last=number == EVENTS))

    async def publish(self, job: Job, event: Event) -> None:
        """Tell all subscribers of an event."""
        job.log.append(event)
        job.tell()

    # The subscriber's side.

    async def serve(self, job: Job, after: int, response: Response) -> None:
        """One subscriber from its first byte to its last. Cancelled when the client goes."""
        self.active += 1
        try:
            await response.begin()
            await self.stream(job, after, response)
            await response.end()
        finally:
            self.active -= 1

    async def stream(self, job: Job, after: int, response: Response) -> None:
        """Send the events behind number `after`, up to the completion."""
        sent = after
        while True:
            while sent < len(job.log):
                await response.event(job.log[sent])
                sent += 1
            if job.over:
                return
            await job.changed.wait()

    async def cancelled(self, task: asyncio.Task[None]) -> None:
        """End the stream of a client that has gone."""
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    # What every such application has.

    def state(self, job: Job) -> str:
        """What the status endpoint says of a job."""
        return "completed" if job.finished else "running"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        await receive()
        method, path, response = scope["method"], scope["path"], Response(send)
        if method == "POST":
            job = Job(str(len(self.jobs) + 1))
            self.jobs[job.name] = job
            await self.begin(job)
            await response.answer({"id": job.name}, 201)
            return
        if path == "/debug":
            await response.answer({"active": self.active})
            return
        job = self.jobs[path.split("/")[2]]
        if not path.endswith("/events"):
            await response.answer({"state": self.state(job)})
            return
        await self._until_gone(self.serve(job, _last_event_id(scope), response), receive)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this until it ends, at the latest until the shutdown."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _until_gone(self, serving: Coroutine[Any, Any, None], receive: Receive) -> None:
        loop = asyncio.get_running_loop()
        stream = loop.create_task(serving)
        gone = loop.create_task(_gone(receive))
        try:
            await asyncio.wait([stream, gone], return_when=asyncio.FIRST_COMPLETED)
            if not stream.done():
                await self.cancelled(stream)
            else:
                stream.result()
        finally:
            for task in (stream, gone):
                await ended(task)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in list(self._background):
            await ended(task)
        await send({"type": "lifespan.shutdown.complete"})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])


def _last_event_id(scope: MutableMapping[str, Any]) -> int:
    value = dict(scope["headers"]).get(b"last-event-id", b"0")
    return int(value) if value.isdigit() else 0
