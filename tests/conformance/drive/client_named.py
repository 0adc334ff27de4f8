"""An application as Vercel's `useChat` has it: the client names the chat, a POST begins the answer and streams it, a
GET sends all of it again, and goes on.

The answer is `WORDS` words, one each `PACE` seconds, whether anybody listens or not. No event has an id or a number.
"""

import json
from dataclasses import dataclass

import trio

from conformance.asgi.types import ASGIApp, Receive, Scope, Send

WORDS = 8
PACE = 0.1  # seconds


@dataclass(frozen=True)
class Chat:
    """An answer that was begun at a moment on trio's clock."""

    begun: float

    @property
    def is_over(self) -> bool:
        return trio.current_time() >= self.begun + (WORDS + 1) * PACE


def parts() -> list[str]:
    words = [{"type": "text-delta", "id": "t", "delta": f"word {number} "} for number in range(WORDS)]
    return [json.dumps(each) for each in ({"type": "start"}, *words, {"type": "finish"})]


def make(*, forgets: int = 0, live_only: bool = False) -> ASGIApp:
    """A fresh application. `forgets`: so many of the first words are not in what is sent again. `live_only`: who comes
    back gets only what is new."""
    chats: dict[str, Chat] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        name, _, verb = scope["path"].removeprefix("/api/chat").strip("/").partition("/")
        if scope["method"] == "POST":
            chat = chats.setdefault(json.loads(body)["id"], Chat(trio.current_time()))
            await _stream(send, chat, 0)
        elif name not in chats:
            await _answer(send, 404, {})
        elif verb == "stream":
            passed = int((trio.current_time() - chats[name].begun) / PACE) + 1
            await _stream(send, chats[name], passed if live_only else 0, forgets)
        else:
            await _answer(send, 200, {"state": "completed" if chats[name].is_over else "streaming"})

    return app


async def _answer(send: Send, status: int, value: object) -> None:
    head = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def _stream(send: Send, chat: Chat, first: int, forgets: int = 0) -> None:
    head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    head += [(b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for place, part in enumerate(parts()):
        if place >= first and not 0 < place <= forgets:
            await trio.sleep_until(chat.begun + place * PACE)
            event = f"data: {part}\n\n".encode()
            await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
