"""Eight slots for streams, on sse-starlette. One is taken where the request is handled, and given back in the
`finally` of the body: and a generator that never begins never ends.

So a client that is gone before the body is entered leaves its slot taken: issue 156 of sse-starlette. Eight such
clients, and nobody is served any more.
"""

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SLOTS = 8


def make_app(*, correct: bool = False) -> Starlette:
    taken = 0

    async def events(_: Request) -> Response:
        nonlocal taken
        if taken == SLOTS:
            return JSONResponse({"error": "all slots are taken"}, 503, {"Retry-After": "1"})
        if not correct:
            taken += 1
        return EventSourceResponse(body())

    async def body() -> AsyncIterator[ServerSentEvent]:
        nonlocal taken
        if correct:
            taken += 1  # here: what takes it is what gives it back
        try:
            for number in range(3):
                await asyncio.sleep(0.1)
                yield ServerSentEvent(data=f'{{"step": {number}}}', event="progress")
            yield ServerSentEvent(data="{}", event="complete")
        finally:
            taken -= 1

    async def slots(_: Request) -> Response:
        return JSONResponse({"taken": taken})

    return Starlette(routes=[Route("/events", events), Route("/slots", slots)])


def make_mended() -> Starlette:
    return make_app(correct=True)
