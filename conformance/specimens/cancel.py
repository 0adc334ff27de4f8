"""Servers that do not notice who left, do not stop what was cancelled, or stop what was not."""

import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import trio

from conformance.config import Config, Override, Variant
from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.reference.routes import STREAM_HEADERS
from conformance.reference.service import ServiceOptions
from conformance.specimens.answers import Answer, answer, answering, is_cancel, job_of, own, starting
from conformance.specimens.completion import changing
from conformance.specimens.http import on_streams, working
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Specimen, Wrap

_LONG = 3.0  # seconds: longer than limits.cancellation
_CANCELLED = b'"state":"cancelled"'


class _Begun(WrappedResponder):
    """Knows whether a first event has been sent."""

    begun = False

    async def send(self, data: bytes) -> None:
        await super().send(data)
        self.begun = self.begun or b"data:" in data


def _slow_to_notice(app: App) -> App:
    """A sweep takes out those who have left, a while later."""
    there: Counter[str] = Counter()
    left: list[tuple[str, float]] = []

    def count(request: Request, told: Answer) -> Answer:
        if "subscribers" in told:
            stale = sum(job == job_of(request) and until > trio.current_time() for job, until in left)
            told["subscribers"] = there[job_of(request)] + stale
        return told

    async def handle(request: Request, respond: Responder) -> None:
        begun = _Begun(respond)
        job = job_of(request)
        there[job] += 1
        try:
            await app(request, begun)
        finally:
            there[job] -= 1
            if begun.begun:
                left.append((job, trio.current_time() + _LONG))

    async def choose(request: Request, respond: Responder) -> None:
        await (handle if is_stream(request) else answering(count)(app))(request, respond)

    return choose


def _deaf_while_silent(app: App) -> App:
    """Learns that a client has gone from a write that fails, and from nothing else."""

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_unshield, respond.closing, scope)
                try:
                    await app(request, _Shielding(respond, scope))
                except* trio.BrokenResourceError:
                    pass
                nursery.cancel_scope.cancel()

    return handle


class _Shielding(WrappedResponder):
    """From its first event on nobody tells it that the client has gone."""

    def __init__(self, inner: Responder, scope: trio.CancelScope) -> None:
        super().__init__(inner)
        self._scope = scope

    async def send(self, data: bytes) -> None:
        if b"data:" in data:
            self._scope.shield = not self.closing.is_set()
        await super().send(data)


async def _unshield(closing: trio.Event, scope: trio.CancelScope) -> None:
    await closing.wait()
    scope.shield = False


def _impatient(config: Config) -> Config:
    """Slow work without a word in between, and a limit that is shorter than its pauses."""
    config = working(interval=1.2)(config)
    limits = msgspec.structs.replace(config.limits, cancellation=0.5)
    return msgspec.structs.replace(config, limits=limits)


def _slot_before_body(app: App) -> App:
    """Takes a slot when the request comes, and gives it back at the end of the body: which may never begin."""
    lost = 0

    async def handle(request: Request, respond: Responder) -> None:
        nonlocal lost
        if not is_stream(request):
            await app(request, _Debug(respond, lost) if request.path == "/debug" else respond)
            return
        begun = _Begun(respond)
        try:
            await app(request, begun)
        finally:
            lost += not begun.begun

    return handle


class _Debug(WrappedResponder):
    """The gauges, with the slots that were lost."""

    def __init__(self, inner: Responder, lost: int) -> None:
        super().__init__(inner)
        self._lost = lost
        self._head: tuple[int, HeaderList] = (500, ())

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._head = status, [pair for pair in headers if pair[0] != "content-length"]

    async def send(self, data: bytes) -> None:
        told = json.loads(data)
        told["subscribers"] += self._lost
        await super().start(*self._head)
        await super().send(json.dumps(told).encode())


