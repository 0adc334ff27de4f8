"""What all toxics are: a stage that takes items and lets them go, now or later."""

import enum
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from fault_injection.triggers import Triggers


class End(enum.Enum):
    """How a stream ends. It travels behind the bytes that were sent before it."""

    FIN = "fin"  # this direction ends; the other goes on
    CLOSE = "close"  # a fault closes the connection: both directions end
    RST = "rst"  # the connection is reset


Item: TypeAlias = bytes | End

WINDOW = 64 * 1024
"""Bytes that a toxic holds before it wants no more: about what a slow link keeps in flight."""


@dataclass(frozen=True)
class Setting:
    """What a toxic knows of the connection it sits in. `born`: when it was accepted, on the run's clock.

    `report(time, detail)` tells that the fault acts.
    """

    rng: random.Random
    born: float
    report: Callable[[float, str], None]
    triggers: Triggers


class Toxic(ABC):
    """One fault at work in one direction of one connection. Times are seconds on the run's clock."""

    held = 0
    """Bytes in here, waiting."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._reported = False

    @abstractmethod
    def push(self, item: Item, now: float) -> Iterable[Item]:
        """Take an item; give what comes out at once."""

    def due(self) -> float | None:
        """When something happens next by itself, or None."""
        return None

    def pop(self, _now: float, /) -> Iterable[Item]:
        """Let happen what is due now; give what comes out."""
        return ()

    def full(self) -> bool:
        """Whether it wants no more bytes for now. Must become false by itself, in finite time."""
        return self.held >= WINDOW

    def report_once(self, now: float, detail: str) -> None:
        """Tell that the fault acts, the first time only."""
        if not self._reported:
            self._reported = True
            self._setting.report(now, detail)


class Delaying(Toxic):
    """A toxic that only delays: each item gets a time at which it comes out.

    Order is kept: an item whose time comes before that of the item before it comes out with that one.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._queue: deque[tuple[float, Item]] = deque()

    @abstractmethod
    def schedule(self, item: Item, now: float) -> Iterable[tuple[float, Item]]:
        """The item, whole or in pieces, each with its time."""

    def push(self, item: Item, now: float) -> Iterable[Item]:
        for entry in self.schedule(item, now):
            self._queue.append(entry)
            self.held += _size(entry[1])
        return self.pop(now)

    def due(self) -> float | None:
        return self._queue[0][0] if self._queue else None

    def pop(self, now: float, /) -> Iterable[Item]:
        out = []
        while self._queue and self._queue[0][0] <= now:
            _, item = self._queue.popleft()
            self.held -= _size(item)
            out.append(item)
        return out


def _size(item: Item) -> int:
    return len(item) if isinstance(item, bytes) else 0
