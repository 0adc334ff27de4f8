"""Servers that lose something with every client who leaves, and servers whom one client who does not read holds up."""

import math
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable

import msgspec
import trio

from conformance.config import Config
from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Specimen, Wrap


def _leaving(lose: Callable[[], Awaitable[None]]) -> Wrap:
    """A server that calls `lose` for each stream whose client leaves before its end."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if not is_stream(request):
                await app(request, respond)
                return
            whole = False
            try:
                await app(request, respond)
                whole = True
            finally:
                if not whole:
                    await lose()

        return handle

    return wrap


async def _die() -> None:
    # as a runtime does on an error that nobody handles; when the next one is there, and is cut off
    threading.Timer(0.4, os._exit, (1,)).start()


def _files(app: App) -> App:
    """What was opened for the stream is closed at its end, and only there."""
    held: list[object] = []

    async def lose() -> None:
        held.append(open("/dev/null", "rb"))  # noqa: ASYNC230, SIM115, PTH123  (so it is wrong)

    return _leaving(lose)(app)


def _threads(app: App) -> App:
    """A thread for each stream that waits for something which nobody sets once the client has gone."""
    for_ever = threading.Event()

    async def lose() -> None:
        threading.Thread(target=for_ever.wait, daemon=True).start()

    return _leaving(lose)(app)


def _children(app: App) -> App:
    """A process for each stream that nobody waits for when the client has gone."""
    held: list[object] = []

    async def lose() -> None:
        held.append(subprocess.Popen(["true"]))  # noqa: ASYNC220  (so it is wrong)

    return _leaving(lose)(app)


def _memory(app: App) -> App:
    """A list of subscribers that those who leave are not taken from."""
    held: list[bytes] = []

    async def lose() -> None:
        held.append(b"x" * 50_000)

    return _leaving(lose)(app)


async def _stay() -> None:
    """The handler does not notice that its client has gone, and keeps the connection."""
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


class _Counting(WrappedResponder):
    """Adds to gauges of the answer."""

    def __init__(self, inner: Responder, more: dict[str, int]) -> None:
        super().__init__(inner)
        self._more = more

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await super().start(status, [each for each in headers if each[0] != "content-length"])

    async def send(self, data: bytes) -> None:
        gauges = msgspec.json.decode(data, type=dict[str, int])
        for name, more in self._more.items():
            gauges[name] += more
        await super().send(msgspec.json.encode(gauges))


def _counting(app: App, more: dict[str, int]) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        await app(request, _Counting(respond, more) if request.path == "/debug" else respond)

    return handle


def _slots(app: App) -> App:
    """A count of subscribers that goes down behind the body, and not in a finally."""
    lost = {"subscribers": 0}

    async def lose() -> None:
        lost["subscribers"] += 1

    return _counting(_leaving(lose)(app), lost)


def _tasks(app: App) -> App:
    """A task for each stream that nobody cancels when the client has gone."""
    left = {"tasks": 0}

    async def wait() -> None:
        left["tasks"] += 1
        try:
            await trio.sleep_forever()
        finally:
            left["tasks"] -= 1

    async def lose() -> None:
        trio.lowlevel.spawn_system_task(wait)

    return _counting(_leaving(lose)(app), left)


def _in_turn(app: App) -> App:
    """A broadcast that sends to one subscriber after the other, and waits for each."""
    turn = trio.Lock()

    class InTurn(WrappedResponder):
        async def send(self, data: bytes) -> None:
            async with turn:
                await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        await app(request, InTurn(respond) if is_stream(request) else respond)

    return handle


class _Queueing(WrappedResponder):
    """Puts what is sent into a queue of its own. What does not fit is dropped; `forgets`: so is all that comes after
    it, and the end."""

    def __init__(self, inner: Responder, room: float, forgets: bool) -> None:
        super().__init__(inner)
        self.put, self.take = trio.open_memory_channel[bytearray](room)
        self._forgets = forgets
        self._forgotten = False

    async def send(self, data: bytes) -> None:
        try:
            if not self._forgotten:
                self.put.send_nowait(bytearray(data))  # rendered for each subscriber, so a copy for each
        except trio.WouldBlock:
            self._forgotten = self._forgets

    async def finish(self) -> None:
        if not self._forgotten:
            self.put.close()


def _queueing(room: float, *, forgets: bool = False) -> Wrap:
    """A queue of so many pieces between the work and each subscriber."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if not is_stream(request):
                await app(request, respond)
                return
            queueing = _Queueing(respond, room, forgets)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(app, request, queueing)
                async for data in queueing.take:
                    await respond.send(bytes(data))
            await respond.finish()

        return handle

    return wrap


def _impatient(config: Config) -> Config:
    """So that it need not be waited long for what never comes back."""
    limits = msgspec.structs.replace(config.limits, cancellation=0.2, silence=0.3, shutdown=0.5)
    return msgspec.structs.replace(config, limits=limits)


def _losing(name: str, summary: str, breaks: tuple[str, ...], wrap: Wrap) -> Specimen:
    return Specimen(name, summary, breaks, "connect-storm", wrap=wrap, configure=_impatient, process=True)


SPECIMENS = (
    Specimen(
        "lost-slots",
        "The count of subscribers does not go down when one leaves before the end.",
        ("resource.gauges-return",),
        "connect-storm",
        wrap=_slots,
        implies=("cancel.before-head",),
    ),
    Specimen(
        "dies-of-a-client",
        "Ends with an error when a client leaves before the end of its stream.",
        ("resource.stays-up",),
        "disconnect-mid-stream",
        wrap=_leaving(_die),
        process=True,
        implies=("completion.delivered", "completion.clean-close"),
    ),
    Specimen(
        "left-tasks",
        "A task stays behind with every subscriber who leaves before the end.",
        ("resource.gauges-return",),
        "connect-storm",
        wrap=_tasks,
    ),
    _losing(
        "left-files",
        "A file stays open with every subscriber who leaves before the end.",
        ("resource.descriptors",),
        _files,
    ),
    _losing(
        "left-threads",
        "A thread stays behind with every subscriber who leaves before the end.",
        ("resource.threads",),
        _threads,
    ),
    _losing(
        "left-children",
        "A process stays behind, unreaped, with every subscriber who leaves before the end.",
        ("resource.children",),
        _children,
    ),
    _losing(
        "left-memory",
        "50 kB are kept for every subscriber who leaves before the end.",
        ("resource.memory",),
        _memory,
    ),
    _losing(
        "kept-connections",
        "The handler of a stream does not end when its client goes, and keeps the connection.",
        ("resource.sockets", "resource.descriptors"),
        _leaving(_stay),
    ),
    Specimen(
        "in-turn",
        "Each subscriber is sent to in its turn, and waited for: one who does not read holds all others up.",
        ("resource.stalled-reader",),
        "stalled-reader",
        wrap=_in_turn,
    ),
    Specimen(
        "endless-queue",
        "What a subscriber does not read is queued for it without bounds.",
        ("resource.stalled-reader",),
        "stalled-reader",
        wrap=_queueing(math.inf),
        process=True,
    ),
    Specimen(
        "dropping-queue",
        "What does not fit into a subscriber's queue is dropped, and its response goes on.",
        ("order.slow-reader",),
        "stalled-reader",
        wrap=_queueing(16),
    ),
    Specimen(
        "forgotten-when-slow",
        "Who reads too slowly is taken off the list of subscribers, and its response stays open.",
        ("completion.slow-reader",),
        "stalled-reader",
        wrap=_queueing(16, forgets=True),
        implies=("order.slow-reader",),
    ),
)