def _cancelling(cancel: Callable[[App, Request, Responder], Awaitable[None]]) -> Wrap:
    """A server that treats the request to cancel in this way."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if is_cancel(request):
                await cancel(app, request, respond)
            else:
                await app(request, respond)

        return handle

    return wrap


async def _only_nodding(_app: App, _request: Request, respond: Responder) -> None:
    await answer(respond, 202, {"state": "running"})


async def _unable(_app: App, _request: Request, respond: Responder) -> None:
    await answer(respond, 405, {"error": "jobs cannot be cancelled"})


def _never_abandoned(work: Answer) -> Answer:
    return {key: value for key, value in work.items() if key != "abandoned"}


def _always_abandoned(work: Answer) -> Answer:
    return work | {"abandoned": "stops"} if "abandoned" in work else work


def _to_go_on(config: Config) -> Config:
    """The same subject, as one describes it whose work outlives its subscribers."""
    going_on = Variant(start=Override(json={"events": 12, "abandoned": "continues"}))
    target = msgspec.structs.replace(
        config.target, variants={**config.target.variants, "abandoned": going_on}
    )
    expect = msgspec.structs.replace(config.expect, abandoned="continues")
    return msgspec.structs.replace(config, target=target, expect=expect)


def _calling_it_failed(_: Request, told: Answer) -> Answer:
    return told | {"state": "failed"} if told.get("state") == "cancelled" else told


def _wordless(data: bytes) -> Iterable[bytes]:
    return () if _CANCELLED in data else (data,)


class _Hanging(WrappedResponder):
    """The word about the cancellation is lost, and the stream waits for it."""

    _lost = False

    async def send(self, data: bytes) -> None:
        if _CANCELLED in data:
            self._lost = True
        else:
            await super().send(data)

    async def finish(self) -> None:
        while self._lost and not self.closing.is_set():
            await self.inner.send(b": heartbeat\n\n")
            with trio.move_on_after(0.5):
                await self.closing.wait()
        await super().finish()


def _one_for_all(app: App) -> App:
    """All work is in one group, and to cancel one is to cancel the group."""
    jobs: set[str] = set()

    async def handle(request: Request, respond: Responder) -> None:
        if job := job_of(request):
            jobs.add(job)
        await app(request, respond)
        for each in jobs if is_cancel(request) else ():
            await own(app, "POST", f"/jobs/{each}/cancel")

    return handle


def _the_first_takes_all(app: App) -> App:
    """The first who leaves work that is to stop then ends it for those who stay."""
    stopping: set[str] = set()

    async def handle(request: Request, respond: Responder) -> None:
        if request.path == "/jobs" and b"abandoned" in request.body:
            told = await own(app, "POST", "/jobs", json.loads(request.body))
            stopping.add(told["id"])
            await answer(respond, 201, told)
            return
        left = is_stream(request) and job_of(request) in stopping
        try:
            await app(request, respond)
            left = False
        finally:
            if left:
                with trio.CancelScope(shield=True):
                    await own(app, "POST", f"/jobs/{job_of(request)}/cancel")

    return handle


def _popping_twice(app: App) -> App:
    """Takes the task out of its table when it is cancelled, and looks for it there the next time."""
    popped: set[str] = set()

    async def handle(request: Request, respond: Responder) -> None:
        if is_cancel(request) and job_of(request) in popped:
            await answer(respond, 500, {"error": "KeyError"})
            return
        if is_cancel(request):
            popped.add(job_of(request))
        await app(request, respond)

    return handle


def _overwriting(app: App) -> App:
    """Sets the state of whatever is cancelled, also of what had completed."""
    cancelled: set[str] = set()

    def change(request: Request, told: Answer) -> Answer:
        if is_cancel(request):
            cancelled.add(job_of(request))
        return told | {"state": "cancelled"} if "state" in told and job_of(request) in cancelled else told

    return answering(change)(app)


def _beginning_anew(app: App) -> App:
    """Whoever subscribes to work that is not under way sets it going."""
    cancelled: set[str] = set()
    renewed: dict[str, str] = {}

    async def handle(request: Request, respond: Responder) -> None:
        job = job_of(request)
        if is_stream(request) and job in cancelled and job not in renewed:
            renewed[job] = (await own(app, "POST", "/jobs", {"interval": 0.2, "events": 60}))["id"]
        if job in renewed:
            path = request.path.replace(job, renewed[job])
            request = msgspec.structs.replace(request, path=path)
        elif is_cancel(request):
            cancelled.add(job)
        await app(request, respond)

    return handle


def _only_saying_so(app: App) -> App:
    """Sets the state and tells those who watch; the task that does the work knows nothing of it."""
    said: dict[str, trio.Event] = defaultdict(trio.Event)

    def state(request: Request, told: Answer) -> Answer:
        lied = said[job_of(request)].is_set() and told.get("state") == "running"
        return told | {"state": "cancelled"} if lied else told

    async def handle(request: Request, respond: Responder) -> None:
        job = job_of(request)
        if is_cancel(request):
            said[job].set()
            await answer(respond, 202, {"state": "cancelled"})
        elif is_stream(request):
            await _until_said(app, request, respond, said[job])
        else:
            await answering(state)(app)(request, respond)

    return handle


async def _until_said(app: App, request: Request, respond: Responder, said: trio.Event) -> None:
    """The stream until it is said that the work was cancelled, or what there is of it by now."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_after, said, nursery.cancel_scope)
        await app(request, respond)
        nursery.cancel_scope.cancel()
    if said.is_set() and not respond.closing.is_set():
        told = {"job": job_of(request), "state": "cancelled"}
        await respond.send(f"event: error\ndata: {json.dumps(told)}\n\n".encode())
        await respond.finish()


