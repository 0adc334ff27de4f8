"""HTTP as ASGI 3.0 has it: the scope, `receive`, `send`, and what comes of breaking the rules."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from asgi_world import Say, body, chunks, get, head, in_virtual_time, on_both_networks, virtually

from conformance.asgi import Options, open_asgi
from conformance.asgi.types import Message, Receive, Scope, Send
from conformance.determinism import seeded
from fault_injection.network import Network, SocketNetwork
from fault_injection.virtual import VirtualNetwork

START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/plain")]}


def piece(data: Any, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


@on_both_networks()
async def test_each_send_is_one_chunk(network: Network) -> None:
    app = Say(START, piece(b"one", True), piece(b"two", True), piece(b"", True), piece(b"three"))
    async with open_asgi(app, network) as subject:
        response = await get(network, subject)
    assert response.startswith(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n".replace(b"content-t", b"Content-T")
    )
    assert chunks(response) == [b"one", b"two", b"three"]
    assert subject.errors == []
    assert subject.left_behind() == ()


@in_virtual_time
async def test_what_is_in_the_scope() -> None:
    network = VirtualNetwork()
    app = Say(START, piece(b""))
    async with open_asgi(app, network, host="localhost", options=Options(root_path="/api")) as subject:
        connection = await network.connect(*subject.address)
        async with connection:
            await connection.send_all(
                b"POST /caf%C3%A9%2Fau?a=1&b=%20 HTTP/1.1\r\nHost: test\r\nX-Name:  Value\r\nContent-Length: 0\r\n\r\n"
            )
            await connection.receive_some()
    (scope,) = app.scopes
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/café/au",
        "raw_path": b"/api/caf%C3%A9%2Fau",
        "query_string": b"a=1&b=%20",
        "root_path": "/api",
        "headers": [(b"host", b"test"), (b"x-name", b"Value"), (b"content-length", b"0")],
        "client": connection.local,
        "server": subject.address,
        "state": {},
        "extensions": {},
    }


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    request = await receive()
    assert request["type"] == "http.request"
    assert not request["more_body"]
    await head(send)
    await body(send, request["body"])
    for _ in range(2):
        assert (await receive()) == {"type": "http.disconnect"}, "after the response"


@on_both_networks()
@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
async def test_a_connection_serves_one_request_after_another(network: Network, flavour: Any) -> None:
    async with open_asgi(echo, network, options=Options(flavour=flavour)) as subject:
        connection = await network.connect(*subject.address)
        async with connection:
            for text in (b"first", b"second"):
                await connection.send_all(
                    b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
                )
                received = b""
                while not received.endswith(b"0\r\n\r\n"):
                    received += await connection.receive_some()
                assert chunks(received) == [text]
    assert subject.errors == []
    assert subject.exchanges == 2


@in_virtual_time
async def test_head_gets_no_body() -> None:
    network = VirtualNetwork()
    async with open_asgi(Say(START, piece(b"text")), network) as subject:
        response = await get(network, subject, method="HEAD")
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\n")
    assert subject.errors == []


@in_virtual_time
@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("messages", "status", "text"),
    [
        ((), b"500", "GET /: returned without a response"),
        ((piece(b"x"),), b"500", "'http.response.body' was sent before 'http.response.start'"),
        (
            ({"type": "http.response.start", "status": 42},),
            b"500",
            "status is a number from 200 to 999, not 42",
        ),
        (({"type": "http.response.start"},), b"500", "not None"),
        (
            ({**START, "headers": [("a", "b")]},),
            b"500",
            "a header is [name, value], both bytes, not ('a', 'b')",
        ),
        (({**START, "headers": {b"a": b"b"}},), b"500", "headers is an iterable of [name, value], not dict"),
        (({**START, "headers": [(b"a b", b"")]}, piece(b"")), b"500", "not HTTP: Illegal header name"),
        (({**START, "trailers": True},), b"500", "trailers: not supported"),
        (({"type": "http.response.push", "path": "/"},), b"500", "HTTP push: not supported"),
        (({"type": "websocket.accept"},), b"500", "websockets: not supported"),
        (({"type": "http.respond"},), b"500", "there is no message of type 'http.respond'"),
        ((["start"],), b"500", "a message is a dict, not list"),
        ((START, START), b"cut", "was sent a second time"),
        ((START, piece("text")), b"cut", "body is bytes, not str"),
        ((START, piece(b"x", True)), b"cut", "returned before the response was complete"),
        (
            ({**START, "headers": [(b"content-length", b"1")]}, piece(b"too long")),
            b"cut",
            "not HTTP: Too much data",
        ),
        ((START, piece(b"whole"), piece(b"more")), b"200", "was sent after the response was complete"),
    ],
)
async def test_what_breaks_the_protocol(
    messages: tuple[Any, ...], status: bytes, text: str, flavour: Any
) -> None:
    network = VirtualNetwork()
    async with open_asgi(Say(*messages), network, options=Options(flavour=flavour)) as subject:
        try:
            response = await get(network, subject)
        except trio.BrokenResourceError:
            assert status == b"cut"
        else:
            assert response.split(b" ")[1] == status
    assert len(subject.errors) == 1, subject.errors
    assert text in subject.errors[0].message
    assert subject.errors[0].exchange == 0


def _line(code: str) -> str:
    """Where in this file that stands, first."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"{Path(__file__).name}:{next(n for n, line in enumerate(lines, 1) if line.strip() == code)}"


