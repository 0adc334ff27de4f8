"""Jobs that tell of their progress, on FastAPI. Who subscribes late misses what was told before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse


@dataclass
class Job:
    events: list[str] = field(default_factory=list)
    queues: list[asyncio.Queue[str]] = field(default_factory=list)
    finished: bool = False

    def publish(self, kind: str) -> None:
        number = len(self.events) + 1
        event = f'event: {kind}\nid: {number}\ndata: {{"seq": {number}}}\n\n'
        self.events.append(event)
        for queue in self.queues:
            queue.put_nowait(event)


def make_app(*, correct: bool = False) -> FastAPI:
    app = FastAPI()
    jobs: dict[str, Job] = {}
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    tasks: set[asyncio.Task[None]] = set()

    def known(name: str) -> Job:
        if name not in jobs:
            raise HTTPException(404, "there is no such job")
        return jobs[name]

    async def work(job: Job) -> None:
        for _ in range(3):
            await asyncio.sleep(0.1)
            job.publish("progress")
        await asyncio.sleep(0.1)
        job.finished = True
        job.publish("complete")

    @app.post("/jobs", status_code=201)
    async def start() -> dict[str, str]:
        name = str(len(jobs) + 1)
        jobs[name] = Job()
        task = asyncio.create_task(work(jobs[name]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return {"id": name}

    @app.get("/jobs/{name}")
    async def status(name: str) -> dict[str, str]:
        return {"state": "completed" if known(name).finished else "running"}

    @app.get("/jobs/{name}/events")
    async def events(name: str) -> StreamingResponse:
        job = known(name)

        async def body() -> AsyncIterator[str]:
            queue: asyncio.Queue[str] = asyncio.Queue()
            if correct:
                for event in job.events:
                    queue.put_nowait(event)
            job.queues.append(queue)  # what was published before this is lost, if nobody replays it
            try:
                while True:
                    event = await queue.get()
                    yield event
                    if "event: complete" in event:
                        return
            finally:
                with suppress(ValueError):
                    job.queues.remove(queue)

        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)

    return app


def make_correct() -> FastAPI:
    return make_app(correct=True)
