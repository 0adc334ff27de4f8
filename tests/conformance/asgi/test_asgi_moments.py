"""The moment at which an application learns of a disconnect, at every boundary there is."""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
from asgi_world import body, get, head, virtually
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from conformance.asgi import ASGIApp, Boundary, Choice, Drawn, Moments, News, Noted, Options, Plan, open_asgi
from conformance.asgi.flavours import FlavourName
from conformance.asgi.types import Receive, Scope, Send
from fault_injection.virtual import VirtualNetwork

QUIET = [
    "0.call",
    "0.send.0.before",
    "0.send.0.after",
    "0.send.1.before",
    "0.send.1.after",
    "0.receive.0.before",
    "0.receive.0.after",
    "0.send.2.before",
    "0.send.2.after",
    "0.receive.1.before",
    "0.receive.1.after",
    "0.return",
]


class Teller:
    """Sends an event, reads, sends the last, and notes when it learns that there will be nothing more."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.noted.append("called")
        await head(send)
        await body(send, b"data: 1\n\n", more=True)
        self.noted.append((await receive())["type"])
        await body(send, b"data: 2\n\n")
        self.noted.append((await receive())["type"])


def drive(app: ASGIApp, moments: Moments, *, options: Options | None = None, stay: float = 9.0) -> list[str]:
    """One client, and what the application did wrong."""

    async def main() -> list[str]:
        network = VirtualNetwork()
        async with open_asgi(app, network, moments=moments, options=options) as subject:
            try:
                await get(network, subject, stay=stay)
            except trio.BrokenResourceError:
                await trio.sleep(stay)
        return [error.message for error in subject.errors] + [left.name for left in subject.left_behind()]

    return virtually(main)


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_boundaries_have_names(flavour: FlavourName) -> None:
    moments, app = Noted(), Teller()
    assert drive(app, moments, options=Options(flavour=flavour)) == []
    assert moments.crossed == QUIET
    assert app.noted == ["called", "http.request", "http.disconnect"]
    assert moments.plan == Plan()


@pytest.mark.parametrize("delay", [None, 0.0, 0.5])
@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize("name", QUIET)
def test_a_disconnect_at_every_boundary(name: str, flavour: FlavourName, delay: float | None) -> None:
    moments, app = Noted(Plan({name: Choice(delay, cut=True)})), Teller()
    assert drive(app, moments, options=Options(flavour=flavour)) == []
    assert moments.crossed == QUIET, "below 2.4 the application runs to its end"
    first = QUIET.index(name) < QUIET.index("0.receive.0.after")
    assert app.noted == ["called", "http.disconnect" if first else "http.request", "http.disconnect"]


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize("name", QUIET)
def test_from_2_4_on_the_next_send_raises(name: str, flavour: FlavourName) -> None:
    moments, app = Noted(Plan({name: Choice(cut=True)})), Teller()
    assert drive(app, moments, options=Options(flavour=flavour, spec_version="2.4")) == []
    here = QUIET.index(name)
    following = [each for each in QUIET[here:] if each.endswith("before") and "send" in each]
    last = following[0] if following else "0.return"
    assert moments.crossed == QUIET[: QUIET.index(last) + 1]


@pytest.mark.parametrize(
    ("name", "seen"),
    [("0.call", b""), ("0.send.1.before", b"HTTP/1.1 200"), ("0.receive.0.before", b"data: 1")],
)
def test_a_cut_is_a_reset_to_the_client(name: str, seen: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> bytes:
        network = VirtualNetwork()
        async with open_asgi(Teller(), network, moments=Plan({name: Choice(1.0, cut=True)})) as subject:
            connection = await network.connect(*subject.address)
            await connection.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            received = b""
            try:
                while data := await connection.receive_some():
                    received += data
            except trio.BrokenResourceError:
                received += b"reset"
            assert trio.current_time() < 1, "before the delay"
            return received

    received = virtually(main)
    assert caplog.records == [], "the server has nothing to complain of"
    assert received.endswith(b"reset")
    assert seen in received
    assert (b"data: 1" in received) is (b"data: 1" in seen)
    assert b"data: 2" not in received


def test_a_cut_after_the_response_resets_the_connection() -> None:
    async def main() -> None:
        network, moments = (
            VirtualNetwork(),
            Plan({"0.receive.1.before": Choice(1.0), "0.return": Choice(cut=True)}),
        )
        async with open_asgi(Teller(), network, moments=moments) as subject:
            connection = await network.connect(*subject.address)
            await connection.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                received += await connection.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await connection.receive_some()
            assert trio.current_time() == 1

    virtually(main)


class Waiter:
    """Sends events and waits at the same time to learn of the disconnect; notes what it had sent by then."""

    def __init__(self) -> None:
        self.sent = 0
        self.learnt: tuple[int, float] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        await head(send)
        sending = asyncio.create_task(self.events(send))
        await receive()
        self.learnt = self.sent, trio.current_time()
        sending.cancel()

    async def events(self, send: Send) -> None:
        while True:
            await body(send, b"data: x\n\n", more=True)
            self.sent += 1
            await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("news", "learnt"),
    [
        (News(), (3, 2.5)),
        (News(until="0.send.5.before"), (5, 4.0)),
        (News(until="0.send.5.after"), (5, 4.0)),
        (News(until="0.send.1.after"), (3, 2.5)),
        (News(until="never", at_most=1.25), (4, 3.75)),
    ],
)
def test_news_can_be_held_back(news: News, learnt: tuple[int, float]) -> None:
    app = Waiter()
    assert drive(app, Plan(held={0: news}), stay=2.5) == []
    assert app.learnt == learnt


def test_a_plan_is_a_small_file() -> None:
    plan = Plan({"0.send.0.before": Choice(0.5), "1.call": Choice(cut=True)}, {0: News("0.send.3.after")})
    text = msgspec.json.encode(plan)
    assert text == (
        b'{"choices":{"0.send.0.before":{"delay":0.5},"1.call":{"cut":true}},"held":{"0":{"until":"0.send.3.after"}}}'
    )
    assert msgspec.json.decode(text, type=Plan) == plan
    assert Boundary(1, "return").name == "1.return"


@pytest.mark.parametrize("seed", range(20))
def test_what_was_drawn_can_be_replayed(seed: int) -> None:
    drawn, first = Noted(Drawn(random.Random(seed), pause=0.5, cut=0.1, hold=0.5)), Teller()
    drive(first, drawn)
    again, second = Noted(drawn.plan), Teller()
    drive(second, again)
    assert (again.crossed, again.plan, second.noted) == (drawn.crossed, drawn.plan, first.noted)


# A client that is gone before the body begins: sse-starlette's issue 156.


class Slots:
    """Claims a slot in the handler and frees it in the generator's `finally`."""

    def __init__(self, kind: type[Response]) -> None:
        self.claimed = 0

        async def events(_: Request) -> Response:
            self.claimed += 1
            return kind(stream())

        async def stream() -> AsyncIterator[str]:
            try:
                for number in range(3):
                    yield f"{number}\n\n"
                    await asyncio.sleep(1)
            finally:
                self.claimed -= 1

        self.app = Starlette(routes=[Route("/", events)])


