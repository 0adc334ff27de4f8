"""Servers that do not tell that the work is over, or tell it wrong, twice, too early, or to too few."""

import math
from collections.abc import Callable, Iterable

import msgspec
import trio

from conformance.config import Config
from conformance.dialect import parse_timestamp
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.reference.service import ServiceOptions
from conformance.specimens.clock import WALL
from conformance.specimens.http import on_streams, working
from conformance.specimens.order import is_stream, sending
from conformance.specimens.specimen import Specimen, Wrap

Change = Callable[[bytes], Iterable[bytes]]


def is_event(data: bytes, *types: str) -> bool:
    """Whether a block is an event of one of these types; the reference sends one block at a time."""
    return any(b"event: " + type.encode() + b"\n" in data for type in types)


def changing(change: Change) -> Wrap:
    """A server that sends what `change` makes of each block."""
    return sending(lambda _: change)


def published(data: bytes) -> float:
    """When an event was published, in seconds on trio's clock; infinity for what is no event."""
    stamp = parse_timestamp(data.partition(b'"timestamp":"')[2].partition(b'"')[0].decode())
    return math.inf if stamp is None else stamp - WALL


class Waiting(WrappedResponder):
    """A stream that stays open until it has sent how the work ended."""

    told = False

    async def send(self, data: bytes) -> None:
        self.told = self.told or is_event(data, "complete", "error")
        await super().send(data)

    async def finish(self) -> None:
        while not self.told:
            await self.inner.send(b": waiting\n\n")
            await trio.sleep(0.5)
        await super().finish()


class LiveOnly(Waiting):
    """Nothing is kept: who subscribes gets what is published from then on."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._came = trio.current_time()

    async def send(self, data: bytes) -> None:
        if published(data) > self._came + 0.001:
            await super().send(data)


def _one_queue(app: App) -> App:
    """All subscribers of a job read from its one queue: whoever takes an event has it for himself."""
    taken: set[bytes] = set()

    class Taking(Waiting):
        async def send(self, data: bytes) -> None:
            if data.startswith(b":") or data not in taken:
                taken.add(data)
                await super().send(data)

    return on_streams(Taking)(app)


class _Destroying(WrappedResponder):
    async def finish(self) -> None:
        self.inner.abort()


class _Lingering(WrappedResponder):
    """Its heartbeats outlive the stream."""

    async def finish(self) -> None:
        while True:
            await self.inner.send(b": heartbeat\n\n")
            await trio.sleep(0.5)


class _Backlog(WrappedResponder):
    """Puts what it sends into a queue that drains as the client reads, and destroys the response a fixed time after
    the completion was put there: the mend that sleeps instead of waiting until all is sent."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._into, self._queue = trio.open_memory_channel[bytes](math.inf)

    async def drain(self) -> None:
        async for data in self._queue:
            await self.inner.send(data)

    async def send(self, data: bytes) -> None:
        if is_event(data, "stream_end"):
            await trio.sleep(0.05)
        await self._into.send(data)

    async def finish(self) -> None:
        await trio.sleep(0.1)
        self.inner.abort()


def _sleeping(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        backlog = _Backlog(respond)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backlog.drain)
            await app(request, backlog)

    return handle


def _keeping_its_lock(app: App) -> App:
    """One stream at a time; a client that leaves early takes the lock with it."""
    free = trio.Semaphore(1)

    class Slow(WrappedResponder):
        async def send(self, data: bytes) -> None:
            if is_event(data, "stream_end"):
                await trio.sleep(0.2)
            await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        await free.acquire()
        await app(request, Slow(respond))
        free.release()

    return handle


def _dying(app: App) -> App:
    """Fails for ever after the first write that fails."""
    dead = False

    class Fragile(WrappedResponder):
        async def send(self, data: bytes) -> None:
            nonlocal dead
            if is_event(data, "stream_end"):
                try:
                    await trio.sleep(0.2)
                except trio.Cancelled:
                    dead = True
                    raise
            await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        if dead:
            await respond.start(500)
            await respond.finish()
        else:
            await app(request, Fragile(respond) if is_stream(request) else respond)

    return handle


