"""The lifespan: its state, its failures, its absence."""

from typing import Any

import pytest
import trio
from asgi_world import Say, body, get, head, in_virtual_time

from conformance.asgi import Options, StartupError, open_asgi
from conformance.asgi.types import Receive, Scope, Send
from fault_injection.virtual import VirtualNetwork

FLAVOURS = pytest.mark.parametrize("flavour", ["asyncio", "trio"])


class Hard(BaseException):
    """What `except Exception` does not catch."""


class Shop:
    """Notes its life, and answers with what it finds in its state."""

    def __init__(self, **wrong: Any) -> None:
        self.life: list[str] = []
        self.wrong = wrong

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
            for phase in ("startup", "shutdown"):
                message = await receive()
                self.life.append(message["type"])
                if self.wrong.get(phase) == "silent":
                    await receive()
                if self.wrong.get(phase) == "raise":
                    raise ValueError("no database")
                if self.wrong.get(phase) == "raise hard":
                    raise Hard("no database")
                scope["state"]["database"] = ["open"]
                if not isinstance(self.wrong.get(phase, ""), str):
                    await send(self.wrong[phase])
                elif phase in self.wrong:
                    await send({"type": f"lifespan.{phase}.failed", "message": self.wrong[phase]})
                else:
                    await send({"type": f"lifespan.{phase}.complete"})
        else:
            scope["state"]["database"].append("used")
            scope["state"]["mine"] = 1
            await head(send)
            await body(send, str(scope["state"]).encode())


@in_virtual_time
@FLAVOURS
async def test_state_is_shared_as_a_shallow_copy(flavour: Any) -> None:
    app, network = Shop(), VirtualNetwork()
    async with open_asgi(app, network, options=Options(flavour=flavour)) as subject:
        assert subject.lifespan.supported
        assert app.life == ["lifespan.startup"]
        assert b"{'database': ['open', 'used'], 'mine': 1}" in await get(network, subject)
        assert b"{'database': ['open', 'used', 'used'], 'mine': 1}" in await get(network, subject)
    assert app.life == ["lifespan.startup", "lifespan.shutdown"]
    assert subject.lifespan.state == {"database": ["open"]} or "mine" not in subject.lifespan.state
    assert subject.lifespan.note == ""
    assert subject.left_behind() == ()


@in_virtual_time
@FLAVOURS
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("no key", "failed to start: no key"),
        ("silent", "did not answer lifespan.startup within 7 s"),
        (3, r"answered lifespan.startup with 3, which is no message: a message is a dict with a type"),
        ({}, r"answered lifespan.startup with \{\}, which is no message"),
        ({"type": 3}, r"answered lifespan.startup with \{'type': 3\}, which is no message"),
        ({"type": "http.response.start"}, r"answered lifespan.startup with 'http.response.start'"),
    ],
)
async def test_a_failing_startup_is_an_error(flavour: Any, wrong: Any, text: str) -> None:
    network = VirtualNetwork()
    with pytest.raises(StartupError, match=text):
        async with open_asgi(Shop(startup=wrong), network, options=Options(flavour=flavour, startup=7)):
            pytest.fail("it started")
    async with open_asgi(Say(), network, port=49152):
        pass  # nothing listens there any more


@in_virtual_time
@FLAVOURS
async def test_an_application_may_have_none(flavour: Any) -> None:
    async with open_asgi(Say(), VirtualNetwork(), options=Options(flavour=flavour)) as subject:
        assert not subject.lifespan.supported
    assert subject.lifespan.note.startswith("no lifespan: it raised AssertionError")
    assert subject.errors == []


@in_virtual_time
@FLAVOURS
@pytest.mark.parametrize(
    ("wrong", "note", "left"),
    [
        ("no key", "failed to shut down: lifespan.shutdown.failed: no key", []),
        ("raise", "did not answer lifespan.shutdown: it raised ValueError: no database", []),
        ("raise hard", "did not answer lifespan.shutdown: it raised Hard: no database", []),
        ("silent", "did not end within 4 s of lifespan.shutdown", ["lifespan"]),
        (3, "answered lifespan.shutdown with 3, which is no message", []),
        ({}, "answered lifespan.shutdown with {}, which is no message", []),
        ({"type": "http.response.start"}, "answered lifespan.shutdown with 'http.response.start'", []),
    ],
)
async def test_a_failing_shutdown_is_noted(flavour: Any, wrong: Any, note: str, left: list[str]) -> None:
    options = Options(flavour=flavour, shutdown=4)
    async with open_asgi(Shop(shutdown=wrong), VirtualNetwork(), options=options) as subject:
        with pytest.raises(RuntimeError, match="after the shutdown"):
            subject.left_behind()
    assert note in subject.lifespan.note
    assert [each.name for each in subject.left_behind()] == left
    assert trio.current_time() < 30


@in_virtual_time
@FLAVOURS
async def test_an_error_of_the_block_comes_out_as_it_is(flavour: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_asgi(Shop(), VirtualNetwork(), options=Options(flavour=flavour)):
            raise ZeroDivisionError


@in_virtual_time
@FLAVOURS
async def test_the_block_can_be_cancelled(flavour: Any) -> None:
    with trio.move_on_after(3) as scope:
        async with open_asgi(Shop(), VirtualNetwork(), options=Options(flavour=flavour)):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() < 20
