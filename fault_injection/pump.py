"""Moves bytes between two connections through a `Link`: the thin shell around the engine.

Each direction has one task that reads and one that writes; one more does what the link says, when it says so.
"""

import math
from collections import deque
from typing import Literal

import trio

from fault_injection.faults import Direction
from fault_injection.link import DIRECTIONS, Fired, Link, Reset, Send, opposite
from fault_injection.network import Connection
from fault_injection.observer import HowClosed, Observer

READ = 64 * 1024
OUTBOX = 64 * 1024  # bytes that may wait for a receiver that does not read, before its sender must wait too
RESET_GRACE = 0.1  # seconds that a receiver has to take what was sent before a reset


class Pump:
    """Runs one connection: `subscriber` and `server` are the two ends, seen from the link."""

    def __init__(
        self, link: Link, *, subscriber: Connection, server: Connection, connection: int, observer: Observer
    ) -> None:
        self.how: HowClosed = "cancelled"
        """How the connection ended, as far as it has."""
        self._link = link
        self._senders: dict[Direction, Connection] = {"downstream": server, "upstream": subscriber}
        self._outboxes = {direction: _Outbox() for direction in DIRECTIONS}
        self._room = {direction: trio.Event() for direction in DIRECTIONS}
        self._woken = trio.Event()
        self._over = trio.Event()
        self._connection = connection
        self._observer = observer

    async def run(self) -> None:
        """Move bytes until the link is over; then close both connections. Cancelled, it leaves them to others."""
        async with trio.open_nursery() as nursery:
            for direction in DIRECTIONS:
                nursery.start_soon(self._read, direction)
                nursery.start_soon(self._write, direction)
            if await self._drive() == "fin":
                self.how = "fin"  # each writer closes its side once it has sent everything
            else:
                with trio.move_on_after(RESET_GRACE):
                    for outbox in self._outboxes.values():
                        await outbox.empty.wait()
                nursery.cancel_scope.cancel()
                for end in self._senders.values():
                    end.reset()
                self.how = "rst"

    async def _drive(self) -> Literal["fin", "rst"]:
        """Do what the link says, when it says so."""
        link = self._link
        while True:
            self._woken = trio.Event()
            for action in link.advance(trio.current_time()):
                match action:
                    case Send(direction, data):
                        self._outboxes[direction].put(data)
                    case Fired():
                        self._observer.fired(self._connection, action)
                    case Reset():
                        for outbox in self._outboxes.values():
                            outbox.end()
                        return "rst"
                    case _:
                        self._outboxes[action.direction].end()
            for direction in DIRECTIONS:
                self._make_room(direction)
            if link.over:
                self._over.set()
                return "fin"
            with trio.move_on_at(_or_never(link.next_time())):
                await self._woken.wait()

    async def _read(self, direction: Direction) -> None:
        """Feed the link with what the sender of this direction sends, as fast as the link wants it."""
        link, sender = self._link, self._senders[direction]
        while True:
            while self._is_full(direction):
                self._room[direction] = trio.Event()
                await self._room[direction].wait()
            try:
                data = bytes(await sender.receive_some(READ))
            except trio.BrokenResourceError:
                link.receive_reset(direction, trio.current_time())
                self._woken.set()
                return
            except trio.ClosedResourceError:  # by `_write`, for the link is over
                return
            now = trio.current_time()
            if not data:
                link.receive_eof(direction, now)
                self._woken.set()
                return
            if not link.over:
                self._observer.ingress(self._connection, direction, data, now)
            link.receive(direction, data, now)
            self._woken.set()

    async def _write(self, direction: Direction) -> None:
        """Give the receiver of this direction what the link lets out; close it when both directions ended."""
        outbox, receiver = self._outboxes[direction], self._senders[opposite(direction)]
        try:
            while (data := await outbox.get()) is not None:
                await receiver.send_all(data)
                outbox.sent(data)
                self._make_room(direction)
            if not self._link.over:
                await receiver.send_eof()
        except trio.BrokenResourceError:
            self._link.receive_reset(opposite(direction), trio.current_time())
            self._woken.set()
            outbox.discard()
            self._make_room(direction)
        await self._over.wait()
        await receiver.aclose()

    def _is_full(self, direction: Direction) -> bool:
        if self._link.over:
            return False
        return self._link.full(direction) or self._outboxes[direction].size >= OUTBOX

    def _make_room(self, direction: Direction) -> None:
        if not self._is_full(direction):
            self._room[direction].set()


class _Outbox:
    """What one receiver has yet to be sent."""

    def __init__(self) -> None:
        self.size = 0
        self.empty = trio.Event()
        """All is sent, or discarded, and no more will come."""
        self._queue: deque[bytes] = deque()
        self._changed = trio.Event()
        self._ended = False
        self._discarding = False

    def put(self, data: bytes) -> None:
        if not self._discarding:
            self._queue.append(data)
            self.size += len(data)
            self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    def discard(self) -> None:
        """The receiver is gone: whatever comes is dropped."""
        self._discarding = True
        self._queue.clear()
        self.size = 0
        self.empty.set()

    async def get(self) -> bytes | None:
        """The next bytes; None after the last. Tell `sent` when they are."""
        while not self._queue:
            if self._ended:
                self.empty.set()
                return None
            self._changed = trio.Event()
            await self._changed.wait()
        return self._queue.popleft()

    def sent(self, data: bytes) -> None:
        self.size -= len(data)


def _or_never(time: float | None) -> float:
    return math.inf if time is None else time
