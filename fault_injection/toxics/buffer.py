"""Buffer: bytes wait for company."""

from collections.abc import Iterable

from fault_injection.faults import Buffer
from fault_injection.toxics.base import End, Item, Setting, Toxic


class BufferToxic(Toxic):
    """Lets go of blocks of `size` bytes; of everything when the oldest waited too long, or at the end."""

    def __init__(self, fault: Buffer, setting: Setting) -> None:
        super().__init__(setting)
        self._fault = fault
        self._bytes = bytearray()
        self._oldest: float | None = None  # when the oldest byte came

    def push(self, item: Item, now: float) -> Iterable[Item]:
        if item is End.RST:
            self._take(len(self._bytes))  # lost, as in a middlebox that is told of a reset
            return [item]
        if isinstance(item, End):
            rest = self._take(len(self._bytes))
            return [rest, item] if rest else [item]
        if not self._bytes:
            self._oldest = now
        self._bytes += item
        self.held = len(self._bytes)
        blocks = self._take(self.held - self.held % self._fault.size)
        if blocks and self._bytes:
            self._oldest = now
        if self._bytes:
            self.report_once(now, f"holds its first {len(self._bytes)} bytes back")
        return [blocks] if blocks else []

    def due(self) -> float | None:
        if self._oldest is None or self._fault.flush_after is None:
            return None
        return self._oldest + self._fault.flush_after

    def pop(self, _now: float, /) -> Iterable[Item]:
        return [self._take(len(self._bytes))]

    def full(self) -> bool:
        return False  # never holds `size` bytes, and must be fed to let go of fewer

    def _take(self, count: int) -> bytes:
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        self.held = len(self._bytes)
        if not self._bytes:
            self._oldest = None
        return taken
