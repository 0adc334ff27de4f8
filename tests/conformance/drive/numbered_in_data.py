"""An application as OpenAI's Responses API has it: the name of the work and the numbers of its events are in the data.

A response counts to `LAST`, a step each `PACE` seconds from the moment at which it was asked for, whether anybody
listens or not. The log is arithmetic: any part of it can be made for any subscriber.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import trio

from conformance.asgi.types import ASGIApp, Receive, Scope, Send

PACE = 0.1  # seconds
LAST = 9


@dataclass
class Response:
    """When it was begun and, on trio's clock, stopped; `stopped` wakes who streams it."""

    began: float
    end: float = math.inf
    stopped: trio.Event = field(default_factory=trio.Event)

    @property
    def last(self) -> int:
        """The number of the last event: of the one that tells of the cancellation, if it was cancelled."""
        return min(LAST, int((self.end - self.began) / PACE) + 1) if self.stopped.is_set() else LAST

    @property
    def state(self) -> str:
        if self.stopped.is_set():
            return "cancelled"
        return "completed" if trio.current_time() >= self.began + LAST * PACE else "in_progress"

    def stop(self) -> None:
        if self.state == "in_progress":
            self.end = trio.current_time()
            self.stopped.set()

    async def reached(self, step: int) -> None:
        """Wait until a step is due, or the whole is stopped."""
        with trio.move_on_at(self.began + step * PACE):
            await self.stopped.wait()


def make(*, lossy: bool = False, again: bool = False, named_at: int = 0) -> ASGIApp:
    """A fresh application. `lossy`: who comes back misses the first event behind the last one; `again`: gets the last
    one again. `named_at`: the event that tells the response's name; -1: none does."""
    responses: dict[str, Response] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")
        while (await receive()).get("more_body"):
            pass
        query = parse_qs(scope["query_string"].decode())
        name, _, verb = scope["path"].removeprefix("/v1/responses").strip("/").partition("/")
        if scope["method"] == "POST" and not name:
            name = f"resp_{len(responses) + 1}"
            responses[name] = Response(trio.current_time())
            await _stream(send, name, responses[name], 0, named_at)
        elif name not in responses:
            await _answer(send, 404, {"error": {"message": "no such response"}})
        elif "stream" in query:
            after = query.get("starting_after", [""])[0]
            if after and not after.isdigit():
                await _answer(send, 400, {"error": {"message": "starting_after is a number"}})
            else:
                first = int(after) + 1 + lossy - again if after else 0
                await _stream(send, name, responses[name], first, named_at)
        else:
            if verb == "cancel":
                responses[name].stop()
            await _answer(send, 200, {"id": name, "status": responses[name].state})

    return app


async def _answer(send: Send, status: int, value: object) -> None:
    head = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def _stream(send: Send, name: str, response: Response, first: int, named_at: int) -> None:
    head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    head += [(b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for step in range(first, LAST + 1):
        await response.reached(step)
        if step > response.last:
            break
        kind = "response.created" if step == 0 else "response.step"
        if step == response.last:
            kind = "response.failed" if response.stopped.is_set() else "response.completed"
        told: dict[str, Any] = {"type": kind, "sequence_number": step}
        if step == named_at:
            told["response"] = {"id": name}
        event = f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body"})
