"""The event stream decoder, sans-IO: bytes in, events and violations out.

Source: WHATWG HTML, section 9.2.5 "Parsing an event stream"; what lines mean is in `interpreter`.

All paths give the same items. The general path goes line by line and knows everything. The fast paths take
plain events many at a time, in whole blocks of valid UTF-8 with one kind of line ending. So that a block can be
whole, its first lines may wait for the chunk with its end, if they say nothing before that; a data line that
begins its block waits alone. One that is longer than chunks are has a path of its own, in `long_line`.
"""

from conformance.wire.event import Comment, Defect, Event, Item
from conformance.wire.interpreter import Interpreter
from conformance.wire.long_line import LongLine
from conformance.wire.plain import (
    CRLF,
    FIELD,
    LF,
    Shape,
    comment_text,
    data_events,
    is_quiet,
    is_uniform,
    join,
    more_data_events,
    one_event,
)
from conformance.wire.utf8 import BOM
from conformance.wire.violations import Reporter

DEFAULT_LIMIT = 16 * 2**20
"""Bytes that one line, or the data, type and id of one event, may have."""

_STEP = 64 * 2**10  # a chunk is decoded in steps of this size: lists of lines stay small
_ONE = 4 * 2**10  # a chunk up to this size may be a single event; so much of a block may wait for its end
_COLON = ord(":")
_ENDINGS = {b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR"}


class Decoder:
    """Decodes one event stream, i.e. the body of one response.

    `limit` (bytes) bounds a line, and the data, type and id of one event together; over it the decoder
    reports TOO_LARGE and stops. A client that reconnects hands over the `last_event_id` of the connection
    before, which events without an id then carry, as they do in browsers.

    Items come in the order in which the stream makes them known, however it is cut into chunks: what is wrong
    with the characters of a line, then what the line says, then what is wrong with its ending. `end` counts
    up to the byte that made an item known, so it leaves out the LF of a CRLF: a CR already ends the line. An
    event's `offset` is its block's first field, and violations about a whole block point there too.

    Raises ValueError for a limit below 1, and when fed after `close`; never because of the bytes.
    """

    def __init__(self, *, limit: int = DEFAULT_LIMIT, last_event_id: str = "") -> None:
        if limit < 1:
            raise ValueError(f"the decoder's limit must be at least 1 byte, not {limit}")
        self.stopped = False
        """True once a limit was broken: further bytes are ignored."""
        self._limit = limit
        self._one = min(limit, _ONE)
        self._reporter = Reporter()
        self._interpreter = Interpreter(limit, last_event_id, self._reporter)
        self._at = 0  # the bytes of the lines that were taken
        self._pending = bytearray()  # the bytes after them: lines that wait, and a line that has no end yet
        self._waiting = 0  # the bytes of the lines that wait: a block's first ones, no more than _one
        self._begun = False  # whether it is known that the stream begins with a byte order mark, or not
        self._cr_at: int | None = None  # a CR that ended the last chunk: alone, or half of a CRLF?
        self._ending: bytes | None = None  # the stream's kind of line ending; b"" once mixing was reported
        self._closed = False
        self._calm: Shape | None = None  # set between blocks: single events may be taken at once
        self._heartbeat = b""  # the last line that was a chunk of its own and a comment
        self._beat: str | None = None  # its text; None if it needs the general path
        self._line: bytes | None = None  # a data line that begins its block; then nothing is pending
        self._long: LongLine | None = None  # nor then

    @property
    def last_event_id(self) -> str:
        """The last event ID string: what a client would send to resume."""
        return self._interpreter.last_event_id

    @property
    def reconnection_time(self) -> int | None:
        """Milliseconds, once a valid `retry` field has set it."""
        return self._interpreter.reconnection_time

    @property
    def offset(self) -> int:
        """Bytes consumed. After a stop: up to the byte that broke the limit."""
        line = 0 if self._line is None else len(self._line)
        return self._at + len(self._pending) + line + (0 if self._long is None else self._long.size)

    def feed(self, data: bytes) -> list[Item]:
        """Takes the next bytes of the stream and gives the items that they complete."""
        shape, size = self._calm, len(data)
        if shape is not None and 0 < size <= self._one:
            start = self._at
            if data[0] == _COLON:
                line = data.removesuffix(shape.blank)
                if len(line) == size:
                    line = data.removesuffix(shape.ending)
                if line != self._heartbeat:  # mostly it says what the one before said
                    self._heartbeat, self._beat = line, comment_text(line)
                text = self._beat
                if text is not None and len(line) < size:
                    self._at = start + size
                    return [Comment(text, start, start + len(line) + 1)]
            else:
                event = one_event(data, shape, start, self._interpreter.last_event_id)
                if event is not None:
                    self._at = start + size
                    self._interpreter.last_event_id = event.last_event_id
                    return [event]
        elif self._line is not None and size:
            found = self._feed_line(self._line, data)
            if found is not None:
                return found
        if self._closed:
            raise ValueError("the decoder was fed after close(): a new stream needs a new Decoder")
        items: list[Item] = []
        if self._long is not None:
            data = self._feed_long(self._long, data, items)
        if len(data) <= _STEP and self._long is None:
            if data and not self.stopped:
                self._feed(data, items)
        else:
            self._feed_steps(data, items)
        self._calm = self._find_calm()
        return items

    def _feed_steps(self, data: bytes, items: list[Item]) -> None:
        for at in range(0, len(data), _STEP):
            if self.stopped:
                break
            step = data[at : at + _STEP]
            if self._long is not None:  # it began in the step before
                step = self._feed_long(self._long, step, items)
            if step:
                self._feed(step, items)

    def _feed_line(self, line: bytes, data: bytes) -> list[Item] | None:
        """The fast path for chunks that cut plain events. None, and nothing taken: they need another path."""
        size = len(line) + len(data)
        if size <= self._limit and len(data) <= _STEP:
            shape = LF if self._ending == b"\n" else CRLF
            try:
                found = more_data_events(line, data, shape, self._at, self._interpreter.last_event_id)
            except UnicodeDecodeError:
                found = None
            if found is not None:
                events, rest = found
                self._at += size - len(rest)
                if rest.startswith(FIELD) and len(rest) < self._one:
                    self._line = rest
                else:
                    self._line = None
                    self._keep(rest, events)
                    self._calm = self._find_calm()
                return events
        self._pending += line
        self._line = None
        return None

    def _find_calm(self) -> Shape | None:
        """The shape that the next block is likely to have; None if anything but a new block may come."""
        if self._pending or self._line is not None or self._long is not None:
            return None
        if self._cr_at is not None or self.stopped or self._interpreter.block_at is not None:
            return None
        return LF if self._ending == b"\n" else CRLF if self._ending == b"\r\n" else None

    def close(self) -> list[Item]:
        """Ends the stream: a block without its empty line is discarded, and reported if it has a field."""
        items: list[Item] = []
        if not self._closed and not self.stopped:
            if self._line is not None:
                self._pending, self._line = bytearray(self._line), None
            self._settle_cr(b"\r", items)
            self._wait_no_more(items)
            if self._long is not None:
                self._pending, self._long = self._long.line(), None
            if len(self._pending) > self._limit:  # the beginnings of a byte order mark, held back so far
                self._stop_at_line(self._pending, self._at, items)
            else:
                self._interpreter.end(self._pending, self._at, items)
                self._at += len(self._pending)
                self._pending = bytearray()
        self._closed = True
        self._calm = None
        return items

    def _feed_long(self, long: LongLine, data: bytes, items: list[Item]) -> bytes:
        """Takes the bytes that belong to a long line; gives those that are still to be taken."""
        if long.size + len(data) <= self._limit:
            if long.extend(data):
                return b""
            found = long.event(data, self._at, self._interpreter.last_event_id)
            if found is not None and self._ending in (None, found[1].ending):
                event, shape = found
                items.append(event)
                taken = event.end + shape.late - self._at - long.size
                self._at, self._ending, self._long = event.end + shape.late, shape.ending, None
                return data[taken:]
        self._pending, self._long = long.line(), None
        return data

    def _feed(self, data: bytes, items: list[Item]) -> None:
        if not self._begun or self._cr_at is not None:
            data = self._begin(data, items)
        shape = CRLF if self._ending == b"\r\n" or (self._ending is None and b"\r\n" in data) else LF
        if self._interpreter.block_at is not None:
            data = self._finish_block(data, shape, items)
            if self.stopped:
                return
        after_blocks = plain = False
        pending = self._pending
        if shape.blank in data and self._interpreter.block_at is None and len(pending) <= _STEP:
            stream = b"".join((pending, data)) if pending else data
            pending.clear()
            self._waiting = 0
            end = stream.rfind(shape.blank) + len(shape.blank)
            data = stream[end:]
            fits = end <= self._limit and self._ending in (None, shape.ending)
            plain = fits and self._take_data(stream, end, shape, items)
            if not plain and not (fits and self._take_blocks(stream[:end], shape, items)):
                self._take_lines(stream[:end], items)
            after_blocks = True
        if not data or self.stopped:
            return
        if 10 in data or 13 in data:  # LF or CR; faster than to look for bytes
            self._feed_lines(data, shape, after_blocks, items)
        elif plain and len(data) < self._one and data.startswith(FIELD):
            self._line = data
        else:
            self._keep(data, items)

    def _finish_block(self, data: bytes, shape: Shape, items: list[Item]) -> bytes:
        """Takes the lines of a block that has begun, up to its end; gives the bytes after it."""
        if not self._pending and data.startswith(shape.ending):
            end = len(shape.ending)
        else:
            blank = data.find(shape.blank)
            if blank < 0:
                return data
            end = blank + len(shape.blank)
        self._feed_lines(data[:end], shape, False, items)
        return data[end:]

    def _feed_lines(self, data: bytes, shape: Shape, after_blocks: bool, items: list[Item]) -> None:
        """Takes the lines in `data`, which may begin inside of one, and keeps what follows the last of them."""
        whole, rest = data, b""
        if not data.endswith(b"\n"):
            end = data.rfind(b"\n") + 1
            if 13 in data:
                end = max(end, data.rfind(b"\r") + 1)
            whole, rest = data[:end], data[end:]
        if whole:
            lines = self._join_pending(whole, items) if self._pending else whole
            # only after blocks: a line waits once at most, and what its ending may break was said
            if after_blocks and len(lines) <= self._one and is_quiet(lines, shape):
                self._pending += lines
                self._waiting = len(lines)
            elif not self.stopped:
                self._waiting = 0
                self._take_lines(lines, items)
        if rest and not self.stopped:
            self._settle_cr(b"\r", items)
            self._keep(rest, items)

    def _keep(self, rest: bytes, items: list[Item]) -> None:
        """Keeps the bytes of a line that has no end yet."""
        self._pending += rest
        if self._waiting and len(self._pending) > self._one:
            self._wait_no_more(items)
        if len(self._pending) > self._limit:
            self._stop_at_line(self._pending, self._at, items)
        elif not self._waiting and self._interpreter.block_at is None and LongLine.suits(self._pending):
            self._long, self._pending = LongLine(self._pending), bytearray()

    def _begin(self, data: bytes, items: list[Item]) -> bytes:
        """Settles what the last chunk left open; gives the bytes that are still to be taken."""
        if not self._begun:
            data = bytes(self._pending) + data
            self._pending = bytearray()
            if len(data) < len(BOM) and BOM.startswith(data):
                self._pending += data
                return b""
            self._begun = True
            if data.startswith(BOM):
                self._at = len(BOM)
                return data[len(BOM) :]
        elif data.startswith(b"\n"):
            self._settle_cr(b"\r\n", items)
            self._at += 1
            return data[1:]
        self._settle_cr(b"\r", items)
        return data

    def _settle_cr(self, ending: bytes, items: list[Item]) -> None:
        if self._cr_at is not None:
            at, self._cr_at = self._cr_at, None
            self._line_ended(ending, at, items)

    def _wait_no_more(self, items: list[Item]) -> None:
        """Takes the lines that wait for the end of their block."""
        lines = self._pending[: self._waiting]
        del self._pending[: self._waiting]
        self._waiting = 0
        self._take_lines(lines, items)

    def _join_pending(self, lines: bytes, items: list[Item]) -> bytes:
        """Gives the lines with the beginning that was held back; takes the first one if it is long."""
        joined, self._pending = self._pending, bytearray()
        if len(joined) <= _STEP:
            return b"".join((joined, lines))
        end = min(at for at in (lines.find(b"\n"), lines.find(b"\r")) if at >= 0)
        joined += lines[:end]
        ending = b"\r\n" if lines.startswith(b"\r\n", end) else lines[end : end + 1]
        lines = lines[end + len(ending) :]
        last = self._at + len(joined) + len(ending) - 1
        self._take_line(joined, ending, last + len(lines), items)
        return lines

    def _take_data(self, stream: bytes, end: int, shape: Shape, items: list[Item]) -> bool:
        """The fast path for whole blocks up to `end`, each one data line. False, and nothing taken: they are not."""
        try:
            events = data_events(stream, end, shape, self._at, self._interpreter.last_event_id)
        except UnicodeDecodeError:
            return False
        if events is None:
            return False
        items += events
        self._at += end
        self._ending = shape.ending
        return True

    def _take_blocks(self, blocks: bytes, shape: Shape, items: list[Item]) -> bool:
        """The fast path for whole blocks. False, and nothing taken: they need the general path."""
        try:
            text = blocks.decode()
        except UnicodeDecodeError:
            return False
        if "\ufeff" in text or "\0" in text or not is_uniform(text, shape):
            return False
        self._take_rows(text, shape, items)
        if self._ending is None:
            self._ending = shape.ending
        return True

    def _take_rows(self, text: str, shape: Shape, items: list[Item]) -> None:
        """The fast path for blocks that differ, and for comments between them."""
        interpreter = self._interpreter
        at, last_event_id = self._at, interpreter.last_event_id
        ascii_only, late = text.isascii(), shape.late
        rows = shape.rows if shape.block.match(text) else shape.loose_rows
        for block, block_id, type_, data, odd in rows.findall(text):
            if odd:
                found = None if odd.startswith(":") else shape.loose.fullmatch(odd)
                if found is None:
                    self._at, interpreter.last_event_id = at, last_event_id
                    self._take_odd(odd, items)
                    at, last_event_id = self._at, interpreter.last_event_id
                    continue
                block, block_id, type_, data = found.groups("")
            if block_id:
                last_event_id = block_id
            if "\n" in data:
                data = join(data, shape)
            start, at = at, at + (len(block) if ascii_only else len(block.encode()))
            items.append(Event(type_ or "message", data, last_event_id, block_id or None, start, at - late))
        self._at, interpreter.last_event_id = at, last_event_id

    def _take_odd(self, odd: str, items: list[Item]) -> None:
        """Takes a comment and the empty line that may be after it; a block that is not plain goes line by line."""
        lines = odd.encode()
        if odd.startswith(":"):
            comment = lines.rstrip(b"\r\n")
            items.append(Comment(comment[1:].decode(), self._at, self._at + len(comment) + 1))
            self._at += len(lines)
        else:
            self._take_lines(lines, items)

    def _take_lines(self, lines: bytes | bytearray, items: list[Item]) -> None:
        """The general path, for whole lines."""
        last = self._at + len(lines) - 1
        for line in lines.splitlines(keepends=True):  # of bytes: at LF, CR and CRLF, nothing else
            content = line.rstrip(b"\r\n")
            if not self._take_line(content, line[len(content) :], last, items):
                return

    def _take_line(
        self, line: bytes | bytearray, ending: bytes | bytearray, last: int, items: list[Item]
    ) -> bool:
        """Takes one line and its ending. `last` is the last byte that has arrived. False: stopped."""
        start = self._at
        end = start + len(line)
        if end - start > self._limit:
            self._stop_at_line(line, start, items)
            return False
        self._interpreter.line(line, start, items)
        if self._interpreter.over_limit:
            self._stop(end + 1)
            return False
        self._at = end + len(ending)
        if ending != self._ending or end == last:
            if end == last and ending == b"\r":
                self._cr_at = end
            else:
                self._line_ended(bytes(ending), end, items)
        return True

    def _line_ended(self, ending: bytes, at: int, items: list[Item]) -> None:
        if self._ending is None:
            self._ending = ending
        elif self._ending not in (ending, b""):
            message = (
                f"a line ends in {_ENDINGS[ending]}, those before in {_ENDINGS[self._ending]} (said once)"
            )
            self._ending = b""
            self._reporter.report(items, Defect.MIXED_LINE_ENDINGS, message, at, ending)

    def _stop_at_line(self, line: bytes | bytearray, start: int, items: list[Item]) -> None:
        message = f"a line over the limit of {self._limit} bytes: decoding stops"
        # nothing but what fits: the report does not depend on where the chunks were cut
        self._reporter.report(items, Defect.TOO_LARGE, message, start, line[: self._limit + 1])
        self._stop(start + self._limit + 1)

    def _stop(self, at: int) -> None:
        """Stops at byte `at`, and keeps no memory."""
        self.stopped = True
        self._at = at
        self._pending = bytearray()
        self._interpreter.discard()
