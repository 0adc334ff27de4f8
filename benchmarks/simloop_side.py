"""The other side of `benchmarks/exploration.py`: the same conversations over simloop's raw TCP, without HTTP.

Runs in an interpreter that has simloop (Python 3.12 or later) and nothing else of this project. Reads lines from
standard input, each a conversation, how many schedules of it, and how many processes; answers each with a line of JSON.

The requests and the events are bytes of about the size of ours; nobody parses a head, cuts a link, keeps a history
or judges one. simloop delays each packet by the same latency as our link, and draws the order of callbacks.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import simloop  # type: ignore[import-not-found]  # it is in an interpreter of its own


@dataclass
class Conversation:
    """Two subscribers of one job; `asks` says whether they and the driver also ask for states and gauges."""

    events: int
    interval: float  # seconds
    asks: bool
    settle: float  # seconds at the end


CONVERSATIONS = {
    "conversation": Conversation(events=9, interval=0.2, asks=True, settle=300.0),
    "short conversation": Conversation(events=4, interval=0.1, asks=True, settle=300.0),
    "long streams": Conversation(events=21, interval=15.0, asks=False, settle=370.0),
}
_LATENCY = 0.05  # seconds
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


async def played(conversation: Conversation) -> tuple[int, float]:
    """One schedule: events that arrived, and simulated seconds."""
    loop: Any = asyncio.get_running_loop()
    loop.net.set_defaults(latency=(_LATENCY, _LATENCY))
    log: list[bytes] = []
    changed = asyncio.Event()
    arrived = 0

    async def work() -> None:
        nonlocal changed
        for number in range(conversation.events):
            await asyncio.sleep(conversation.interval)
            data = json.dumps({"seq": number, "job": "1", "type": "progress"})
            log.append(f"event: progress\nid: {number}\ndata: {data}\n\n".encode())
            changed.set()
            changed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD)
        if head.startswith(b"GET /events"):
            sent = 0
            while sent < conversation.events:
                while sent < len(log):
                    writer.write(log[sent])
                    await writer.drain()
                    sent += 1
                if sent < conversation.events:
                    await changed.wait()
        else:
            if head.startswith(b"POST"):
                working.append(asyncio.get_running_loop().create_task(work()))
            writer.write(b'{"state": "running"}')
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, port=8080)
        async with server:
            await server.serve_forever()

    async def ask(line: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("server", 8080)
        writer.write(line + b" HTTP/1.1\r\nhost: server\r\naccept: */*\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
        writer.close()
        return body

    async def subscribe() -> None:
        nonlocal arrived
        reader, writer = await asyncio.open_connection("server", 8080)
        writer.write(b"GET /events HTTP/1.1\r\nhost: server\r\naccept: text/event-stream\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        try:
            while True:
                await reader.readuntil(b"\n\n")
                arrived += 1
        except asyncio.IncompleteReadError:
            writer.close()
        if conversation.asks:
            await ask(b"GET /status")

    async def drive() -> None:
        if conversation.asks:
            await ask(b"GET /debug")
        await ask(b"POST /jobs")
        subscribers = [loop.net.host(name).create_task(subscribe()) for name in ("a", "b")]
        await asyncio.gather(*subscribers)
        if conversation.asks:
            await ask(b"GET /status")
        await asyncio.sleep(conversation.settle)
        if conversation.asks:
            await ask(b"GET /debug")

    working: list[asyncio.Task[None]] = []
    loop.net.host("server").create_task(serve())
    await asyncio.sleep(0)
    await loop.net.host("driver").create_task(drive())
    assert arrived == 2 * conversation.events
    return arrived, loop.time()


def main() -> None:
    print(json.dumps({"python": sys.version.split()[0], "simloop": simloop.__version__}), flush=True)
    for line in sys.stdin:
        name, count, jobs = line.rsplit(" ", 2)
        conversation = CONVERSATIONS[name]
        answer = (
            _alone(conversation, int(count)) if jobs == "1\n" else _many(conversation, int(count), int(jobs))
        )
        print(json.dumps(answer), flush=True)


def _alone(conversation: Conversation, count: int) -> tuple[int, int, float, float]:
    """Schedules, events, simulated seconds, and seconds of the processor."""
    events, simulated = 0, 0.0

    async def once() -> None:
        nonlocal events, simulated
        got, took = await played(conversation)
        events, simulated = events + got, simulated + took

    began = time.process_time()
    report = simloop.explore(once, range(count))
    spent = time.process_time() - began
    assert report is None, report.render()
    return count, events, simulated, spent


def _many(conversation: Conversation, count: int, jobs: int) -> tuple[int, int, float, float]:
    """The same in several processes, which do not say what they saw; the seconds are those on the wall."""
    began = time.perf_counter()
    report = simloop.explore(partial(played, conversation), range(count), jobs=jobs)
    spent = time.perf_counter() - began
    assert report is None, report.render()
    return count, 0, 0.0, spent


if __name__ == "__main__":
    main()
