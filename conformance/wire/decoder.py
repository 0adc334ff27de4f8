"""The event stream decoder, sans-IO: bytes in, events and violations out.

Source: WHATWG HTML, sections 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".

Two paths give the same items. The general path reads line by line and knows everything. The fast path takes
the whole blocks of a chunk that are valid UTF-8 with one kind of line ending, and hands whatever is not a
plain event back to the general path.
"""

from conformance.wire.event import Comment, Defect, Event, Item, Reconnection, Violation
from conformance.wire.utf8 import BOM, clip, invalid_subparts, occurrences

DEFAULT_LIMIT = 16 * 2**20
"""Bytes that one line, or the buffers of one event, may have."""

REPORTED_PER_DEFECT = 1000
"""Violations of one kind that a decoder reports; the message of the last one says that it is the last."""

MAX_RECONNECTION_TIME = 2**53 - 1
"""Milliseconds; a larger `retry` counts as this. The largest integer that every JSON reader keeps exact."""

EXCERPT = 64
"""Bytes of a violation's excerpt, at most."""

_STEP = 64 * 2**10  # a chunk is decoded in steps of this size: lists of lines and blocks stay small
_DIGITS = frozenset(b"0123456789")  # str.isdigit would take other scripts' digits
_ENDINGS = {b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR"}


class Decoder:
    """Decodes one event stream, i.e. the body of one response.

    `limit` (bytes) bounds a line, and the data, type and id of one event together; over it the decoder
    reports TOO_LARGE and stops. A client that reconnects hands the `last_event_id` of the connection before,
    which events without an id then carry, as they do in browsers.

    Items come in the order in which the stream makes them known, however it is cut into chunks: what is wrong
    with the bytes of a line, then what the line says, then what is wrong with its ending. `end` counts up to
    the byte that made an item known, so it leaves out the LF of a CRLF (waiting for it would delay the item).
    An event's `offset` is its block's first field. Violations about a block point there too.

    Raises ValueError for a limit below 1, and when fed after `close`; never because of the bytes.
    """

    def __init__(self, *, limit: int = DEFAULT_LIMIT, last_event_id: str = "") -> None:
        if limit < 1:
            raise ValueError(f"the decoder's limit must be at least 1 byte, not {limit}")
        self.last_event_id = last_event_id
        """The last event ID string: what a client would send to resume."""
        self.reconnection_time: int | None = None
        """Milliseconds, once a valid `retry` field set it."""
        self.offset = 0
        """Bytes consumed. After a stop: up to the byte that broke the limit."""
        self.stopped = False
        """True once a limit was broken: further bytes are ignored."""
        self._limit = limit
        self._closed = False
        self._head: bytes | None = b""  # the first bytes, while they may be a BOM; None once that is known
        self._pending = bytearray()  # the line that has no end yet
        self._cr_at: int | None = None  # a CR that ended the last chunk: alone, or half of a CRLF?
        self._ending: bytes | None = None  # the stream's kind of line ending; b"" once mixing was reported
        self._reported: dict[Defect, int] = {}
        self._id_buffer = last_event_id  # the standard's buffers; None stands for "not in this block"
        self._type = b""
        self._data: bytearray | None = None
        self._id: bytes | None = None
        self._block_at: int | None = None  # where the block's first field is; None before any field
        self._block_start = b""

    def feed(self, data: bytes) -> list[Item]:
        """Takes the next bytes of the stream and gives the items that they complete. Takes any bytes."""
        if self._closed:
            raise ValueError("the decoder was fed after close(): a new stream needs a new Decoder")
        items: list[Item] = []
        if len(data) <= _STEP:
            if data and not self.stopped:
                self._feed(data, items)
            return items
        for at in range(0, len(data), _STEP):
            if self.stopped:
                break
            self._feed(data[at : at + _STEP], items)
        return items

    def close(self) -> list[Item]:
        """Ends the stream: what no empty line completed is discarded, and reported if it held a field."""
        items: list[Item] = []
        if self._closed or self.stopped:
            self._closed = True
            return items
        self._closed = True
        if self._head:
            head, self._head = self._head, None
            self._feed(head, items)
        if self._cr_at is not None:
            self._line_ended(b"\r", self._cr_at, items)
        dangling = bool(self._pending) and not self._pending.startswith(b":")
        if self._block_at is not None or dangling:
            self._report_unterminated(items)
        self._pending = bytearray()
        self._forget_block()
        return items

    def _feed(self, data: bytes, items: list[Item]) -> None:
        if self._head is not None:
            data = self._head + data
            if len(data) < len(BOM) and BOM.startswith(data):
                self._head = data
                return
            self._head = None
            if data.startswith(BOM):
                data = data[len(BOM) :]
                self.offset += len(BOM)
        if self._cr_at is not None and data:
            pair = data.startswith(b"\n")
            at, self._cr_at = self._cr_at, None
            self._line_ended(b"\r\n" if pair else b"\r", at, items)
            if pair:
                data = data[1:]
                self.offset += 1
        last = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not last:
            self._keep(data, items)
            return
        lines, rest = (data, b"") if last == len(data) else (data[:last], data[last:])
        if self._pending:
            lines = self._finish_pending(lines, items)
        if lines and not self.stopped:
            self._take(lines, items)
        if rest and not self.stopped:
            if self._cr_at is not None:
                at, self._cr_at = self._cr_at, None
                self._line_ended(b"\r", at, items)
            self._keep(rest, items)

    def _keep(self, data: bytes, items: list[Item]) -> None:
        """Holds the beginning of a line back until its end arrives."""
        self._pending += data
        self.offset += len(data)
        if len(self._pending) > self._limit:
            self._stop_at_line(self._pending, self.offset - len(self._pending), items)

    def _finish_pending(self, lines: bytes, items: list[Item]) -> bytes:
        """Ends the line that was held back; gives the lines after it."""
        ends = [at for at in (lines.find(b"\n"), lines.find(b"\r")) if at >= 0]
        end = min(ends)
        line, self._pending = self._pending, bytearray()
        start = self.offset - len(line)
        line += lines[:end]
        ending = b"\r\n" if lines.startswith(b"\r\n", end) else lines[end : end + 1]
        self._line(line, start, ending, end + 1 == len(lines), items)
        return lines[end + len(ending) :]

    def _take(self, lines: bytes, items: list[Item]) -> None:
        """Whole lines: the fast path where it can be taken, the general path for the rest."""
        ending = b"\r\n" if lines.endswith(b"\r\n") else b"\n"
        if self._block_at is not None:
            if lines.startswith(ending):
                cut = len(ending)
            else:
                blank = lines.find(ending + ending)
                cut = blank + 2 * len(ending) if blank >= 0 else len(lines)
            self._take_lines(lines[:cut], items)
            lines = lines[cut:]
            if not lines or self.stopped:
                return
        if self._block_at is None and len(lines) <= self._limit and self._is_uniform(lines, ending):
            try:
                text = str(lines, "utf-8")
            except UnicodeDecodeError:
                text = ""
            if text and (text.isascii() or "\ufeff" not in text):
                self._take_blocks(text, ending.decode(), items)
                return
        self._take_lines(lines, items)

    def _is_uniform(self, lines: bytes, ending: bytes) -> bool:
        """Whether all lines end in `ending`, as those before did."""
        if ending == b"\n":
            uniform = lines.endswith(b"\n") and b"\r" not in lines
        else:
            uniform = lines.count(b"\r") == lines.count(b"\n") == lines.count(b"\r\n")
        if uniform and self._ending is None:
            self._ending = ending
        return uniform and self._ending in (ending, b"")

    def _take_blocks(self, text: str, ending: str, items: list[Item]) -> None:
        """The fast path: `text` begins with a block, all its lines end in `ending`."""
        blank = ending + ending
        width = len(blank)
        late = len(ending) - 1
        ascii_only = text.isascii()
        blocks = text.split(blank)
        rest = blocks.pop()
        start = self.offset
        for block in blocks:
            after = start + (len(block) if ascii_only else len(block.encode())) + width
            if block.startswith("data: ") and ending not in block:
                items.append(Event("message", block[6:], self.last_event_id, None, start, after - late))
            elif (event := self._plain_event(block, ending, start, after - late)) is not None:
                items.append(event)
            else:
                self.offset = start
                self._take_lines((block + blank).encode(), items)
            start = after
        self.offset = start
        if rest:
            self._take_lines(rest.encode(), items)

    def _plain_event(self, block: str, ending: str, start: int, end: int) -> Event | None:
        """The event of a block that has data and nothing but data, event and id; None for any other block."""
        type_ = ""
        data: list[str] = []
        id_: str | None = None
        for line in block.split(ending):
            name, _, value = line.partition(":")
            if value.startswith(" "):
                value = value[1:]
            if name == "data":
                data.append(value)
            elif name == "event":
                type_ = value
            elif name == "id" and "\0" not in value:
                id_ = value
            else:
                return None
        if not data:
            return None
        if id_ is not None:
            self._id_buffer = self.last_event_id = id_
        return Event(type_ or "message", "\n".join(data), self.last_event_id, id_, start, end)

    def _take_lines(self, lines: bytes, items: list[Item]) -> None:
        """The general path: `lines` are whole lines."""
        left = len(lines)
        for line in lines.splitlines(keepends=True):  # for bytes these are LF, CR and CRLF, nothing else
            left -= len(line)
            content = line.rstrip(b"\r\n")
            self._line(content, self.offset, line[len(content) :], not left, items)
            if self.stopped:
                return

    def _line(
        self, line: bytes | bytearray, start: int, ending: bytes, is_last: bool, items: list[Item]
    ) -> None:
        if len(line) > self._limit:
            self._stop_at_line(line, start, items)
            return
        end = start + len(line) + 1
        if not line:
            self._dispatch(end, items)
        else:
            if not line.isascii():
                self._inspect(line, start, items)
            if line.startswith(b":"):
                items.append(Comment(str(line[1:], "utf-8", "replace"), start, end))
            else:
                self._field(line, start, end, items)
                if self.stopped:
                    self.offset = end
                    return
        self.offset = start + len(line) + len(ending)
        if ending == b"\r" and is_last:
            self._cr_at = end - 1  # the next chunk tells whether an LF belongs to it
        else:
            self._line_ended(ending, end - 1, items)

    def _field(self, line: bytes | bytearray, start: int, end: int, items: list[Item]) -> None:
        if self._block_at is None:
            self._block_at = start
            self._block_start = bytes(line[:EXCERPT])
        colon = line.find(b":")
        if colon < 0:
            name, value = bytes(line), b""
        else:
            name = bytes(line[:colon])
            value = bytes(line[colon + 1 + line.startswith(b" ", colon + 1) :])
        if name == b"data":
            if self._data is None:
                self._data = bytearray()
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" in value:
                self._report(items, Defect.ID_NULL, "an id with U+0000 is ignored", start, line)
            else:
                self._id = value
        elif name == b"retry":
            self._retry(value, line, start, end, items)
        else:
            message = f"unknown field {clip(name.decode(errors='replace'))} is ignored"
            self._report(items, Defect.UNKNOWN_FIELD, message, start, line)
        if len(self._data or b"") + len(self._type) + len(self._id or b"") > self._limit:
            message = f"an event over the limit of {self._limit} bytes (data, type and id): decoding stops"
            self._report(items, Defect.TOO_LARGE, message, self._block_at, self._block_start)
            self._stop()

    def _retry(self, value: bytes, line: bytes | bytearray, start: int, end: int, items: list[Item]) -> None:
        if not value or not _DIGITS.issuperset(value):
            found = clip(value.decode(errors="replace"))
            message = f"retry takes ASCII digits only, not {found}: ignored"
            self._report(items, Defect.RETRY_NOT_DIGITS, message, start, line)
            return
        digits = value.lstrip(b"0")[:17]  # 17 digits are above the maximum; int() refuses very long ones
        self.reconnection_time = min(int(digits or b"0"), MAX_RECONNECTION_TIME)
        items.append(Reconnection(self.reconnection_time, start, end))

    def _dispatch(self, end: int, items: list[Item]) -> None:
        """An empty line: "dispatch the event" of section 9.2.6."""
        if self._block_at is None:
            return
        id_ = None if self._id is None else self._id.decode(errors="replace")
        if id_ is not None:
            self._id_buffer = id_
        self.last_event_id = self._id_buffer
        type_ = self._type.decode(errors="replace")
        if self._data is not None:
            self._data.pop()  # the LF after the last data line
            data = self._data.decode(errors="replace")
            event = Event(type_ or "message", data, self.last_event_id, id_, self._block_at, end)
            items.append(event)
        elif type_:
            message = f"a block of event type {clip(type_)} without data dispatches nothing"
            self._report(items, Defect.NO_DATA, message, self._block_at, self._block_start)
        self._forget_block()

    def _inspect(self, line: bytes | bytearray, start: int, items: list[Item]) -> None:
        """Reports what is wrong with the characters of a line."""
        for at, to in invalid_subparts(line):
            message = "not UTF-8: decoded as U+FFFD"
            if not self._report(items, Defect.INVALID_UTF8, message, start + at, line[at:to]):
                break
        for at, to in occurrences(line, BOM):
            message = "a byte order mark that is not the first character of the stream is data"
            if not self._report(items, Defect.LATE_BOM, message, start + at, line[at:to]):
                break

    def _line_ended(self, ending: bytes, at: int, items: list[Item]) -> None:
        if self._ending is None:
            self._ending = ending
        elif self._ending not in (ending, b""):
            message = (
                f"a line ends in {_ENDINGS[ending]}, those before in {_ENDINGS[self._ending]} (reported once)"
            )
            self._ending = b""
            self._report(items, Defect.MIXED_LINE_ENDINGS, message, at, ending)

    def _report_unterminated(self, items: list[Item]) -> None:
        parts: list[str] = []
        if self._data is not None:
            parts.append(f"{len(self._data) - 1} bytes of data")
        if self._type:
            parts.append(f"the event type {clip(self._type.decode(errors='replace'))}")
        if self._id is not None:
            parts.append(f"the id {clip(self._id.decode(errors='replace'))}")
        if self._pending:
            start = clip(self._pending[:EXCERPT].decode(errors="replace"))
            parts.append(f"an unfinished line of {len(self._pending)} bytes, {start}")
        if not self._pending:
            parts.append("only the empty line that ends the block was missing")
        message = f"the stream ended inside a block, which is discarded: {'; '.join(parts)}"
        if self._block_at is None:
            self._report(items, Defect.UNTERMINATED, message, self.offset - len(self._pending), self._pending)
        else:
            self._report(items, Defect.UNTERMINATED, message, self._block_at, self._block_start)

    def _stop_at_line(self, line: bytes | bytearray, start: int, items: list[Item]) -> None:
        message = f"a line over the limit of {self._limit} bytes: decoding stops"
        self._report(items, Defect.TOO_LARGE, message, start, line)
        self.offset = start + self._limit + 1
        self._stop()

    def _report(
        self, items: list[Item], defect: Defect, message: str, offset: int, found: bytes | bytearray
    ) -> bool:
        """Reports a violation unless its kind was reported often enough; False: no more of it are wanted."""
        count = self._reported.get(defect, 0) + 1
        if count > REPORTED_PER_DEFECT:
            return False
        self._reported[defect] = count
        if count == REPORTED_PER_DEFECT:
            message += f" (number {count} of this kind: further ones in this stream are not reported)"
        # an excerpt ends with the limit, so that it does not depend on where the chunks were cut
        items.append(Violation(defect, message, offset, bytes(found[: min(EXCERPT, self._limit + 1)])))
        return count < REPORTED_PER_DEFECT

    def _stop(self) -> None:
        self.stopped = True
        self._pending = bytearray()
        self._cr_at = None
        self._forget_block()

    def _forget_block(self) -> None:
        self._type = b""
        self._data = self._id = self._block_at = None
        self._block_start = b""
