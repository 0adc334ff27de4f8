"""Slice: chunks come out in pieces."""

from collections.abc import Iterable

from fault_injection.faults import Slice
from fault_injection.toxics.base import Delaying, Item, Setting


class SliceToxic(Delaying):
    """Cuts each chunk into pieces; a piece waits until `gap` seconds after the piece before it."""

    def __init__(self, fault: Slice, setting: Setting) -> None:
        super().__init__(setting)
        self._fault = fault
        self._last: float | None = None  # when the latest piece comes out

    def schedule(self, item: Item, now: float) -> Iterable[tuple[float, Item]]:
        if not isinstance(item, bytes):
            yield now, item
            return
        fault = self._fault
        start = 0
        while start < len(item):
            size = fault.size
            if fault.variation:
                size += self._setting.rng.randint(-fault.variation, fault.variation)
            if size < len(item) - start:
                self.report_once(now, f"first chunk cut: {len(item)} bytes")
            self._last = now if self._last is None else max(now, self._last + fault.gap)
            yield self._last, item[start : start + size]
            start += size
