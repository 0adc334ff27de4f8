"""Latency: every chunk, and the end, arrives late."""

from collections.abc import Iterable

from fault_injection.faults import Latency
from fault_injection.toxics.base import WINDOW, Delaying, Item, Setting


class LatencyToxic(Delaying):
    """Delays by `delay` ± `jitter`; an item that would overtake another arrives with it."""

    def __init__(self, fault: Latency, setting: Setting) -> None:
        super().__init__(setting)
        self._fault = fault
        self._last = setting.born

    def schedule(self, item: Item, now: float) -> Iterable[tuple[float, Item]]:
        jitter = self._fault.jitter
        delay = self._fault.delay + (self._setting.rng.uniform(-jitter, jitter) if jitter else 0.0)
        self._last = max(self._last, now + max(delay, 0.0))
        if self._last > now:
            self.report_once(now, f"first chunk delayed by {self._last - now:g} s")
        return [(self._last, item)]

    def full(self) -> bool:
        # A long line holds much without being slow: the window is wide so that delay alone does not throttle.
        return self.held >= 16 * WINDOW