class _Running(WrappedResponder):
    """Says of every job that it is running."""

    async def send(self, data: bytes) -> None:
        await super().send(data.replace(b'"state":"completed"', b'"state":"running"  '))


def _forgetting_to_finish(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        await app(request, respond if is_stream(request) else _Running(respond))

    return handle


def _ending_first() -> Change:
    held: list[bytes] = []

    def change(data: bytes) -> Iterable[bytes]:
        if is_event(data, "complete"):
            held.append(data)
            return ()
        return (data, *held) if is_event(data, "stream_end") else (data,)

    return change


def _one_more(data: bytes) -> Iterable[bytes]:
    more = b'event: progress\ndata: {"type":"progress","step":"cleaning up"}\n\n'
    return (data, more) if is_event(data, "complete") else (data,)


def _without(*types: str) -> Wrap:
    return changing(lambda data: () if is_event(data, *types) else (data,))


def _dressed_up(data: bytes) -> Iterable[bytes]:
    if is_event(data, "error"):
        data = data.replace(b"error", b"complete").partition(b',"message"')[0] + b"}\n\n"
    return (data.replace(b'"failed"', b'"completed"'),)


def _unfinished(data: bytes) -> Iterable[bytes]:
    return (data.removesuffix(b"\n"),) if is_event(data, "complete") else (data,)


def not_resumable(config: Config) -> Config:
    """The same subject, as one describes it that does not take up a stream again."""
    return msgspec.structs.replace(config, expect=msgspec.structs.replace(config.expect, resumable=False))


def bulky(config: Config) -> Config:
    """The same subject with events of 90 kB each: a slow network is long in bringing them."""
    return working(echo="x" * 90_000)(config)


def _first(*wraps: Wrap) -> Wrap:
    def wrap(app: App) -> App:
        for each in wraps:
            app = each(app)
        return app

    return wrap


SPECIMENS = (
    Specimen(
        "silent-end",
        "Ends the response when the work is over, without a word about it.",
        ("completion.delivered", "completion.status-agrees"),
        "subscribe",
        _without("complete", "stream_end"),
        implies=(
            "resume.completion-survives",
            "resume.after-restart",
            "resource.crowd",
        ),
    ),
    Specimen(
        "cut-short",
        "Ends the response in the middle of the completion: the empty line after it is missing.",
        ("completion.delivered",),
        "subscribe",
        _first(_without("stream_end"), changing(_unfinished)),
        configure=not_resumable,
        implies=(
            "wire.terminated",
            "completion.status-agrees",
            "resource.crowd",
        ),
    ),
    Specimen(
        "live-only",
        "Loses what is published before the subscriber is there, and lets it wait for a completion that has passed.",
        ("completion.delivered", "completion.status-agrees"),
        "subscribe",
        on_streams(LiveOnly),
        configure=working(events=2, interval=0),
        implies=(
            "timeliness.first-event",
            "completion.failure-reported",
            "resume.unknown-id",
            "resource.crowd",
            "cancel.stays-cancelled",
            "resume.completion-survives",
        ),
    ),
    Specimen(
        "live-only-late",
        "Lets a subscriber that comes after the completion wait for it.",
        ("completion.late-subscriber",),
        "after-completion",
        on_streams(LiveOnly),
        implies=(
            "timeliness.first-event",
            "order.subscribers-agree",
            "resume.no-gap",
            "resume.completion-survives",
            "cancel.superseded",
            "shutdown.streams-ended",
        ),
    ),
    Specimen(
        "short-memory",
        "Keeps the last two events only, though everybody is promised all.",
        ("completion.late-subscriber",),
        "after-completion",
        options=ServiceOptions(keep=2, buffer=2),
        implies=(
            "order.subscribers-agree",
            "order.slow-reader",
            "resume.no-gap",
        ),
    ),
    Specimen(
        "one-queue",
        "Hands each event to one of its subscribers only.",
        ("completion.delivered",),
        "two-subscribers",
        _one_queue,
        implies=(
            "timeliness.first-event",
            "order.no-gap",
            "completion.late-subscriber",
            "completion.slow-reader",
            "resume.no-gap",
            "resume.completion-survives",
            "cancel.stream-told",
            "cancel.superseded",
            "isolation.no-stealing",
            "shutdown.streams-ended",
            "cancel.stays-cancelled",
        ),
    ),
    Specimen(
        "sleeping",
        "Sleeps 50 ms before the end marker and 100 ms before it destroys the response, instead of waiting until all "
        "is sent.",
        ("completion.delivered", "completion.clean-close"),
        "slow-network",
        _sleeping,
        configure=bulky,
        implies=("shutdown.streams-ended",),
    ),
    Specimen(
        "telling-twice",
        "Sends the completion from the log and live as well.",
        ("completion.once",),
        "subscribe",
        changing(lambda data: (data, data) if is_event(data, "complete") else (data,)),
        implies=(
            "order.increasing",
            "order.no-duplicate",
        ),
    ),
    Specimen(
        "failing-twice",
        "Tells of a failure where it is caught, and once more at the end.",
        ("completion.once",),
        "failing-job",
        changing(lambda data: (data, data) if is_event(data, "error") else (data,)),
        implies=(
            "order.increasing",
            "order.no-duplicate",
        ),
    ),
    Specimen(
        "one-more",
        "Sends one more event of progress after the completion.",
        ("completion.last",),
        "subscribe",
        changing(_one_more),
    ),
    Specimen(
        "unmarked",
        "Closes right after the completion, without the end marker.",
        ("completion.end-marker",),
        "subscribe",
        _without("stream_end"),
        implies=("resume.after-restart",),
    ),
    Specimen(
        "ending-first",
        "Sends the end marker before the completion.",
        ("completion.end-marker",),
        "subscribe",
        sending(lambda _: _ending_first()),
        implies=("order.increasing",),
    ),
    Specimen(
        "lingering",
        "Keeps the response open after the end marker, with heartbeats for ever.",
        ("completion.server-closes",),
        "subscribe",
        on_streams(_Lingering),
        implies=("cancel.stream-told", "cancel.superseded", "shutdown.streams-ended"),
    ),
    Specimen(
        "destroying",
        "Resets the connection to end the stream.",
        ("completion.clean-close",),
        "subscribe",
        on_streams(_Destroying),
        implies=("shutdown.streams-ended",),
    ),
    Specimen(
        "forgetting-to-finish",
        "Tells the stream that the work is complete, and whoever asks for the status that it is running.",
        ("completion.status-agrees",),
        "subscribe",
        _forgetting_to_finish,
    ),
    Specimen(
        "bare-end",
        "Ends the response without a word when the work fails.",
        ("completion.failure-reported",),
        "failing-job",
        _without("error", "stream_end"),
        implies=(
            "completion.end-marker",
            "completion.status-agrees",
            "resume.after-restart",
            "cancel.stream-told",
        ),
    ),
    Specimen(
        "dressed-up",
        "Tells of a failure as if it were a success.",
        ("completion.failure-reported",),
        "failing-job",
        changing(_dressed_up),
    ),
    Specimen(
        "keeping-its-lock",
        "Serves nobody after a client that left at the completion, for it was still holding the lock.",
        ("completion.early-close-tolerated",),
        "close-at-completion",
        _keeping_its_lock,
        implies=(
            "timeliness.delivery",
            "timeliness.no-burst",
            "resume.completion-survives",
            "resource.crowd",
            "resource.stalled-reader",
        ),
    ),
    Specimen(
        "dying",
        "Breaks down when it writes to a client that left at the completion.",
        ("completion.early-close-tolerated",),
        "close-at-completion",
        _dying,
    ),
)
