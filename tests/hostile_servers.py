"""Servers that do to a client whatever a server can do. `with served(HOSTILE["firehose"]) as url: ...`"""

import gzip
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final, TypeAlias

import trio

Handler: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n"
)
STREAM: Final = HEAD + b"\r\n"

EVIL: Final = "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe [bold]bold[/bold] \x9b1m \x00"
"""What would steer a terminal, rich, or the eye."""


def says(*parts: bytes) -> Handler:
    """Sends these bytes, and closes."""

    async def handle(stream: trio.abc.Stream) -> None:
        for part in parts:
            await stream.send_all(part)

    return handle


def again_and_again(start: bytes, piece: bytes) -> Handler:
    """Sends `start`, then `piece` for ever."""

    async def handle(stream: trio.abc.Stream) -> None:
        await stream.send_all(start)
        while True:
            await stream.send_all(piece)

    return handle


async def nothing(stream: trio.abc.Stream) -> None:
    """Takes the request and is silent."""
    with suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


async def bomb(stream: trio.abc.Stream) -> None:
    """A small gzip body that holds a gigabyte of small events."""
    await stream.send_all(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gigabyte())


@cache
def gigabyte() -> bytes:
    """A gigabyte of events, in two megabytes."""
    member = gzip.compress(b"data: x\n\n" * (16 * 2**20 // 9), 9)
    return member * 64


def events(count: int | None, *, pause: float = 0.02, late: float = 0.0) -> Handler:
    """An ordinary stream of JSON events, of which the first `late` seconds are old; without end if None."""

    async def handle(stream: trio.abc.Stream) -> None:
        await stream.send_all(STREAM)
        number = 0
        while count is None or number < count:
            number += 1
            stamp = time.time() - (late if number <= 2 else 0.0)
            data = json.dumps({"seq": number, "timestamp": stamp})
            await stream.send_all(f"id: {number}\ndata: {data}\n\n".encode())
            await trio.sleep(pause)

    return handle


def evil_stream() -> Handler:
    """Hostile text wherever text can be."""
    text = EVIL.replace("\x00", "").encode()
    return says(
        b"HTTP/1.1 200 Fine" + text.replace(b"\r", b"") + b"\r\n" + STREAM.partition(b"\r\n")[2],
        b"event: " + text + b"\nid: " + text + b"\ndata: " + text + b"\n\n",
        b":" + text + b"\n\n" + text + b": unknown field\n\ndata: \xff\xfe\n\n",
    )


def _answer(status: str, body: bytes, kind: str = "text/plain", more: bytes = b"") -> Handler:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n".encode()
    return says(head + more + b"Connection: close\r\n\r\n" + body)


HOSTILE: Final[Mapping[str, Handler]] = {
    "500": _answer("500 Oops", b"the database is on fire"),
    "html": _answer("200 OK", b"<html><script>alert(1)</script>", "text/html"),
    "firehose": again_and_again(STREAM, b"data: x\n\n" * 5000),
    "line": again_and_again(STREAM, b"x" * 65536),
    "event": again_and_again(STREAM, b"data: x\n" * 8192),
    "no head": nothing,
    "endless head": again_and_again(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 1000 + b"\r\n"),
    "endless 100": again_and_again(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "endless chunk size": again_and_again(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "gzip bomb": bomb,
    "redirects": _answer("302 Found", b"", more=b"Location: /again\r\n"),
    "garbage": says(b"SSH-2.0-OpenSSH_9.6\r\n\x00\x01\x02\r\n\r\n"),
    "closes": says(),
    "evil": evil_stream(),
}


@contextmanager
def served(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that handles each connection so, once a request came. It runs in a thread."""
    ready = threading.Event()
    ports: list[int] = []
    leave: list[Callable[[], None]] = []

    async def handle(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError):
            if await stream.receive_some():
                await handler(stream)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            ports.append(listener.socket.getsockname()[1])
            token = trio.lowlevel.current_trio_token()
            leave.append(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))
            ready.set()
            if tls is None:
                await trio.serve_listeners(handle, [listener])
            else:
                await trio.serve_listeners(handle, [trio.SSLListener(listener, tls, https_compatible=True)])

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{ports[0]}/events"
    finally:
        leave[0]()
        thread.join()
