"""Moves bytes between two connections that tell of themselves (`Connection.watch`), through a `Link`.

What `pump.py` does with five tasks is done here at once, whenever something happens; one task waits for what
the link does by itself. So a link costs little more in virtual time than the engine does.
"""

import math
from collections import deque

import trio

from fault_injection.faults import Direction
from fault_injection.link import DIRECTIONS, Fired, Link, Reset, Send, opposite
from fault_injection.network import Connection
from fault_injection.observer import HowClosed, Observer
from fault_injection.pump import OUTBOX, READ, RESET_GRACE


class DirectPump:
    """Runs one connection: `subscriber` and `server` are the two ends, seen from the link."""

    def __init__(
        self, link: Link, *, subscriber: Connection, server: Connection, connection: int, observer: Observer
    ) -> None:
        self.how: HowClosed = "cancelled"
        """How the connection ended, as far as it has."""
        self._link = link
        self._ends: dict[Direction, Connection] = {"downstream": server, "upstream": subscriber}  # who sends
        self._outboxes = {direction: _Outbox() for direction in DIRECTIONS}
        self._reading = set(DIRECTIONS)  # whose sender has not ended
        self._connection = connection
        self._observer = observer
        self._busy = self._again = False
        self._reset_at = math.inf  # when both ends are reset, whatever has been sent by then
        self._failure: BaseException | None = None
        self._sleep = trio.CancelScope()
        self._sleeper: trio.lowlevel.Task | None = None

    async def run(self) -> None:
        """Move bytes until the link is over; then close both connections. Cancelled, it leaves them to others."""
        try:
            for end in self._ends.values():
                end.watch(self._step)
            self._step()
            while self.how == "cancelled" and self._failure is None:
                with trio.CancelScope(deadline=self._due()) as self._sleep:
                    await self._woken()
                await trio.lowlevel.checkpoint_if_cancelled()
                self._step()
        finally:
            for end in self._ends.values():
                end.watch(None)
        if self._failure is not None:
            raise self._failure

    async def _woken(self) -> None:
        """Wait until `_step` has something to tell, or the scope around is cancelled; raises nothing then."""
        task = self._sleeper = trio.lowlevel.current_task()

        def wake(_: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            trio.lowlevel.reschedule(task)
            return trio.lowlevel.Abort.FAILED  # in trio's words: to be woken as usual, without an exception

        await trio.lowlevel.wait_task_rescheduled(wake)

    def _step(self) -> None:
        """Something has happened at one of the ends, or it is time."""
        if self._busy:  # what it does here is heard of here
            self._again = True
            return
        self._busy = self._again = True
        try:
            while self._again and self.how == "cancelled":
                self._again = False
                self._move(trio.current_time())
        except Exception as error:  # noqa: BLE001  (`run` raises it: who sends here must not see it)
            self._failure = error
        finally:
            self._busy = False
        if self._sleeper is None:
            return
        if self.how != "cancelled" or self._failure is not None:
            task, self._sleeper = self._sleeper, None
            trio.lowlevel.reschedule(task)
        elif (due := self._due()) != self._sleep.deadline:
            self._sleep.deadline = due

    def _due(self) -> float:
        time = self._link.next_time()
        return self._reset_at if time is None else min(time, self._reset_at)

    def _move(self, now: float) -> None:
        """Take what the senders sent, do what the link says, give the receivers what it lets out."""
        link, outboxes = self._link, self._outboxes
        full = [direction for direction in DIRECTIONS if not self._read(direction, now)]
        for action in link.advance(now):
            match action:
                case Send(direction, data):
                    outboxes[direction].put(data)
                case Fired():
                    self._observer.fired(self._connection, action)
                case Reset():
                    self._reset_at = now + RESET_GRACE
                    for outbox in outboxes.values():
                        outbox.ended = True
                case _:
                    outboxes[action.direction].ended = True
        for direction in DIRECTIONS:
            if outboxes[direction].has_something:
                self._write(direction, now)
        for direction in full:
            self._again |= not self._is_full(direction)
        if not link.over:
            return
        if self._reset_at < math.inf:
            if now >= self._reset_at or all(outbox.is_done for outbox in outboxes.values()):
                for end in self._ends.values():
                    end.reset()
                self.how = "rst"
        elif all(outbox.closed for outbox in outboxes.values()):
            self.how = "fin"

    def _read(self, direction: Direction, now: float) -> bool:
        """Feed the link with what the sender of this direction sent. False: the link wants no more for now."""
        link, sender = self._link, self._ends[direction]
        while direction in self._reading:
            if self._is_full(direction):
                return False
            try:
                data = sender.receive_now(READ)
            except trio.BrokenResourceError:
                link.receive_reset(direction, now)
                self._reading.discard(direction)
                break
            except trio.ClosedResourceError:  # by `_write`, for the link is over
                self._reading.discard(direction)
                break
            if data is None:
                break
            if not data:
                link.receive_eof(direction, now)
                self._reading.discard(direction)
                break
            if not link.over:
                self._observer.ingress(self._connection, direction, data, now)
            link.receive(direction, data, now)
        return True

    def _write(self, direction: Direction, now: float) -> None:
        """Give the receiver of this direction what the link lets out; close it when both directions ended."""
        outbox, receiver = self._outboxes[direction], self._ends[opposite(direction)]
        try:
            while outbox.queue:
                taken = receiver.send_now(outbox.queue[0])
                outbox.sent(taken)
                if outbox.queue and not taken:
                    return
            if outbox.ended and not outbox.told and not self._link.over:
                outbox.told = True
                receiver.end_now()
        except trio.BrokenResourceError:
            self._link.receive_reset(opposite(direction), now)
            outbox.discard()
            self._again = True
        if outbox.is_done and self._link.over and self._reset_at == math.inf and not outbox.closed:
            outbox.closed = True
            receiver.close_now()

    def _is_full(self, direction: Direction) -> bool:
        if self._link.over:
            return False
        return self._link.full(direction) or self._outboxes[direction].size >= OUTBOX


class _Outbox:
    """What one receiver has yet to be sent."""

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()
        self.size = 0
        self.ended = False  # no more will come
        self.told = False  # and the receiver knows it
        self.closed = False
        self._discarding = False

    @property
    def has_something(self) -> bool:
        """There is something to send, or an end to tell."""
        return bool(self.queue) or self.ended or self._discarding

    @property
    def is_done(self) -> bool:
        """All is sent, or discarded, and no more will come."""
        return self._discarding or (self.ended and not self.queue)

    def put(self, data: bytes) -> None:
        if not self._discarding:
            self.queue.append(data)
            self.size += len(data)

    def sent(self, size: int) -> None:
        """So many bytes of the first piece are sent."""
        self.size -= size
        first = self.queue.popleft()
        if size < len(first):
            self.queue.appendleft(first[size:])

    def discard(self) -> None:
        """The receiver is gone: whatever comes is dropped."""
        self._discarding = True
        self.queue.clear()
        self.size = 0
