"""The sans-IO engine of one connection through a faulty link: what goes in at time t comes out when, or how
it dies.

Each direction is a pipeline of toxics in plan order, from sender to receiver. An end travels the pipeline
behind the bytes that were sent before it. Times are seconds on the run's clock.
"""

import random
from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from fault_injection.faults import Direction, Fault, Plan, Refuse
from fault_injection.toxics import make_toxic
from fault_injection.toxics.base import End, Item, Setting, Toxic
from fault_injection.triggers import Trigger, TriggerFactory, Triggers, UnknownTriggerError

__all__ = [
    "DIRECTIONS",
    "Action",
    "Fired",
    "Link",
    "Reset",
    "Send",
    "SendEof",
    "Trigger",
    "TriggerFactory",
    "UnknownTriggerError",
    "opposite",
    "refusal",
]

DIRECTIONS: tuple[Direction, Direction] = ("upstream", "downstream")


class Send(msgspec.Struct, frozen=True):
    """Deliver these bytes, as one piece, to the receiver of the direction."""

    direction: Direction
    data: bytes


class SendEof(msgspec.Struct, frozen=True):
    """Tell the receiver of the direction that no more will come (FIN)."""

    direction: Direction


class Reset(msgspec.Struct, frozen=True):
    """Reset both sides, after what was sent before (RST)."""


class Fired(msgspec.Struct, frozen=True):
    """A fault acted. `fault_index`: its place in the plan; `time`: when, on the run's clock."""

    fault_index: int
    fault: Fault
    time: float
    detail: str


Action: TypeAlias = Send | SendEof | Reset | Fired


def opposite(direction: Direction) -> Direction:
    """The other direction."""
    return "upstream" if direction == "downstream" else "downstream"


def refusal(plan: Plan, since_first_attempt: float, attempt: int) -> tuple[int, Refuse] | None:
    """The fault that refuses this attempt to connect, with its place in the plan, or None: let it in.

    `since_first_attempt`: seconds since the link's first attempt; `attempt`: how many came before this one.
    """
    for index, fault in enumerate(plan.faults):
        if (
            isinstance(fault, Refuse)
            and (fault.connections is None or attempt < fault.connections)
            and (fault.duration is None or since_first_attempt < fault.duration)
        ):
            return index, fault
    return None


class Link:
    """One connection under a plan.

    Tell it what the senders do (`receive`, `receive_eof`, `receive_reset`), then do what `advance` says, and
    again at `next_time`. `connection`: how many connections of this link came before; `now`: when it was accepted.
    The same calls with an `rng` of the same state give the same actions.

    Raises `UnknownTriggerError` if the plan names a trigger that `triggers` lacks.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        connection: int,
        rng: random.Random,
        now: float,
        triggers: Triggers | None = None,
    ) -> None:
        self.over = False
        """Nothing more can come out: the connection is done with."""
        self._actions: list[Action] = []
        self._pipes: dict[Direction, list[Toxic]] = {direction: [] for direction in DIRECTIONS}
        self._ended: set[Direction] = set()  # the sender has ended it
        self._reset: set[Direction] = set()  # the sender has reset it
        self._eof_sent: set[Direction] = set()
        for index, fault in enumerate(plan.faults):
            # Randomness of its own, so that what one direction carries does not change the other.
            own = random.Random(rng.getrandbits(64))
            if fault.connections is not None and connection >= fault.connections:
                continue
            toxic = make_toxic(fault, Setting(own, now, self._reporter(index, fault), triggers or {}))
            if toxic is not None:
                self._pipes[fault.direction].append(toxic)

    def receive(self, direction: Direction, data: bytes, now: float) -> None:
        """The sender of this direction sent bytes. Raises `ValueError` if it had ended the direction."""
        if direction in self._reset:
            return
        if direction in self._ended:
            raise ValueError(f"bytes {direction} after their end")
        self._put(direction, data, now)

    def receive_eof(self, direction: Direction, now: float) -> None:
        """The sender of this direction ended it (FIN)."""
        if direction not in self._ended:
            self._ended.add(direction)
            self._put(direction, End.FIN, now)

    def receive_reset(self, direction: Direction, now: float) -> None:
        """The sender of this direction reset the connection (RST). What it does after that is ignored."""
        if direction not in self._reset:
            self._ended.add(direction)
            self._reset.add(direction)
            self._put(direction, End.RST, now)

    def advance(self, now: float) -> list[Action]:
        """Let happen what is due until `now`; everything to be done since the last call, in order."""
        self._run(now)
        if not self.over and len(self._ended) == len(DIRECTIONS) and self.next_time() is None:
            self._emerge("downstream", End.CLOSE)  # an end was swallowed, and nobody is left to wait for it
        actions, self._actions = self._actions, []
        return actions

    def next_time(self) -> float | None:
        """When `advance` has something to do by itself, or None."""
        if self.over:
            return None
        earliest: float | None = None
        for pipe in self._pipes.values():
            for toxic in pipe:
                due = toxic.due()
                if due is not None and (earliest is None or due < earliest):
                    earliest = due
        return earliest

    def backlog(self, direction: Direction) -> int:
        """Bytes that wait inside."""
        return sum(toxic.held for toxic in self._pipes[direction])

    def full(self, direction: Direction) -> bool:
        """Whether it wants no more bytes of this direction for now; becomes false by itself in time.

        Stop reading meanwhile, so that the sender feels it as on a slow link.
        """
        if not self.over:
            for toxic in self._pipes[direction]:
                if toxic.full():
                    return True
        return False

    def _reporter(self, index: int, fault: Fault) -> Callable[[float, str], None]:
        return lambda time, detail: self._actions.append(Fired(index, fault, time, detail))

    def _put(self, direction: Direction, item: Item, now: float) -> None:
        self._run(now)
        if not self.over:
            self._pass(direction, 0, [item], now)

    def _run(self, now: float) -> None:
        """In order of time, so that a late call changes nothing but when its caller learns of it."""
        while (time := self.next_time()) is not None and time <= now:
            direction, stage = next(
                (direction, stage)
                for direction, pipe in self._pipes.items()
                for stage, toxic in enumerate(pipe)
                if toxic.due() == time
            )
            self._pass(direction, stage + 1, self._pipes[direction][stage].pop(time), time)

    def _pass(self, direction: Direction, stage: int, items: Iterable[Item], now: float) -> None:
        pipe = self._pipes[direction]
        if stage == len(pipe):
            for item in items:
                self._emerge(direction, item)
            return
        for item in items:
            self._pass(direction, stage + 1, pipe[stage].push(item, now), now)

    def _emerge(self, direction: Direction, item: Item) -> None:
        if self.over:
            return
        if isinstance(item, bytes):
            if direction not in self._eof_sent:
                self._actions.append(Send(direction, item))
        elif item is End.RST:
            self._actions.append(Reset())
            self.over = True
        else:
            for ended in (direction, opposite(direction)) if item is End.CLOSE else (direction,):
                if ended not in self._eof_sent:
                    self._eof_sent.add(ended)
                    self._actions.append(SendEof(ended))
            self.over = len(self._eof_sent) == len(DIRECTIONS)
