"""The Lifespan Protocol 2.0: tells the application that it starts and that it shall end."""

import reprlib
from collections.abc import Mapping
from typing import Any

import trio

from conformance.asgi.flavours import AnyEvent, Flavour, Running
from conformance.asgi.types import ASGIApp, Message


class StartupError(Exception):
    """The application did not start."""


class Lifespan:
    """One life of the application. `state` is what it wants every request to find in its scope.

    `note` says why there is none, or what went wrong at the end; "" where all was well.
    """

    def __init__(self, app: ASGIApp, flavour: Flavour) -> None:
        self.state: dict[str, Any] = {}
        self.supported = False
        self.note = ""
        self._app = app
        self._flavour = flavour
        self._ending: AnyEvent = flavour.event()
        self._received = 0
        self._answer = trio.Event()
        self._answers: list[object] = []  # whatever it is
        self._raised: BaseException | None = None
        self._returned = False
        self._running: Running | None = None

    async def startup(self, limit: float) -> None:
        """Start it. Raises `StartupError` where it fails, or says nothing for `limit` seconds.

        An application that raises or returns instead of answering has no lifespan; that is allowed.
        """
        self._running = self._flavour.start(self._run, "lifespan")
        if not await self._answered(limit):
            if not self._returned:
                self._running.cancel()
                raise StartupError(f"the application did not answer lifespan.startup within {limit:g} s")
            self.note = f"no lifespan: {_what(self._raised)}"
            return
        answer = self._answers.pop(0)
        match _kind(answer):
            case "lifespan.startup.complete":
                self.supported = True
            case "lifespan.startup.failed":
                text = _message(answer) or "it does not say why"
                raise StartupError(f"the application failed to start: {text}")
            case _:
                raise StartupError(f"the application answered lifespan.startup with {_shown(answer)}")

    async def shutdown(self, limit: float) -> bool:
        """End it. False where it did not come to its end within `limit` seconds; then it still runs."""
        if not self.supported or self._running is None:
            return True
        self._ending.set()
        answered = await self._answered(limit)
        with trio.move_on_after(limit):
            await self._running.done.wait()
        if not self._running.done.is_set():
            self.note = f"the application did not end within {limit:g} s of lifespan.shutdown"
            return False
        if not answered:
            self.note = f"the application did not answer lifespan.shutdown: {_what(self._raised)}"
            return True
        answer = self._answers.pop(0)
        match _kind(answer):
            case "lifespan.shutdown.complete" if self._raised is None:
                pass
            case "lifespan.shutdown.complete":
                self.note = f"the application's lifespan ended badly: {_what(self._raised)}"
            case "lifespan.shutdown.failed":
                text = _message(answer)
                self.note = f"the application failed to shut down: {_kind(answer)}" + (
                    f": {text}" if text else ""
                )
            case _:
                self.note = f"the application answered lifespan.shutdown with {_shown(answer)}"
        return True

    def cancel(self) -> None:
        """Give it up."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except BaseException as error:
            if _from_outside(error):
                raise
            self._raised = error
        finally:
            self._returned = True
            self._answer.set()

    async def _receive(self) -> Message:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        if self._received > 2:
            await self._flavour.event().wait()  # there is nothing more to receive
        await self._ending.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: object) -> None:
        self._answers.append(message)
        self._answer.set()

    async def _answered(self, limit: float) -> bool:
        with trio.move_on_after(limit):
            await self._answer.wait()
        self._answer = trio.Event()
        return bool(self._answers)


def _from_outside(error: BaseException) -> bool:
    """It goes on; anything else is the application's, `sys.exit` too."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((trio.Cancelled, KeyboardInterrupt))[0] is not None
    return isinstance(error, trio.Cancelled | KeyboardInterrupt | GeneratorExit)


def _kind(answer: object) -> str | None:
    """The type that it says it has; None: it is no message."""
    kind = answer.get("type") if isinstance(answer, Mapping) else None
    return kind if isinstance(kind, str) else None


def _message(answer: object) -> str:
    return str(answer.get("message", "")).strip() if isinstance(answer, Mapping) else ""


def _shown(answer: object) -> str:
    kind = _kind(answer)
    if kind is not None:
        return repr(kind)
    return f"{reprlib.repr(answer)}, which is no message: a message is a dict with a type"


def _what(error: BaseException | None) -> str:
    return (
        f"it raised {type(error).__name__}: {error}" if error is not None else "it returned without an answer"
    )
