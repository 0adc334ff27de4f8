"""Jobs and their event streams on aiohttp, meant to be right in every respect; its gauges are Prometheus' text.

POST /jobs               {"steps": 8, "interval": 0.1, "silence": 0, "fail": false, "echo": null} -> 201 {"id": ...}
GET  /jobs/{id}/events   the stream; Last-Event-ID resumes it; 204 once everything was received
GET  /jobs/{id}          {"state": ..., "subscribers": n}
POST /jobs/{id}/cancel   stops the work
GET  /metrics            jobs_running, streams_open
"""

import asyncio
import json
import sys
import time
import uuid
from typing import Any

from aiohttp import web

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-store, no-transform",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Accel-Buffering": "no",
}
PING = 1.0  # seconds of silence until a heartbeat; short, so that a run is; on the internet 15 do


class Job:
    """A log, and who waits for more of it. A subscriber is a position in the log, so nothing falls in between."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.state = "running"
        self.log: list[bytes] = []
        self.subscribers = 0
        self.news = asyncio.Event()  # replaced by a new one whenever something was told
        self.task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return self.state != "running"

    def tell(self, type: str, **data: Any) -> None:
        id = len(self.log) + 1
        body = json.dumps({"job": self.id, "at": time.time(), "type": type, **data})
        self.log.append(f"id: {id}\nevent: {type}\ndata: {body}\n\n".encode())
        self.news.set()
        self.news = asyncio.Event()

    async def work(self, steps: int, interval: float, silence: float, fail: bool, echo: str | None) -> None:
        more = {} if echo is None else {"echo": echo}
        try:
            for step in range(1, steps):
                await asyncio.sleep(interval + (silence if step == steps // 2 + 1 else 0))
                self.tell("progress", step=step, steps=steps, **more)
            await asyncio.sleep(interval)
        except asyncio.CancelledError:
            self.state = "cancelled"
            self.tell("failed", state="cancelled", reason="cancelled")
            raise
        self.state = "failed" if fail else "completed"  # first: whoever reads the event finds it so
        self.tell("failed" if fail else "result", state=self.state, **more)


JOBS = web.AppKey("jobs", dict[str, Job])
STOPPING = web.AppKey("stopping", asyncio.Event)


def known(request: web.Request) -> Job:
    job = request.app[JOBS].get(request.match_info["job"])
    if job is None:
        raise web.HTTPNotFound(text=json.dumps({"error": "no such job"}), content_type="application/json")
    return job


async def start(request: web.Request) -> web.Response:
    order = {"steps": 8, "interval": 0.1, "silence": 0, "fail": False, "echo": None, **await request.json()}
    job = Job()
    request.app[JOBS][job.id] = job
    job.task = asyncio.create_task(job.work(**order))
    return web.json_response({"id": job.id}, status=201, headers={"Location": f"/jobs/{job.id}"})


async def status(request: web.Request) -> web.Response:
    job = known(request)
    return web.json_response({"state": job.state, "subscribers": job.subscribers})


async def cancel(request: web.Request) -> web.Response:
    job = known(request)
    if job.task is not None and not job.over:
        job.task.cancel()
    return web.json_response({"accepted": True}, status=202)


async def metrics(request: web.Request) -> web.Response:
    jobs = request.app[JOBS].values()
    return web.Response(
        text="# TYPE jobs_running gauge\n"
        f"jobs_running {sum(not job.over for job in jobs)}\n"
        "# TYPE streams_open gauge\n"
        f'streams_open{{route="/jobs/events"}} {sum(job.subscribers for job in jobs)}\n'
    )


async def events(request: web.Request) -> web.StreamResponse:
    job, stopping = known(request), request.app[STOPPING]
    given = request.headers.get("Last-Event-ID", "")
    at = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    at = at if at <= len(job.log) else 0  # an id that was never given out means: all of it
    if job.over and at == len(job.log):
        return web.Response(status=204)  # an event source stops coming back
    response = web.StreamResponse(headers=HEADERS)
    job.subscribers += 1
    try:
        await response.prepare(request)
        await response.write(b"retry: 200\n\n")
        while not stopping.is_set():
            news, told = job.news, job.log[at:]
            for block in told:
                await response.write(block)
            at += len(told)
            if told:
                continue
            if job.over:
                break
            waiting = [asyncio.ensure_future(each.wait()) for each in (news, stopping)]
            done, others = await asyncio.wait(waiting, timeout=PING, return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                other.cancel()
            if not done:
                await response.write(b": heartbeat\n\n")
    except ConnectionResetError:
        return response  # the subscriber has gone
    finally:
        job.subscribers -= 1
    await response.write_eof()
    return response


async def stop(app: web.Application) -> None:
    """Streams end whole when the server does, so that who comes back resumes; then the work ends."""
    app[STOPPING].set()
    tasks = [job.task for job in app[JOBS].values() if job.task is not None and not job.over]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def make_app() -> web.Application:
    app = web.Application()
    app[JOBS], app[STOPPING] = {}, asyncio.Event()
    app.on_shutdown.append(stop)
    app.add_routes(
        [
            web.post("/jobs", start),
            web.get("/jobs/{job}", status),
            web.post("/jobs/{job}/cancel", cancel),
            web.get("/jobs/{job}/events", events),
            web.get("/metrics", metrics),
        ]
    )
    return app


if __name__ == "__main__":
    # handler_cancellation: a handler that waits hears at once that its client has gone
    web.run_app(
        make_app(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        handler_cancellation=True,
        shutdown_timeout=2.0,
        print=None,
    )