@in_virtual_time
@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), GeneratorExit()])
async def test_an_exception_is_a_500_or_an_abort(error: BaseException, flavour: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/late":
            await head(send)
            await body(send, b"begun", more=True)
        raise error

    network = VirtualNetwork()
    async with open_asgi(app, network, options=Options(flavour=flavour)) as subject:
        assert (await get(network, subject, "/early")).endswith(b"Internal Server Error")
        with pytest.raises(trio.BrokenResourceError):
            await get(network, subject, "/late")
    line = _line("raise error")
    assert [each.message for each in subject.errors] == [
        f"GET /early: raised {type(error).__name__}: {error} ({line})",
        f"GET /late: raised {type(error).__name__}: {error} ({line})",
    ]
    assert "test_asgi_http.py" in subject.errors[0].trace


@in_virtual_time
@pytest.mark.parametrize(("flavour", "other"), [("asyncio", "trio"), ("trio", "asyncio")])
async def test_the_wrong_loop_is_named(flavour: Any, other: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (trio if other == "trio" else asyncio).sleep(1)

    network = VirtualNetwork()
    async with open_asgi(app, network, options=Options(flavour=flavour)) as subject:
        await get(network, subject)
    assert f'run it with flavour "{other}"' in subject.errors[0].message


class Endless:
    """Sends for ever, or until it is told that there is nobody."""

    def __init__(self, pause: float, times: int = 1000) -> None:
        self.pause = pause
        self.times = times
        self.sent = 0
        self.ending = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await head(send)
        try:
            while self.sent < self.times:
                await body(send, b"x" * 1024, more=True)
                self.sent += 1
                if self.pause:
                    await asyncio.sleep(self.pause)
        except OSError as error:
            self.ending = type(error).__name__
            raise
        self.ending = (await receive())["type"]


@on_both_networks()
@pytest.mark.parametrize(("spec_version", "raises"), [("2.3", False), ("2.4", True)])
async def test_send_after_a_disconnect(network: Network, spec_version: str, raises: bool) -> None:
    app = Endless(0.002, 100)
    async with open_asgi(app, network, options=Options(spec_version=spec_version)) as subject:
        await get(network, subject, until=b"xxx")
    assert app.ending == ("ClientDisconnected" if raises else "http.disconnect")
    assert (app.sent < 100) is raises
    assert subject.errors == []
    assert subject.left_behind() == ()


@in_virtual_time
async def test_a_slow_client_holds_send_back() -> None:
    app, network = Endless(0), VirtualNetwork(buffer_size=1024)
    async with open_asgi(app, network) as subject:
        connection = await network.connect(*subject.address)
        await connection.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await trio.sleep(1)
        assert 64 <= app.sent <= 68, "64 KiB, as asyncio's transports"
        received = 0
        while received < 100 * 1024:
            received += len(await connection.receive_some())
        await trio.sleep(1)
        assert 150 <= app.sent <= 170
        connection.reset()
        await trio.sleep(1)
        assert app.sent == 1000


def test_an_exception_that_nobody_awaits_is_heard() -> None:
    """Also without a garbage collector, as in every seeded run: so nothing of ours may make a ring of the task."""

    async def lost() -> None:
        await asyncio.sleep(0.1)
        raise ValueError("lost")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        asyncio.get_running_loop().create_task(lost())
        await Say(START, piece(b"one"))(scope, receive, send)

    async def main() -> list[str]:
        network = VirtualNetwork()
        async with open_asgi(app, network) as subject:
            await get(network, subject)
            await trio.sleep(1)
            return [error.message for error in subject.errors]

    with seeded(0):
        (message,) = virtually(main)
    line = _line('raise ValueError("lost")')
    assert message == f"Task exception was never retrieved: ValueError: lost ({line})"


def test_an_exception_in_a_task_that_somebody_keeps_is_heard_too() -> None:
    """Of such a task asyncio itself says nothing before the process ends; who awaits one, or asks it, knows."""
    kept: list[asyncio.Task[None]] = []

    async def lost(why: str) -> None:
        raise ValueError(why)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        kept.extend(asyncio.create_task(lost(why)) for why in ("first", "second", "asked", "awaited"))
        await asyncio.wait(kept)
        assert kept[2].exception()
        with suppress(ValueError):
            await kept[3]
        await Say(START, piece(b"one"))(scope, receive, send)

    async def main() -> list[str]:
        network = VirtualNetwork()
        async with open_asgi(app, network) as subject:
            await get(network, subject)
        return [error.message for error in subject.errors]

    with seeded(0):
        messages = virtually(main)
    line = _line("raise ValueError(why)")
    told = [f"Task exception was never retrieved: ValueError: {why} ({line})" for why in ("first", "second")]
    assert messages == told


@pytest.mark.parametrize("virtual", [True, False], ids=["virtual", "sockets"])
def test_an_executor_of_the_applications_own(virtual: bool) -> None:
    """Django has its own. In a seeded block its work is done at once, in place; else in its threads."""
    with ThreadPoolExecutor(max_workers=1) as executor:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["type"] == "http"
            loop = asyncio.get_running_loop()
            took = -loop.time()
            name = await loop.run_in_executor(executor, lambda: threading.current_thread().name)
            took += loop.time()
            own = name.startswith("ThreadPoolExecutor")
            await Say(START, piece(f"{own} {took if virtual else 0.0}".encode()))(scope, receive, send)

        async def main() -> bytes:
            network = VirtualNetwork() if virtual else SocketNetwork()
            async with open_asgi(app, network) as subject:
                response = await get(network, subject)
            assert subject.errors == []
            return response

        if virtual:
            with seeded(0):
                assert chunks(virtually(main)) == [b"False 0.0"]
        else:
            assert chunks(trio.run(main)) == [b"True 0.0"]


@in_virtual_time
async def test_virtual_time_goes_on_while_somebody_is_busy() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        loop = asyncio.get_running_loop()
        end = loop.time() + 1
        while loop.time() < end:  # noqa: ASYNC110  (that is how somebody busy waits)
            await asyncio.sleep(0)
        await Say(START, piece(b"one"))(scope, receive, send)

    network = VirtualNetwork()
    async with open_asgi(app, network) as subject:
        assert chunks(await get(network, subject)) == [b"one"]
        assert 1 <= trio.current_time() < 3


@in_virtual_time
async def test_an_error_has_no_address_in_memory() -> None:
    """It would be another one in each process."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        raise ValueError(object())

    network = VirtualNetwork()
    async with open_asgi(app, network) as subject:
        await get(network, subject)
        line = _line("raise ValueError(object())")
        assert [error.message for error in subject.errors] == [
            f"GET /: raised ValueError: <object object> ({line})"
        ]


@in_virtual_time
async def test_a_busy_application_starves_nobody() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await head(send)
        await body(send, b"begun", more=True)
        await receive()
        gone = asyncio.create_task(wait(receive))
        while not gone.done():  # noqa: ASYNC110  (that is what it is about)
            await asyncio.sleep(0)

    async def wait(receive: Receive) -> None:
        assert (await receive())["type"] == "http.disconnect"

    network = VirtualNetwork()
    async with open_asgi(app, network) as subject:
        await get(network, subject, until=b"begun")
    assert subject.left_behind() == ()
