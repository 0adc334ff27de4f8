"""A FastAPI application with sse-starlette that leaves much to chance, and a record of what it did.

Run as a script it prints a digest of that record: `python asgi_busy.py SEED [COUNT]`.
"""

import asyncio
import hashlib
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import trio
from fastapi import FastAPI
from sse_starlette import EventSourceResponse
from trio.testing import MockClock

from conformance.asgi import Drawn, Noted, Options, open_asgi
from conformance.determinism import seeded
from fault_injection.network import Network
from fault_injection.virtual import VirtualNetwork


def make_app() -> FastAPI:
    """Jobs that publish to whoever listens: tasks, queues, locks, a set of tasks, threads, uuid, the wall clock."""
    app = FastAPI()
    jobs: dict[str, list[asyncio.Queue[str | None]]] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def work(job: str, events: int) -> None:
        for number in range(events):
            await asyncio.sleep(random.choice([0.0, 0.0, 0.5, 1.0]))
            for queue in jobs[job]:
                queue.put_nowait(f"{job} {number} {uuid.uuid4()} {time.time()} {datetime.now(UTC)}")
        for queue in jobs[job]:
            queue.put_nowait(None)

    @app.post("/jobs")
    def start(name: str) -> dict[str, str]:  # in a worker thread, as FastAPI does with what is not async
        jobs[name] = []
        return {"id": name, "key": str(uuid.uuid4())}

    @app.get("/jobs/{job}/events")
    async def events(job: str, count: int = 5) -> EventSourceResponse:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        jobs[job].append(queue)
        if len(jobs[job]) == 2:
            task = asyncio.create_task(work(job, count))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async def body() -> AsyncIterator[dict[str, Any]]:
            helpers = {asyncio.create_task(asyncio.sleep(1)) for _ in range(4)}
            try:
                while (text := await queue.get()) is not None:
                    yield {"data": f"{text} {[helper.done() for helper in helpers]}"}
            finally:
                for helper in helpers:
                    helper.cancel()

        return EventSourceResponse(body(), ping=2)

    @app.get("/stop")
    async def stop() -> list[str]:
        """The order in which a set of tasks is cancelled."""
        order: list[str] = []

        async def wait(name: str) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                order.append(name)

        waiting = {asyncio.create_task(wait(str(number))) for number in range(8)}
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return order

    return app


async def _ask(network: Network, address: tuple[str, int], line: str, stay: float, note: list[str]) -> None:
    connection = await network.connect(*address)
    async with connection:
        await connection.send_all(f"{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        try:
            with trio.move_on_after(stay):
                while data := await connection.receive_some():
                    note.append(f"{trio.current_time():.6f} {line} {bytes(data)!r}")
        except trio.BrokenResourceError:
            note.append(f"{trio.current_time():.6f} {line} reset")


async def _drive(rng: random.Random, note: list[str]) -> None:
    network = VirtualNetwork()
    moments = Noted(Drawn(rng, pause=0.3, longest=0.4, cut=0.01, hold=0.3))
    async with open_asgi(make_app(), network, moments=moments, options=Options(grace=1)) as subject:
        await _ask(network, subject.address, "POST /jobs?name=a", 10, note)
        await _ask(network, subject.address, "POST /jobs?name=b", 10, note)
        async with trio.open_nursery() as nursery:
            for number in range(6):
                line, stay = f"GET /jobs/{'ab'[number % 2]}/events", rng.uniform(0.1, 8)
                nursery.start_soon(_ask, network, subject.address, line, stay, note)
            nursery.start_soon(_ask, network, subject.address, "GET /stop", 5, note)
    note.extend(moments.crossed)
    note.extend(f"{error.at:.6f} {error.message}" for error in subject.errors)
    note.extend(map(str, subject.left_behind()))


def record(seed: int) -> str:
    """Everything that happened, as text."""
    note: list[str] = []
    with seeded(seed) as rng:
        trio.run(_drive, rng, note, clock=MockClock(autojump_threshold=0))
    return "\n".join(note)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for _seed in range(first, first + count):
        sys.stdout.write(f"{digest(record(_seed))}\n")