def lost(kind: type[Response], choice: Choice, spec_version: str) -> list[str]:
    """The boundaries at which a disconnect costs a slot."""
    quiet = Noted()
    drive(Slots(kind).app, quiet)
    found = []
    for name in quiet.crossed:
        slots = Slots(kind)
        drive(slots.app, Plan({name: choice}), options=Options(spec_version=spec_version))
        if slots.claimed:
            found.append(name)
    return found


@pytest.mark.parametrize("kind", [EventSourceResponse, StreamingResponse])
def test_issue_156_where_send_waits(kind: type[Response]) -> None:
    """The head's `send` lets others run, as in any server but uvicorn: the body never begins, nor its cleanup."""
    assert lost(kind, Choice(delay=0.0, cut=True), "2.3") == ["0.send.0.before", "0.send.0.after"]


@pytest.mark.parametrize("kind", [EventSourceResponse, StreamingResponse])
def test_issue_156_does_not_occur_where_send_does_not_wait(kind: type[Response]) -> None:
    """Why it has not been seen on uvicorn: its `send` gives nobody else a turn, and raises nothing."""
    assert lost(kind, Choice(cut=True), "2.3") == []


@pytest.mark.parametrize("kind", [EventSourceResponse, StreamingResponse])
def test_issue_156_where_send_raises(kind: type[Response]) -> None:
    """With ASGI 2.4 it needs no race: the client has only to be gone when the head is sent."""
    assert lost(kind, Choice(cut=True), "2.4") == ["0.call", "0.send.0.before"]
