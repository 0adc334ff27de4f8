"""Many come and go: connections that are dropped one after another, while it is watched what they leave behind."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from math import inf

import trio

from conformance.config import PAYLOAD
from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage, Unreached
from conformance.drive.subscription import Subscription
from conformance.probes.process import MEMORY
from conformance.scenarios.coming_back import can_come_back, follow, resume
from conformance.transport import address_of

CYCLES = 200
"""Connections that come and are dropped, where `limits.cycles` does not say how many: of a stream that several may
subscribe to, at a server that the harness started."""

_MANY = 1_600  # where memory has grown by as much as a heap that is not collected yet: a collector has its turn by then
_GROWN = 5 * 2**20  # bytes behind the warm-up: less than resource.memory takes for a leak

_FEW = 32  # of any other, where more would be a burden, or show no more: without a process there is no noise
_LONGEST = 10.0  # seconds, where `limits.cycles` does not say how many

_WARM_UP = 0.2  # of the cycles: what is usual is seen after them
_SAMPLES = 25  # looks at the gauges while it storms
_WAIT = 0.5  # seconds for a head; the connection is dropped then, too
_SOON = 0.1  # seconds for an event, likewise: where none is there yet, it is dropped while it waits
_LOOKS = 0.05  # seconds between two looks at the end, at first; doubled each time
_LONGEST_LOOK = 1.0

_FLOODS = ("flood", "echo")  # variants whose work tells what it is given, the first one much of it
_FLOOD = 100_000  # characters in each event: they fill the buffers on the way, which have some megabytes
_TRICKLE = 4_000  # where these are small, in virtual time

_LATE = 0.8  # of the events are told when the late reader reads on: what was dropped then lies before others

_QUIET = (
    0.005  # seconds without an event; who leaves then has read everything, and its end is a FIN and no more
)

_MOMENTS: tuple[Callable[[Subscription], bool], ...] = (
    lambda self: self.sent,
    lambda self: self.status is not None,
    lambda self: bool(self.events),  # _AT_EVENT
    lambda self: bool(self.events),  # _IN_SILENCE, which is waited for then
)
"""What a subscriber waits for before it leaves."""

_AT_EVENT, _IN_SILENCE = 2, 3
_BARE = (
    9  # every so many cycles nothing is asked at all; no multiple of the moments, or one would be left out
)


@scenario(
    "connect-storm",
    summary="Connections come and are dropped again and again, by FIN and by RST, before the request, before the head, "
    "at the head, at the first event, in the silence after it; what they took must come back.",
    exclusive=True,
)
async def connect_storm(stage: Stage) -> None:
    if stage.server_pid is None and stage.config.target.probe is None:
        raise Skipped(
            "needs a look into the server: target.command, target.pid or target.probe in the configuration"
        )
    cycles, overdue = _measure(stage)
    before = await stage.sample("before")
    usual = before
    cycle = 0
    async with _Work(stage) as work:
        while cycle < cycles:
            cycle += 1
            try:
                await _come_and_go(stage, await work.names(), cycle)
            except Unreached as unreached:
                if cycle == 1:
                    raise
                stage.mark("turned away", f"after {cycle - 1} cycles: {unreached}")
                cycles = cycle - 1
                break
            if trio.current_time() > overdue:
                stage.mark("stopped early", f"{cycle} of {cycles} cycles took {_LONGEST:g} s")
                cycles = cycle
            if cycle * _SAMPLES // cycles != (cycle - 1) * _SAMPLES // cycles:
                found = await stage.sample("during", cycles=cycle)
                if cycle <= max(1, _WARM_UP * cycles):
                    usual = found
                if cycle == cycles == CYCLES and stage.config.limits.cycles is None and _grew(usual, found):
                    cycles = _MANY
    await _calm(stage, cycles, before, usual)


def _measure(stage: Stage) -> tuple[int, float]:
    """How many cycles, and until when (on trio's clock)."""
    if stage.config.limits.cycles is not None:
        return stage.config.limits.cycles, inf
    started = stage.server is not None and stage.server.pid is not None
    many = started and stage.config.expect.shared is True
    return CYCLES if many else _FEW, trio.current_time() + _LONGEST


def _grew(usual: Mapping[str, float | None], found: Mapping[str, float | None]) -> bool:
    """Whether the server's memory grew so much that a leak cannot be told from garbage without more cycles."""
    before, now = usual.get(MEMORY), found.get(MEMORY)
    return before is not None and now is not None and now - before > _GROWN


async def _come_and_go(stage: Stage, names: Mapping[str, str], cycle: int) -> None:
    kind, reset = cycle % len(_MOMENTS), bool(cycle // len(_MOMENTS) % 2)
    if cycle % _BARE == 0:
        await _only_connect(stage, reset)
        return
    async with stage.subscribe("storm", names=names) as subscriber:
        with trio.move_on_after(_SOON if kind >= _AT_EVENT else _WAIT):
            await subscriber.until(_MOMENTS[kind])
            if kind == _IN_SILENCE:
                await _silence(subscriber)
        await subscriber.drop(reset=reset)


async def _silence(subscriber: Subscription) -> None:
    seen = 0
    while seen < len(subscriber.events):
        seen = len(subscriber.events)
        await trio.sleep(_QUIET)


async def _only_connect(stage: Stage, reset: bool) -> None:
    """Without a request: of this nothing is recorded but what it leaves behind."""
    try:
        with trio.move_on_after(stage.config.limits.connect):
            connection = await stage.network.connect(*address_of(stage.origin))
            if reset:
                connection.reset()
            await connection.aclose()
    except (OSError, trio.BrokenResourceError) as error:
        raise Unreached(f"the server took no connection: {error}") from error


class _Work:
    """The work whose stream is stormed: one after the other where several may subscribe to it, with a witness who
    reads it meanwhile, so that it goes on and is known to. Else each subscriber's own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._witness: Subscription | None = None
        self._open = AsyncExitStack()
        self._is_shared = bool(stage.config.expect.shared)

    async def __aenter__(self) -> "_Work":
        return self

    async def names(self) -> Mapping[str, str]:
        """The names of work that goes on. Raises `Unreached`."""
        if not self._is_shared:
            return await self._stage.start()
        if self._witness is None or self._witness.completed or self._witness.ended:
            await self._open.aclose()
            names = await self._stage.start()
            self._witness = await self._open.enter_async_context(self._stage.subscribe("witness"))
            with trio.move_on_after(_WAIT):
                await self._witness.head()
            return names
        return self._stage.names

    async def __aexit__(self, *_: object) -> None:
        """Everybody goes, and the work that still goes on is cancelled where that can be asked for."""
        if self._witness is not None and not self._witness.completed and not self._witness.ended:
            await self._stage.cancel()
            with trio.move_on_after(self._stage.config.limits.cancellation):
                await self._witness.finished()
        await self._open.aclose()


async def _calm(
    stage: Stage,
    cycles: int,
    before: Mapping[str, float | None],
    usual: Mapping[str, float | None],
) -> None:
    """Look until everything is as it was, or for as long as it may take a server to notice that everybody has gone: it
    may hear of it at its second heartbeat. Work of their own that goes on may take as long as work may."""
    limits = stage.config.limits
    patience = limits.cancellation + 2 * limits.silence
    if not stage.config.expect.shared and stage.config.expect.abandoned != "stops":
        patience = max(patience, limits.completion)
    deadline, pause = trio.current_time() + patience, _LOOKS
    while True:
        now = await stage.sample("after", cycles=cycles)
        if all(_is_back(name, value, before, usual) for name, value in now.items()):
            return
        if trio.current_time() + pause > deadline:
            return
        await trio.sleep(pause)
        pause = min(2 * pause, _LONGEST_LOOK)


def _is_back(
    name: str, now: float | None, before: Mapping[str, float | None], usual: Mapping[str, float | None]
) -> bool:
    """Memory does not come back: what was freed stays with the allocator."""
    known = [value for value in (before.get(name), usual.get(name)) if value is not None]
    return name == MEMORY or now is None or not known or now <= max(known)


@scenario(
    "stalled-reader",
    summary="Of two subscribers one stops reading while the work tells much; the other must not notice, and the server "
    "must not keep for ever what is not read. Before, both read, for comparison; at last one reads late, and must miss "
    "nothing.",
    needs=("expect.shared",),
    exclusive=True,
)
async def stalled_reader(stage: Stage) -> None:
    variant = next((name for name in _FLOODS if name in stage.config.target.variants), None)
    if variant is None:
        raise Skipped(
            "needs target.variants.flood (or echo) in the configuration, with {payload} in what each event tells"
        )
    told = {PAYLOAD: "x" * (_FLOOD if stage.scales is not None else _TRICKLE)}
    weighed = stage.server_pid is not None
    if weighed:  # what a first flood takes, or gets a collector to give back, says nothing
        await stage.start(variant, **told)
        async with stage.subscribe("warm-up") as first:
            await first.finished()
        variant = None  # it is the stage's by now
    rounds = ("", "-again") if weighed else ("",)
    await stage.sample("before")
    for cycles, again in enumerate(rounds, 1):
        await stage.start(variant, **told)
        variant = None
        async with stage.subscribe(f"companion{again}") as companion:
            await companion.head()
            await _read(stage, f"control{again}", cycles)
            await companion.finished()
    async with AsyncExitStack() as stack:
        for cycles, again in enumerate(rounds, 1 + len(rounds)):
            await stage.start(None, **told)
            stalled = await stack.enter_async_context(stage.subscribe(f"stalled{again}"))
            if not await stalled.head():
                return
            stalled.stall()
            await _read(stage, f"reader{again}", cycles)
    await stage.sample("after", cycles=cycles)
    await _read_late(stage, told, most=round(_LATE * len(companion.events)))


async def _read_late(stage: Stage, told: Mapping[str, str], most: int) -> None:
    """One stops reading at the head, and reads on when another one has so many events, and more are to come. Where it
    is cut off, it comes back."""
    await stage.start(None, **told)
    async with stage.subscribe("slow") as slow:
        if not await slow.head():
            return
        slow.stall()
        async with stage.subscribe("swift") as swift:
            await swift.saw(most)
            slow.read_on()
            await swift.finished()
            await slow.finished()
    if slow.how in {"truncated", "reset"} and stage.config.expect.resumable:
        if can_come_back(stage, slow.last_event_id):
            await follow(stage, await resume(stage, "slow", slow.last_event_id), "slow")
    else:
        await follow(stage, slow, "slow")


async def _read(stage: Stage, name: str, cycles: int) -> None:
    """Read the stream to its end, and look at the server then."""
    async with stage.subscribe(name) as reader:
        await reader.finished()
        await stage.sample("during", cycles=cycles)
