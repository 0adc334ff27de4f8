"""The moment at which a fault strikes: an offset, a time, or where a trigger says."""

from fault_injection.faults import AtBytes, AtTime, When
from fault_injection.toxics.base import Setting
from fault_injection.triggers import make_trigger


class Moment:
    """Watches bytes and time go by until the moment has come. Ask no more once it has."""

    def __init__(self, when: When, setting: Setting) -> None:
        self.passed = 0
        """Bytes that have gone by, up to the moment."""
        self.time = setting.born + when.seconds if isinstance(when, AtTime) else None
        """The moment, if it is a time."""
        self._offset = when.offset if isinstance(when, AtBytes) else None
        self._trigger = None if isinstance(when, AtBytes | AtTime) else make_trigger(when, setting.triggers)

    def cut(self, data: bytes) -> int | None:
        """The index in `data` at which the moment lies, or None: all of it lies before."""
        index: int | None = None
        if self._offset is not None:
            left = self._offset - self.passed
            index = left if left <= len(data) else None
        elif self._trigger is not None:
            index = self._trigger.feed(data)
            if index is not None and not 0 <= index <= len(data):
                raise ValueError(f"a trigger answered {index} for a chunk of {len(data)} bytes")
        self.passed += len(data) if index is None else index
        return index
