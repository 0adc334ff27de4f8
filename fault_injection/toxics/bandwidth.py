"""Bandwidth: a steady rate of bytes."""

from collections.abc import Iterable

from fault_injection.faults import Bandwidth
from fault_injection.toxics.base import Delaying, Item, Setting

_TICK = 0.02  # seconds that one piece takes: short enough to look like a rate, long enough to be cheap


class BandwidthToxic(Delaying):
    """Cuts chunks into pieces; each piece comes out when its last byte has been on the line."""

    def __init__(self, fault: Bandwidth, setting: Setting) -> None:
        super().__init__(setting)
        self._rate = fault.bytes_per_second
        self._piece = max(1, int(self._rate * _TICK))
        self._free = setting.born  # when the line is free again

    def schedule(self, item: Item, now: float) -> Iterable[tuple[float, Item]]:
        if not isinstance(item, bytes):
            yield now, item
            return
        self._free = max(self._free, now)
        self.report_once(now, f"held to {self._rate:g} bytes/s")
        for start in range(0, len(item), self._piece):
            piece = item[start : start + self._piece]
            self._free += len(piece) / self._rate
            yield self._free, piece
