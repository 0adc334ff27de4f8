"""Servers that are late: at first, always, in bursts, by one event, in silence, or to one subscriber only."""

import math
from collections.abc import Callable
from functools import partial
from itertools import count

import msgspec
import trio

from conformance.config import Config
from conformance.dialect import Dialect, Matcher
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.specimens.http import Answering
from conformance.specimens.order import is_stream, sending
from conformance.specimens.specimen import Specimen, Wrap


def streaming(make: Callable[[Request, Responder], Responder]) -> Wrap:
    """A server whose streams write to another responder than the reference's."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            answer = Answering(respond, partial(make, request), 200)
            await app(request, answer if is_stream(request) else respond)

        return handle

    return wrap


class _LateStart(WrappedResponder):
    """Thinks for three seconds before it says the first thing."""

    _begun = False

    async def send(self, data: bytes) -> None:
        if not self._begun and b"data:" in data:
            self._begun = True
            await trio.sleep(3)
        await super().send(data)


class _Later(WrappedResponder):
    """Sends everything `delay` seconds later, and takes the next thing meanwhile."""

    def __init__(self, inner: Responder, delay: float) -> None:
        super().__init__(inner)
        self._delay = delay
        self._queue, self._due = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        self._sent = trio.Event()

    async def run(self) -> None:
        async for moment, data in self._due:
            await trio.sleep_until(moment)
            await self.inner.send(data)
        self._sent.set()

    async def send(self, data: bytes) -> None:
        await self._queue.send((trio.current_time() + self._delay, data))

    async def finish(self) -> None:
        self._queue.close()
        await self._sent.wait()
        await self.inner.finish()


def _lagging(delay: float, turns: Callable[[int], bool] = lambda _: True) -> Wrap:
    """Streams are late by `delay` seconds; `turns` says which of them, counted from 1."""

    def wrap(app: App) -> App:
        served = count(1)

        async def handle(request: Request, respond: Responder) -> None:
            if not is_stream(request) or not turns(next(served)):
                await app(request, respond)
                return
            later = _Later(respond, delay)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(later.run)
                await app(request, later)
                await later.finish()

        return handle

    return wrap


class Buffering(WrappedResponder):
    """Holds what it is given until `size` bytes are there, lets go of blocks of that size, and of the rest at the
    end; padding behind each event makes it let go earlier."""

    def __init__(self, inner: Responder, size: float = math.inf, padding: int = 0) -> None:
        super().__init__(inner)
        self._size = size
        self._padding = b":" + b" " * padding + b"\n\n" if padding else b""
        self._held = b""

    async def send(self, data: bytes) -> None:
        self._held += data + self._padding
        while len(self._held) >= self._size:
            block, self._held = self._held[: int(self._size)], self._held[int(self._size) :]
            await super().send(block)

    async def finish(self) -> None:
        await super().send(self._held)
        await super().finish()


class _OneBehind(WrappedResponder):
    """Sends what it was given last when it is given the next thing: a flush before the write."""

    _held = b""

    async def send(self, data: bytes) -> None:
        held, self._held = self._held, data
        await super().send(held)

    async def finish(self) -> None:
        await super().send(self._held)
        await super().finish()


class _SeparatorFirst(WrappedResponder):
    """Joins its blocks with an empty line, instead of ending each with it."""

    _joint = b""

    async def send(self, data: bytes) -> None:
        await super().send(self._joint + data.removesuffix(b"\n"))
        self._joint = b"\n"

    async def finish(self) -> None:
        await super().send(self._joint)
        await super().finish()


def long_job(config: Config, events: int = 100, interval: float = 0.1) -> Config:
    """The same subject with a job of more events."""
    start = config.target.start
    assert start is not None
    start = msgspec.structs.replace(start, json={"events": events, "interval": interval})
    return msgspec.structs.replace(
        config,
        target=msgspec.structs.replace(config.target, start=start),
        expect=msgspec.structs.replace(config.expect, events=events),
    )


def untimed(config: Config) -> Config:
    """The same subject, as one describes it whose events carry no timestamp."""
    dialect = Dialect(
        json=True,
        sequence="id",
        stream="/job",
        completion=(Matcher(event="complete"),),
        failure=(Matcher(event="error"),),
        end=(Matcher(event="stream_end"),),
        heartbeat=(Matcher(comment=True),),
    )
    return msgspec.structs.replace(config, dialect=dialect)


def _is_heartbeat(data: bytes) -> bool:
    return data.startswith(b":")


SPECIMENS = (
    Specimen(
        "late-start",
        "Sends its first event three seconds late.",
        ("timeliness.first-event",),
        "subscribe",
        streaming(lambda _, respond: _LateStart(respond)),
        implies=(
            "timeliness.delivery",
            "timeliness.no-burst",
            "timeliness.heartbeat",
            "timeliness.subscribers-agree",
        ),
    ),
    Specimen(
        "lagging",
        "Sends everything one and a half seconds late.",
        ("timeliness.delivery",),
        "subscribe",
        _lagging(1.5),
        implies=("timeliness.subscribers-agree", "shutdown.streams-ended"),
    ),
    Specimen(
        "all-at-the-end",
        "Holds everything back until the response ends, as an output buffer or gzip does.",
        ("timeliness.no-burst",),
        "subscribe",
        streaming(lambda _, respond: Buffering(respond)),
        implies=(
            "timeliness.delivery",
            "timeliness.heartbeat",
        ),
    ),
    Specimen(
        "buffering",
        "Lets go of blocks of 4096 bytes, as a proxy does that buffers.",
        ("timeliness.no-burst", "timeliness.delivery"),
        "subscribe",
        streaming(lambda _, respond: Buffering(respond, 4096)),
        configure=long_job,
        implies=(
            "timeliness.first-event",
            "timeliness.heartbeat",
        ),
    ),
    Specimen(
        "buffering-untimed",
        "Lets go of blocks of 4096 bytes, and its events carry no timestamp.",
        ("timeliness.no-burst",),
        "subscribe",
        streaming(lambda _, respond: Buffering(respond, 4096)),
        configure=lambda config: untimed(long_job(config)),
        implies=(
            "timeliness.first-event",
            "timeliness.heartbeat",
        ),
    ),
    Specimen(
        "one-behind",
        "Sends each event when the next one is there.",
        ("timeliness.not-held-by-one",),
        "subscribe",
        streaming(lambda _, respond: _OneBehind(respond)),
    ),
    Specimen(
        "separator-first",
        "Sends the empty line that ends an event in front of the next one.",
        ("timeliness.not-held-by-one",),
        "subscribe",
        streaming(lambda _, respond: _SeparatorFirst(respond)),
        configure=untimed,
    ),
    Specimen(
        "mute",
        "Sends no heartbeats.",
        ("timeliness.heartbeat",),
        "long-silence",
        sending(lambda _: lambda data: [] if _is_heartbeat(data) else [data]),
    ),
    Specimen(
        "second-class",
        "Tells one of its two subscribers everything one and a half seconds later than the other.",
        ("timeliness.subscribers-agree",),
        "two-subscribers",
        _lagging(1.5, lambda turn: turn == 2),
        implies=("timeliness.delivery", "shutdown.streams-ended"),
    ),
)
