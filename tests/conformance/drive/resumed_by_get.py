"""An application as the Model Context Protocol has it: a POST opens a stream, a GET to the same endpoint resumes it.

Sessions are told by a header, which the answer to the first request brings. A call counts to `STEPS`, a step each
`PACE` seconds, whether anybody listens or not. Ids say the session, the call and the step: the log is arithmetic.
"""

import json
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import trio

from conformance.asgi.types import ASGIApp, Receive, Scope, Send

STEPS = 8
PACE = 0.1  # seconds


class Asked(NamedTuple):
    """A request: headers by their lower-case name, the query, the JSON of the body (None: there is none)."""

    method: str
    headers: dict[str, str]
    query: dict[str, list[str]]
    json: Any


class Place(NamedTuple):
    """Where a last event ID is looked for; a header that is not expected is refused."""

    of: Callable[[Asked], str | None]
    header: bool = False


PLACES = {
    "header": Place(lambda asked: asked.headers.get("last-event-id"), header=True),
    "query": Place(lambda asked: asked.query.get("after", [None])[0]),
    "json": Place(lambda asked: (asked.json or {}).get("after")),
}


def make(
    place: str = "header",
    *,
    lossy: bool = False,
    shared: bool = False,
    ids: bool = True,
    most: int = STEPS + 1,
) -> ASGIApp:
    """A fresh application. `lossy`: who comes back misses the first event behind the last one. `shared`: all calls of a
    session are one, whoever makes them. `ids`: events have one each. `most`: so many events in one response."""
    where = PLACES[place]
    begun: dict[str, dict[str, float]] = {}  # session: call: when it began
    ready: set[str] = set()
    sessions = count(1)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")
        asked = await _asked(scope, receive)
        session = asked.headers.get("mcp-session-id", "")
        last = where.of(asked)
        if asked.json and asked.json.get("method") == "initialize":
            session = f"session-{next(sessions)}"
            begun[session] = {}
            await _answer(send, 200, (b"Mcp-Session-Id", session.encode()))
        elif asked.json and asked.json.get("method") == "notifications/initialized":
            ready.add(session)
            await _answer(send, 202 if session in begun else 404)
        elif session in begun and session not in ready:
            await _answer(send, 400)
        elif asked.json and asked.json.get("method", "").startswith("notifications/"):
            await _answer(send, 202)  # and nothing more: work that is cancelled goes on
        elif session not in begun:
            await _answer(send, 404)
        elif "last-event-id" in asked.headers and not where.header:
            await _answer(send, 400)
        elif last is None and asked.json:
            call = "one" if shared else asked.json["id"]
            begun[session].setdefault(call, trio.current_time())
            await _stream(send, session, call, begun[session][call], 1, ids, most)
        elif last is not None and _is_known(last, session, begun[session]):
            _, call, step = last.split("/")
            await _stream(send, session, call, begun[session][call], int(step) + 1 + lossy, ids, most)
        else:
            await _answer(send, 404)

    return app


def _is_known(last: str, session: str, calls: dict[str, float]) -> bool:
    owner, _, rest = last.partition("/")
    call, _, step = rest.partition("/")
    return owner == session and call in calls and step.isdigit()


async def _asked(scope: Scope, receive: Receive) -> Asked:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
    return Asked(
        scope["method"],
        headers,
        parse_qs(scope["query_string"].decode()),
        json.loads(body) if body else None,
    )


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"{}"})


async def _stream(
    send: Send, session: str, call: str, began: float, first: int, ids: bool, most: int
) -> None:
    """The events of a call from one on, each when it is there, and the result behind them."""
    head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    head += [(b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for step in range(first, min(first + most, STEPS + 2)):
        await trio.sleep_until(began + step * PACE)
        told = {"method": "notifications/progress", "params": {"progress": step}}
        if step > STEPS:
            told = {"id": call, "result": {}}
        data = json.dumps({"jsonrpc": "2.0", **told})
        id_line = f"id: {session}/{call}/{step}\n" if ids else ""
        event = f"{id_line}event: message\ndata: {data}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body"})
