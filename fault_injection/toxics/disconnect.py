"""Disconnect: the connection ends here and now."""

from collections.abc import Iterable

from fault_injection.faults import Disconnect
from fault_injection.toxics.base import End, Item, Setting, Toxic
from fault_injection.toxics.moment import Moment


class DisconnectToxic(Toxic):
    """Passes everything until the moment, then an end, then nothing."""

    def __init__(self, fault: Disconnect, setting: Setting) -> None:
        super().__init__(setting)
        self._moment = Moment(fault.when, setting)
        self._end = End.CLOSE if fault.how == "fin" else End.RST
        self._cut = False

    def push(self, item: Item, now: float) -> Iterable[Item]:
        if self._cut:
            return ()
        if isinstance(item, End):
            return [item]
        index = self._moment.cut(item)
        if index is None:
            return [item]
        end = self._strike(now)
        return [item[:index], end] if index else [end]

    def due(self) -> float | None:
        return None if self._cut else self._moment.time

    def pop(self, now: float, /) -> Iterable[Item]:
        return [self._strike(now)]

    def _strike(self, now: float) -> End:
        self._cut = True
        self.report_once(now, f"cut after {self._moment.passed} bytes")
        return self._end