async def _end_after(said: trio.Event, scope: trio.CancelScope) -> None:
    await said.wait()
    await trio.sleep(0.01)  # in which what is kept is sent
    scope.cancel()


def _ignoring_who_returns(app: App) -> App:
    """Opens a stream for whoever comes back, and has nothing to send on it."""
    cancelled: set[str] = set()

    async def handle(request: Request, respond: Responder) -> None:
        if is_cancel(request):
            cancelled.add(job_of(request))
        if is_stream(request) and job_of(request) in cancelled:
            await respond.start(200, STREAM_HEADERS)
            await respond.closing.wait()
            await respond.finish()
        else:
            await app(request, respond)

    return handle


SPECIMENS = (
    Specimen(
        "slow-to-notice",
        "Counts a subscriber for three more seconds when it has left.",
        ("cancel.noticed",),
        "leaving",
        _slow_to_notice,
    ),
    Specimen(
        "deaf-while-silent",
        "Learns only from a write that its client has gone, and has nothing to write for a while.",
        ("cancel.noticed",),
        "leaving",
        _deaf_while_silent,
        options=ServiceOptions(heartbeat=1.4),
        configure=_impatient,
        implies=("cancel.work-stops",),
    ),
    Specimen(
        "slot-before-body",
        "Takes a slot before the response begins, and gives it back only where it has begun.",
        ("cancel.before-head",),
        "cut-off",
        _slot_before_body,
        implies=("resource.gauges-return",),
    ),
    Specimen(
        "only-nodding",
        "Accepts a request to cancel, and goes on.",
        ("cancel.work-stops",),
        "cancel",
        _cancelling(_only_nodding),
    ),
    Specimen(
        "working-for-nobody",
        "Goes on with work that is to stop when its last subscriber has left.",
        ("cancel.work-stops",),
        "abandoned",
        starting(_never_abandoned),
    ),
    Specimen(
        "bound-to-its-request",
        "Lets work die with the last stream that shows it, though it is to go on.",
        ("cancel.work-survives",),
        "abandoned",
        starting(_always_abandoned),
        configure=_to_go_on,
    ),
    Specimen(
        "not-to-be-cancelled",
        "Answers 405 to the request to cancel.",
        ("cancel.acknowledged",),
        "cancel",
        _cancelling(_unable),
    ),
    Specimen(
        "calling-it-failed",
        "Says of cancelled work that it failed.",
        ("cancel.acknowledged",),
        "cancel",
        answering(_calling_it_failed),
    ),
    Specimen(
        "wordless-end",
        "Ends the streams of cancelled work without a word.",
        ("cancel.stream-told",),
        "cancel",
        changing(_wordless),
    ),
    Specimen(
        "hanging-after-cancel",
        "Leaves the streams of cancelled work open, with heartbeats and nothing else.",
        ("cancel.stream-told",),
        "cancel",
        on_streams(_Hanging),
        implies=("cancel.stays-cancelled",),
    ),
    Specimen(
        "one-for-all",
        "Cancels all work when one is cancelled.",
        ("cancel.others-unaffected",),
        "cancel",
        _one_for_all,
    ),
    Specimen(
        "the-first-takes-all",
        "Stops work when the first of its subscribers leaves, and not the last.",
        ("cancel.others-unaffected",),
        "abandoned",
        _the_first_takes_all,
    ),
    Specimen(
        "popping-twice",
        "Answers 500 when work is cancelled once more.",
        ("cancel.twice",),
        "cancel",
        _popping_twice,
    ),
    Specimen(
        "overwriting",
        "Turns work that had completed into cancelled work.",
        ("cancel.twice",),
        "cancel",
        _overwriting,
    ),
    Specimen(
        "reviving",
        "Begins cancelled work anew when its subscriber comes back.",
        ("cancel.stays-cancelled",),
        "cancel",
        _beginning_anew,
    ),
    Specimen(
        "only-saying-so",
        "Says of work that it was cancelled, and lets it run on.",
        ("cancel.stays-cancelled",),
        "cancel",
        _only_saying_so,
    ),
    Specimen(
        "ignoring-who-returns",
        "Opens a stream for who comes back to cancelled work, and sends nothing on it.",
        ("cancel.stays-cancelled",),
        "cancel",
        _ignoring_who_returns,
    ),
)
