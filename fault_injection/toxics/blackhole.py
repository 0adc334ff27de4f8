"""Blackhole: bytes vanish, the connection stays up."""

from collections.abc import Iterable

from fault_injection.faults import Blackhole
from fault_injection.toxics.base import End, Item, Setting, Toxic
from fault_injection.toxics.moment import Moment


class BlackholeToxic(Toxic):
    """Passes everything until the moment, then nothing; after its duration everything again."""

    def __init__(self, fault: Blackhole, setting: Setting) -> None:
        super().__init__(setting)
        self._moment = Moment(fault.when, setting)
        self._duration = fault.duration
        self._state = "waiting"
        self._over: float | None = None  # when it will have held long enough
        self._swallowed = 0
        self._ends: list[Item] = []

    def push(self, item: Item, now: float) -> Iterable[Item]:
        if self._state == "over":
            return [item]
        if self._state == "holding":
            self._swallow(item)
            return ()
        index = self._moment.cut(item) if isinstance(item, bytes) else None
        if index is None or isinstance(item, End):
            return [item]
        self._begin(now)
        self._swallow(item[index:])
        return [item[:index]] if index else []

    def due(self) -> float | None:
        return self._moment.time if self._state == "waiting" else self._over

    def pop(self, now: float, /) -> Iterable[Item]:
        if self._state == "waiting":
            self._begin(now)
            return ()
        self._state, self._over = "over", None
        self._setting.report(now, f"over, {self._swallowed} bytes swallowed")
        return self._ends

    def _begin(self, now: float) -> None:
        self._state = "holding"
        self._over = None if self._duration is None else now + self._duration
        self._setting.report(now, f"begins after {self._moment.passed} bytes")

    def _swallow(self, item: Item) -> None:
        if isinstance(item, bytes):
            self._swallowed += len(item)
        elif self._duration is not None:
            self._ends.append(item)
