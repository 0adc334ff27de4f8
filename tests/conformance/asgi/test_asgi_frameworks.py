"""Unmodified applications of other people's frameworks, in virtual time and on sockets."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
import trio
from asgi_world import get, in_virtual_time, on_both_networks
from fastapi import FastAPI
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from conformance.asgi import Choice, Options, Plan, open_asgi
from conformance.transport import open_client
from fault_injection.network import Network
from fault_injection.virtual import VirtualNetwork


def shop(gap: float) -> FastAPI:
    """Twenty events from a task to a queue to the stream."""
    app = FastAPI()

    @app.get("/events")
    async def events(request: Request) -> EventSourceResponse:
        queue: asyncio.Queue[int | None] = asyncio.Queue()

        async def produce() -> None:
            for number in range(20):
                await asyncio.sleep(gap)
                await queue.put(number)
            await queue.put(None)

        task = asyncio.create_task(produce())

        async def body() -> AsyncIterator[dict[str, Any]]:
            try:
                while (number := await queue.get()) is not None:
                    yield {"id": str(number), "data": json.dumps({"seq": number})}
            finally:
                task.cancel()

        return EventSourceResponse(body(), ping=3600)

    return app


def own(left: Any) -> list[Any]:
    """Without what a library keeps for itself: sse-starlette's watcher lives as long as the loop."""
    return [each for each in left if each.kind != "task" or not each.owner]


@in_virtual_time
async def test_fastapi_and_sse_starlette_for_five_minutes() -> None:
    network, began = VirtualNetwork(), time.process_time()
    async with open_asgi(shop(15), network) as subject, open_client(network) as client:
        start = trio.current_time()
        async with client.stream("GET", f"{subject.url}/events") as response:
            arrived = [(trio.current_time() - start, chunk) async for chunk in response.aiter_raw()]
    assert [at for at, _ in arrived] == [15.0 * (number + 1) for number in range(20)]
    assert arrived[-1][1] == b'id: 19\r\ndata: {"seq": 19}\r\n\r\n'
    assert subject.errors == []
    assert own(subject.left_behind()) == []
    assert time.process_time() - began < 3, "five minutes of stream take a fraction of a second"


@on_both_networks()
async def test_a_client_that_leaves(network: Network) -> None:
    async with open_asgi(shop(0.01), network) as subject:
        response = await get(network, subject, "/events", until=b"id: 3")
        assert b"id: 3" in response
    assert subject.errors == []
    assert own(subject.left_behind()) == []
    assert subject.calls == 0


@in_virtual_time
async def test_what_a_library_keeps_has_its_name() -> None:
    network = VirtualNetwork()
    async with open_asgi(shop(1), network) as subject:
        await get(network, subject, "/events", stay=5)
    (left,) = subject.left_behind()
    assert (left.kind, left.name, left.owner) == ("task", "_shutdown_watcher", "sse_starlette")


@in_virtual_time
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # Starlette leaves it to the collector
async def test_a_body_that_only_the_collector_closes_is_not_left() -> None:
    """Cancelled while a part is being sent, Starlette 1.10 drops the body's generator without closing it, and only
    the garbage collector ends it: so it does on plain asyncio, too. No application can help that."""
    network = VirtualNetwork()
    moments = Plan(choices={"0.send.1.before": Choice(delay=5.0)})
    gc.disable()
    try:
        async with open_asgi(streaming(), network, moments=moments) as subject:
            await get(network, subject, stay=1)
    finally:
        gc.enable()
    assert subject.left_behind() == ()


def streaming() -> Starlette:
    """Runs on either loop, as anyio does; a lifespan, and a generator of its own in a thread."""

    async def ticks(_: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            for number in range(3):
                yield f"data: {number}\n\n"
                await anyio.sleep(1)

        return StreamingResponse(body(), media_type="text/event-stream")

    async def fails(_: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            yield "data: 0\n\n"
            raise ValueError("no more")

        return StreamingResponse(body())

    return Starlette(routes=[Route("/", ticks), Route("/fails", fails)])


@in_virtual_time
@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # Starlette leaves it to the collector
async def test_starlette_on_either_loop(flavour: Any, spec_version: str) -> None:
    network = VirtualNetwork()
    options = Options(flavour=flavour, spec_version=spec_version)
    async with open_asgi(streaming(), network, options=options) as subject:
        assert subject.lifespan.supported
        start = trio.current_time()
        assert b"data: 2" in await get(network, subject)
        assert trio.current_time() - start == 3
        await get(network, subject, stay=1.5)
        with pytest.raises(trio.BrokenResourceError):
            await get(network, subject, "/fails")
    (error,) = subject.errors
    assert error.message.startswith("GET /fails: raised ValueError: no more (test_asgi_frameworks.py:")
    assert subject.left_behind() == ()


@in_virtual_time
async def test_many_clients_at_once() -> None:
    network = VirtualNetwork()
    async with open_asgi(shop(1), network) as subject:
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(lambda stay: get(network, subject, "/events", stay=stay), number + 0.5)
        await trio.sleep(1)
        assert subject.calls == 0
    assert subject.exchanges == 30
    assert subject.errors == []
    assert own(subject.left_behind()) == []
