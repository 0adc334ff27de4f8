"""What an application leaves behind is found and named, with the line where it was made."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trio
from asgi_world import body, head, left_by
from starlette.requests import Request

from conformance.asgi import ASGIApp, LeftBehind, Options
from conformance.asgi.flavours import FlavourName
from conformance.asgi.types import Receive, Scope, Send

FLAVOURS = pytest.mark.parametrize("flavour", ["asyncio", "trio"])
kept: list[Any] = []  # what an application forgets in a global


def line_of(text: str) -> str:
    """Where this stands in this file, as `created_at` says it."""
    lines = Path(__file__).read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    assert len(found) == 1
    return f"{__file__}:{found[0]} in "


async def answer(send: Send) -> None:
    await head(send)
    await body(send, b"data: x\n\n")


async def numbers() -> AsyncIterator[int]:  # numbers
    number = 0
    while True:
        number += 1
        yield number


async def forever() -> None:
    await asyncio.sleep(1e9)


def spawn(work: Coroutine[Any, Any, None]) -> None:
    kept.append(asyncio.create_task(work, name="background"))  # spawned


@pytest.fixture(autouse=True)
def forget() -> Any:
    yield
    kept.clear()


def test_a_task() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        spawn(forever())
        await answer(send)

    (left,) = left_by(app)
    assert (left.kind, left.name, left.owner) == ("task", "background", "")
    assert left.created_at == line_of("spawned") + "spawn"
    assert left.detail.startswith("runs forever, which waits at ")
    assert __file__ in left.detail


def test_a_task_without_a_name_and_its_children() -> None:
    async def parent() -> None:
        kept.append(asyncio.ensure_future(forever()))  # child
        await forever()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        kept.append(asyncio.get_running_loop().create_task(parent()))  # parent
        await answer(send)

    first, second = left_by(app)
    assert first.name == "test_a_task_without_a_name_and_its_children.<locals>.parent"
    assert first.created_at == line_of("parent") + "app"
    assert second.name == "forever"
    assert second.created_at == line_of("child") + "parent"


def test_tasks_that_end_by_themselves_are_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        kept.append(asyncio.create_task(asyncio.sleep(0.5)))
        await answer(send)

    assert left_by(app, stay=0.1) == ()
    assert kept[0].done()
    assert not kept[0].cancelled()


def test_who_begins_a_librarys_generator_owns_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        parts = Request(scope, receive).stream()
        kept.append(parts)
        await anext(aiter(parts))
        await answer(send)

    (left,) = left_by(app)
    assert (left.kind, left.name, left.owner) == ("generator", "Request.stream", "")
    assert "starlette" in left.created_at


@pytest.mark.parametrize("call", ["send", "receive"])
def test_a_call_that_takes_no_notice_and_never_waits_holds_nobody_up(call: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await head(send)
        while (await receive())["type"] != "http.disconnect":
            pass
        while True:
            await (receive() if call == "receive" else body(send, b"data: x\n\n", more=True))

    (left,) = left_by(app, stay=0.1)
    assert left.kind == "call"


def test_a_task_that_cannot_be_cancelled_holds_nobody_up() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                kept.append("refused")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        spawn(stubborn())
        await answer(send)

    (left,) = left_by(app)
    assert left.name == "background"
    assert "refused" in kept


@FLAVOURS
def test_a_generator(flavour: FlavourName) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        kept.append(numbers())
        await anext(kept[-1])  # begun
        await answer(send)

    (left,) = left_by(app, options=Options(flavour=flavour))
    assert left == LeftBehind(
        "generator",
        "numbers",
        line_of("numbers") + "numbers",
        "",
        f"stands at line {numbers.__code__.co_firstlineno + 4}; begun at {line_of('begun')}app",
    )


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # of trio
@FLAVOURS
def test_a_generator_that_only_a_cycle_holds_is_nothing(flavour: FlavourName) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        cycle: list[object] = [numbers()]
        cycle.append(cycle)
        await anext(cycle[0])  # type: ignore[call-overload]
        await answer(send)

    assert left_by(app, options=Options(flavour=flavour)) == ()


def test_generators_that_ended_are_nothing() -> None:
    async def few() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        kept.extend([few(), numbers()])
        assert [number async for number in kept[0]] == [1, 2]
        await anext(kept[1])
        await kept[1].aclose()
        async for number in numbers():
            if number == 3:
                break  # garbage at once: the loop closes it
        await answer(send)

    assert left_by(app) == ()


@FLAVOURS
def test_a_call_that_does_not_notice_the_disconnect(flavour: FlavourName) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await head(send)
        while True:
            await body(send, b": alive\n\n", more=True)
            if flavour == "asyncio":
                await asyncio.sleep(1)
            else:
                await trio.sleep(1)

    (left,) = left_by(app, options=Options(flavour=flavour, grace=7))
    assert left == LeftBehind(
        "call", "GET / (exchange 0)", detail="did not return within 7 s of the end of its response"
    )


def test_a_call_is_given_up_before_the_lifespan_ends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            kept.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
        else:
            try:
                await forever()
            finally:
                kept.append("cancelled")

    (left,) = left_by(app)
    assert left.kind == "call"
    assert kept == ["cancelled", "lifespan.shutdown"]


def test_a_system_task_of_trio() -> None:
    async def daemon() -> None:
        with trio.CancelScope() as scope:
            kept.append(scope)
            await trio.sleep_forever()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        trio.lowlevel.spawn_system_task(daemon)  # system
        await answer(send)

    (left,) = left_by(app, options=Options(flavour="trio"))
    assert left.kind == "task"
    assert left.name.endswith("daemon")
    assert left.created_at == line_of("system") + "app"


def apps() -> list[tuple[ASGIApp, FlavourName]]:
    async def on_asyncio(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        async with asyncio.TaskGroup() as group:
            sleeping = group.create_task(forever())
            group.create_task(asyncio.sleep(1))
            await head(send)
            while (await receive())["type"] != "http.disconnect":
                await body(send, b"data: x\n\n", more=True)
            sleeping.cancel()

    async def on_trio(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await head(send)
            while (await receive())["type"] != "http.disconnect":
                await body(send, b"data: x\n\n", more=True)
            nursery.cancel_scope.cancel()

    return [(on_asyncio, "asyncio"), (on_trio, "trio")]


@pytest.mark.parametrize(("app", "flavour"), apps())
def test_who_cleans_up_leaves_nothing(app: ASGIApp, flavour: FlavourName) -> None:
    assert left_by(app, options=Options(flavour=flavour)) == ()
