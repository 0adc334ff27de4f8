"""Latency: every chunk, and the end, arrives late."""

from collections.abc import Iterable

from fault_injection.faults import Latency
from fault_injection.toxics.base import WINDOW, Delaying, Item, Setting


class LatencyToxic(Delaying):
    """Delays by `delay` ± `jitter`."""

    def __init__(self, fault: Latency, setting: Setting) -> None:
        super().__init__(setting)
        self._fault = fault

    def schedule(self, item: Item, now: float) -> Iterable[tuple[float, Item]]:
        jitter = self._fault.jitter
        delay = self._fault.delay + (self._setting.rng.uniform(-jitter, jitter) if jitter else 0.0)
        if delay > 0:
            self.report_once(now, f"first chunk delayed by {delay:g} s")
        return [(now + delay, item)]

    def full(self) -> bool:
        # A long line holds much without being slow: the window is wide so that delay alone does not throttle.
        return self.held >= 16 * WINDOW
