"""SlowClose: the end arrives late."""

from collections.abc import Iterable

from fault_injection.faults import SlowClose
from fault_injection.toxics.base import Delaying, Item, Setting


class SlowCloseToxic(Delaying):
    """Passes bytes; delays the end, also a reset."""

    def __init__(self, fault: SlowClose, setting: Setting) -> None:
        super().__init__(setting)
        self._delay = fault.delay

    def schedule(self, item: Item, now: float) -> Iterable[tuple[float, Item]]:
        if isinstance(item, bytes):
            return [(now, item)]
        self.report_once(now, f"end held back for {self._delay:g} s")
        return [(now + self._delay, item)]
