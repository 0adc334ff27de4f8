"""The fast path for one long data line that comes in many chunks, all of it ASCII.

Bytes in a buffer are copied once more when the line is decoded. Here each chunk is decoded as it comes, while
it is in the processor's cache, and the text is joined once, into what the event keeps.
"""

from conformance.wire.event import Event
from conformance.wire.plain import CRLF, LF, Shape

LONG = 4 * 2**10
"""From so many bytes on a line is long. Smaller chunks of it are collected up to this size."""

_FIELD = "data: "


class LongLine:
    """A line that began with `data: ` and has not ended yet."""

    def __init__(self, begun: bytes | bytearray) -> None:
        self.size = len(begun)
        """Bytes of the line so far."""
        self._pieces = [begun.decode("ascii").removeprefix(_FIELD)]
        self._small = bytearray()

    @staticmethod
    def suits(begun: bytes | bytearray) -> bool:
        """Whether this is for a line that has begun like this."""
        return len(begun) >= LONG and begun.startswith(_FIELD.encode()) and begun.isascii()

    def extend(self, data: bytes) -> bool:
        """Takes the next bytes of the line. False, and nothing taken: it ends in them, or they are not ASCII."""
        if 10 in data or 13 in data or not data.isascii():  # LF or CR
            return False
        self.size += len(data)
        if len(data) >= LONG and not self._small:
            self._pieces.append(data.decode("ascii"))
            return True
        self._small += data
        if len(self._small) >= LONG:
            self._pieces.append(self._small.decode("ascii"))
            self._small = bytearray()
        return True

    def event(self, data: bytes, start: int, last_event_id: str) -> tuple[Event, Shape] | None:
        """The event of the line, which began at `start`, and its shape.

        None, and nothing changed, unless `data` has the line's end and the empty line after it.
        """
        end = data.find(b"\n")
        shape = LF
        if data[end - 1 : end] == b"\r":
            end, shape = end - 1, CRLF
        rest = data[:end]
        if end < 0 or not data.startswith(shape.blank, end) or 13 in rest or not rest.isascii():
            return None
        text = "".join([*self._pieces, self._small.decode("ascii"), rest.decode("ascii")])
        after = start + self.size + end + len(shape.blank)
        return Event("message", text, last_event_id, None, start, after - shape.late), shape

    def line(self) -> bytearray:
        """The bytes of the line so far, for another path. This object is of no further use."""
        line = bytearray(_FIELD.encode())
        for piece in self._pieces:
            line += piece.encode()
        line += self._small  # in place: long lines are not to be copied once more
        return line
