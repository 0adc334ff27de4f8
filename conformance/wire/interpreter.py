"""Lines in, items out: what the lines of an event stream mean.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
"""

from conformance.wire.event import Comment, Defect, Event, Item, Reconnection
from conformance.wire.utf8 import invalid_subparts, late_boms
from conformance.wire.violations import EXCERPT, Reporter, clip

MAX_RECONNECTION_TIME = 2**53 - 1
"""Milliseconds; a larger `retry` counts as this. The largest integer that every JSON reader keeps exact."""

_DIGITS = frozenset(b"0123456789")  # str.isdigit would take other scripts' digits


class Interpreter:
    """The buffers of one event stream, and what each line does to them.

    Buffers are bytes: many short data lines then take no more memory than they have bytes.
    """

    def __init__(self, limit: int, last_event_id: str, reporter: Reporter) -> None:
        self.last_event_id = last_event_id
        """The last event ID string, set when a block ends; until then the id is in the buffer."""
        self.reconnection_time: int | None = None
        self.block_at: int | None = None
        """Where the first field of the block is that has not ended yet; None if it has none."""
        self.over_limit = False
        """True once an event had more than `limit` bytes of data, type and id. Feed no more lines."""
        self._limit = limit
        self._reporter = reporter
        self.discard()

    def discard(self) -> None:
        """Forgets the block that has not ended yet."""
        self.block_at = None
        self._block_start: bytes | bytearray = b""
        self._data: bytearray | None = None  # None: no data field, unlike one that is empty
        self._type: bytes | bytearray = b""
        self._id: bytes | bytearray | None = None

    def line(self, line: bytes | bytearray, start: int, items: list[Item]) -> None:
        """Takes one line, without its ending, that begins at byte `start`. Keeps a bytearray as its own."""
        end = start + len(line) + 1
        if not line:
            self._dispatch(end, items)
            return
        if not line.isascii():
            self._inspect(line, start, items)
        if line.startswith(b":"):
            items.append(Comment(line[1:].decode(errors="replace"), start, end))
        else:
            self._field(line, start, end, items)

    def _inspect(self, line: bytes | bytearray, start: int, items: list[Item]) -> None:
        """Reports what is wrong with the characters of a line."""
        for at, to in invalid_subparts(line):
            message = "not UTF-8: decoded as U+FFFD"
            if not self._reporter.report(items, Defect.INVALID_UTF8, message, start + at, line[at:to]):
                break
        for at, to in late_boms(line):
            message = "a byte order mark that is not the first character of the stream is data"
            if not self._reporter.report(items, Defect.LATE_BOM, message, start + at, line[at:to]):
                break

    def _field(self, line: bytes | bytearray, start: int, end: int, items: list[Item]) -> None:
        if self.block_at is None:
            self.block_at = start
            self._block_start = line[:EXCERPT]
        name: bytes | bytearray
        value: bytes | bytearray
        if line.startswith(b"data: ") and isinstance(line, bytearray):
            del line[:6]  # which does not copy: lines that came in many chunks may be long
            name, value = b"data", line
        else:
            name, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
        if name == b"data":
            if self._data is None:
                self._data = value if isinstance(value, bytearray) else bytearray(value)
            else:
                self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" in value:
                self._reporter.report(items, Defect.ID_NULL, "an id with U+0000 is ignored", start, line)
            else:
                self._id = value
        elif name == b"retry":
            self._retry(value, line, start, end, items)
        else:
            message = f"the unknown field {clip(name)} is ignored"
            self._reporter.report(items, Defect.UNKNOWN_FIELD, message, start, line)
        if end - self.block_at > self._limit and self._buffered() > self._limit:
            message = f"an event over the limit of {self._limit} bytes (data, type and id): decoding stops"
            self._reporter.report(items, Defect.TOO_LARGE, message, self.block_at, self._block_start)
            self.over_limit = True

    def _buffered(self) -> int:
        return len(self._data or b"") + len(self._type) + len(self._id or b"")

    def _retry(
        self, value: bytes | bytearray, line: bytes | bytearray, start: int, end: int, items: list[Item]
    ) -> None:
        if not value or not _DIGITS.issuperset(value):
            message = f"retry takes ASCII digits only, not {clip(value)}: ignored"
            self._reporter.report(items, Defect.RETRY_NOT_DIGITS, message, start, line)
            return
        digits = value.lstrip(b"0")[:17]  # 17 digits are above the maximum; int() refuses very long ones
        self.reconnection_time = min(int(digits or b"0"), MAX_RECONNECTION_TIME)
        items.append(Reconnection(self.reconnection_time, start, end))

    def _dispatch(self, end: int, items: list[Item]) -> None:
        """An empty line: "dispatch the event"."""
        if self.block_at is None:
            return
        block_id = None
        if self._id is not None:
            block_id = self.last_event_id = self._id.decode(errors="replace")
        if self._data is not None:
            self._data.pop()  # the LF after the last data line
            data = self._data.decode(errors="replace")
            type_ = self._type.decode(errors="replace") or "message"
            items.append(Event(type_, data, self.last_event_id, block_id, self.block_at, end))
        elif self._type:
            message = f"a block of event type {clip(self._type)} without data dispatches nothing"
            self._reporter.report(items, Defect.NO_DATA, message, self.block_at, self._block_start)
        self.discard()

    def end(self, unfinished: bytes | bytearray, start: int, items: list[Item]) -> None:
        """The stream ended after the `unfinished` line (maybe empty) that begins at byte `start`."""
        in_field = bool(unfinished) and not unfinished.startswith(b":")
        if self.block_at is None and not in_field:
            return
        parts: list[str] = []
        if self._data is not None:
            parts.append(f"{_bytes(len(self._data) - 1)} of data")
        if self._type:
            parts.append(f"the event type {clip(self._type)}")
        if self._id is not None:
            parts.append(f"the id {clip(self._id)}")
        if unfinished:
            parts.append(f"an unfinished line of {_bytes(len(unfinished))}, {clip(unfinished)}")
        else:
            parts.append("only the empty line was missing")
        message = f"the stream ended inside a block, which is discarded: {'; '.join(parts)}"
        if self.block_at is None:
            self._reporter.report(items, Defect.UNTERMINATED, message, start, unfinished)
        else:
            self._reporter.report(items, Defect.UNTERMINATED, message, self.block_at, self._block_start)
        self.discard()


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"
