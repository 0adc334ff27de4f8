"""A channel: a log of events, and subscribers that each read it from where they are.

A subscriber is a cursor on the log, not a queue that is filled by somebody else: replay and live events come
from the same place in the same order, so between them nothing can be lost and nothing can come twice.
"""

from collections import deque
from collections.abc import Iterable

import msgspec
import trio


class Record(msgspec.Struct, frozen=True):
    """An event in the log: its id (1, 2, 3, ...), its type, its data."""

    id: int
    type: str
    data: str


class Subscription:
    """A cursor on a channel's log: `async for record in subscription` until the channel is closed.

    Use it as a context manager; leaving it unsubscribes. `overrun` is set when the channel dropped this
    subscriber for being slow.
    """

    def __init__(self, channel: "Channel", after: int) -> None:
        self.overrun = trio.Event()
        self.taken = after  # the id of the last record taken
        self.joined = channel.last_id
        self._channel = channel
        self._until: int | None = None

    def __enter__(self) -> "Subscription":
        self._channel.subscriptions.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.subscriptions.discard(self)

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Record:
        """The next record; cancelling the wait loses nothing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self.overrun.is_set() or self.has_ended():
                raise StopAsyncIteration
            record = self._channel.after(self.taken)
            if record is not None:
                self.taken = record.id
                return record
            if self._channel.closed:
                raise StopAsyncIteration
            await self._channel.changed.wait()

    def end(self) -> None:
        """End after the last record that is there now."""
        self._until = self._channel.last_id
        self._channel.wake()

    def stop(self) -> None:
        """End here: what was not taken by now is not for this subscriber any more."""
        self._until = self.taken
        self._channel.wake()

    def has_ended(self) -> bool:
        """Whether it was told to end, and all that it was to take is taken."""
        return self._until is not None and self.taken >= self._until

    @property
    def behind(self) -> int:
        """How many records were published since this subscriber joined, and not taken yet."""
        return self._channel.last_id - max(self.taken, self.joined)


class Channel:
    """A log of events that is read by any number of subscribers.

    The last `keep` records are kept for replay, fewer where their data has more than `keep_size` characters.
    A subscriber that has let `buffer` records pile up since it joined is dropped and never waited for; it can
    come back and resume by its last event ID as long as the log still goes back that far, so `buffer` is at
    most `keep`.
    """

    def __init__(
        self,
        *,
        keep: int = 10_000,
        keep_size: int = 16 * 2**20,
        buffer: int = 1_000,
        records: Iterable[Record] = (),
    ) -> None:
        if not 0 < buffer <= keep:
            raise ValueError(f"buffer must be between 1 and keep ({keep}), not {buffer}")
        self.subscriptions: set[Subscription] = set()
        self.closed = False
        self.changed = trio.Event()  # replaced by a new one at every change
        self.last_id = 0
        self._log: deque[Record] = deque()
        self._size = 0
        self._keep = keep
        self._keep_size = keep_size
        self._buffer = buffer
        for record in records:
            self._append(record)

    def publish(self, record: Record) -> None:
        """Append an event. Never waits for anybody.

        Raises `ValueError` if the channel is closed, or if the id is not the one that follows.
        """
        if self.closed or record.id != self.last_id + 1:
            raise ValueError(f"event {record.id} cannot follow {self.last_id}{' (closed)' * self.closed}")
        self._append(record)
        for subscription in self.subscriptions:
            if subscription.behind > self._buffer or subscription.taken + 1 < self._log[0].id:
                subscription.overrun.set()
        self.wake()

    def close(self) -> None:
        """Nothing follows: subscribers end after the last record, later ones get what is kept and end."""
        self.closed = True
        self.wake()

    def subscribe(self, last_event_id: str | None = None) -> Subscription:
        """Read the log from behind that event; without one, or if it is unknown, from its oldest record.

        Unknown is what this log never gave out, and what it no longer has: better twice than never.
        """
        oldest = self.last_id - len(self._log) + 1
        after = parse_id(last_event_id)
        if after is None or not oldest <= after <= self.last_id:
            after = oldest - 1
        return Subscription(self, after)

    def after(self, id: int) -> Record | None:
        """The record that follows the one with this id."""
        if id >= self.last_id:
            return None
        return self._log[id + 1 - self._log[0].id]

    def _append(self, record: Record) -> None:
        self._log.append(record)
        self._size += len(record.data)
        self.last_id = record.id
        while len(self._log) > self._keep or (self._size > self._keep_size and len(self._log) > 1):
            self._size -= len(self._log.popleft().data)

    def wake(self) -> None:
        """Let waiting subscribers look again."""
        self.changed.set()
        self.changed = trio.Event()


def parse_id(text: str | None) -> int | None:
    """The id that a Last-Event-ID header names, None where it cannot be one of a channel's."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return int(text)
