"""A job that is cancelled ends those who watch it by name: who is on the way in hears nothing, and waits for ever.

Somebody must come just when the job is cancelled.
"""

import asyncio
from collections import defaultdict

import msgspec

from conformance.asgi.types import Receive, Scope, Send
from conformance.config import Config
from conformance.config.schema import Cancel
from conformance.dialect import Matcher
from conformance.races.base import Event, Job, Race, Response, Service, ended

_PATH = "/cancel"
_CANCELLED = b"event: cancelled\ndata: {}\n\n"


class Racy(Service):
    """Looks whether the job goes on, asks whether this client may watch, and then puts it among those who are told."""

    def __init__(self) -> None:
        super().__init__()
        self.working: dict[str, asyncio.Task[None]] = {}
        self.stopped: set[str] = set()
        self.queues: defaultdict[str, list[asyncio.Queue[Event | None]]] = defaultdict(list)

    async def begin(self, job: Job) -> None:
        self.working[job.name] = asyncio.get_running_loop().create_task(self.work(job))

    async def publish(self, job: Job, event: Event) -> None:
        await super().publish(job, event)
        for queue in self.queues[job.name]:
            queue.put_nowait(event)

    async def cancel(self, job: Job) -> None:
        """Stop a job, and tell who watches."""
        if job.finished:
            return
        await ended(self.working[job.name])
        self.stopped.add(job.name)
        for queue in self.queues[job.name]:
            queue.put_nowait(None)

    async def stream(self, job: Job, after: int, response: Response) -> None:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        stopped = job.name in self.stopped
        await self.allowed()
        for event in (*job.log[after:], *((None,) if stopped else ())):
            queue.put_nowait(event)
        await self.tell(queue, job, response)

    async def allowed(self) -> None:
        """Ask somebody else."""
        await asyncio.sleep(0.01)

    async def tell(self, queue: asyncio.Queue[Event | None], job: Job, response: Response) -> None:
        """What comes into the queue, to the end."""
        self.queues[job.name].append(queue)
        try:
            while (event := await queue.get()) is not None:
                await response.event(event)
                if event.last:
                    return
            await response.write(_CANCELLED)
        finally:
            self.queues[job.name].remove(queue)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not scope["path"].endswith(_PATH):
            await super().__call__(scope, receive, send)
            return
        await receive()
        await self.cancel(self.jobs[scope["path"].split("/")[2]])
        await Response(send).answer({}, 202)

    def state(self, job: Job) -> str:
        return "cancelled" if job.name in self.stopped else super().state(job)


class Twin(Racy):
    """Asks first, and then does both in one step."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        await self.allowed()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        for event in (*job.log[after:], *((None,) if job.name in self.stopped else ())):
            queue.put_nowait(event)
        await self.tell(queue, job, response)


def _can_be_cancelled(config: Config) -> Config:
    assert config.target.status is not None
    status = msgspec.structs.replace(
        config.target.status, finished=("completed", "cancelled"), cancelled=("cancelled",)
    )
    cancel = Cancel(path="/jobs/{job}" + _PATH)
    target = msgspec.structs.replace(config.target, status=status, cancel=cancel)
    dialect = msgspec.structs.replace(config.dialect, failure=(Matcher(event="cancelled"),))
    return msgspec.structs.replace(config, target=target, dialect=dialect)


RACE = Race(
    "cancelled-while-joining",
    "A job that is cancelled tells those who watch it, and not who is on the way in.",
    ("cancel.stream-told",),
    Racy,
    Twin,
    _can_be_cancelled,
)
