"""How many streams a second run through an ASGI application in virtual time: client, network, server, application.

Each stream is twenty events over 300 seconds. `python benchmarks/asgi_subject.py [SECONDS]`, on one core.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import trio
from fastapi import FastAPI
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from trio.testing import MockClock

from conformance.asgi import ASGIApp, Options, open_asgi
from conformance.asgi.flavours import FlavourName
from conformance.asgi.types import Receive, Scope, Send
from conformance.determinism import seeded
from conformance.transport import open_client
from fault_injection.virtual import VirtualNetwork

EVENTS = 20
GAP = 15.0  # seconds
STREAMS = 10  # in one schedule, one after another


def plain(sleep: Callable[[float], Awaitable[object]]) -> ASGIApp:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(EVENTS):
            await sleep(GAP)
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def starlette() -> ASGIApp:
    async def events(_: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            for number in range(EVENTS):
                await asyncio.sleep(GAP)
                yield f"data: {number}\n\n"

        return StreamingResponse(body(), media_type="text/event-stream")

    return Starlette(routes=[Route("/", events)])


def fastapi() -> ASGIApp:
    app = FastAPI()

    @app.get("/")
    async def events() -> EventSourceResponse:
        queue: asyncio.Queue[int | None] = asyncio.Queue()

        async def produce() -> None:
            for number in range(EVENTS):
                await asyncio.sleep(GAP)
                await queue.put(number)
            await queue.put(None)

        task = asyncio.create_task(produce())

        async def body() -> AsyncIterator[dict[str, str]]:
            while (number := await queue.get()) is not None:
                yield {"data": json.dumps({"seq": number})}
            await task

        return EventSourceResponse(body(), ping=3600)

    return app


async def schedule(app: ASGIApp, flavour: FlavourName) -> None:
    network = VirtualNetwork()
    async with (
        open_asgi(app, network, options=Options(flavour=flavour)) as subject,
        open_client(network) as client,
    ):
        for _ in range(STREAMS):
            async with client.stream("GET", subject.url) as response:
                received = [chunk async for chunk in response.aiter_raw()]
            if len(received) != EVENTS or subject.errors:
                raise SystemExit(f"{len(received)} events, {subject.errors}")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    subjects: dict[str, tuple[ASGIApp, FlavourName]] = {
        "plain, trio": (plain(trio.sleep), "trio"),
        "plain, asyncio": (plain(asyncio.sleep), "asyncio"),
        "Starlette": (starlette(), "asyncio"),
        "FastAPI + sse-starlette": (fastapi(), "asyncio"),
    }
    print(f"{'':26}{'streams/s':>10}{'events/s':>10}{'simulated s/s':>15}")
    for name, (app, flavour) in subjects.items():
        began, rounds = time.process_time(), 0
        while (spent := time.process_time() - began) < seconds or rounds < 2:
            with seeded(rounds):
                trio.run(schedule, app, flavour, clock=MockClock(autojump_threshold=0))
            rounds += 1
        streams = rounds * STREAMS / spent
        print(f"{name:26}{streams:10.0f}{streams * EVENTS:10.0f}{streams * EVENTS * GAP:15,.0f}")


if __name__ == "__main__":
    main()
