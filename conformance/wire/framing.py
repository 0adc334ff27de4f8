"""Finds the body in the bytes of an HTTP/1.1 response, sans-IO, and says where in the bytes it stands.

A link sees raw bytes: head, chunk sizes, body. Faults that understand event streams, and the record of what
reached the link when, need the body and its place in them. h11 gives the one without the other.

Source: RFC 9112, sections 6 and 7.1. Interim responses (1xx) and redirects are passed over; the first other
response counts, and what follows it on the connection is ignored.
"""

import re
from typing import Final, Literal, TypeAlias

Piece: TypeAlias = tuple[int, bytes]

_HEAD_LIMIT: Final = 100 * 1024  # bytes, of a line of the chunked coding too: as httpx has it
_REDIRECTS: Final = {b"301", b"302", b"303", b"307", b"308"}

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: .*)?", re.DOTALL)
_END_OF_HEAD = re.compile(rb"\n\r?\n")  # h11 and browsers take a lone LF, too
_FOLD = re.compile(rb"\n[ \t]+")  # RFC 9112, section 5.2
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(?:;.*)?", re.DOTALL)


class BodyFinder:
    """`feed` takes raw bytes and gives the pieces of body in them, each with its index in those bytes.

    `event_stream` is True once the head said `text/event-stream`. What is no HTTP/1.1 response, or has an
    endless head, yields nothing from there on.
    """

    def __init__(self) -> None:
        self.event_stream = False
        self._state: Literal["head", "size", "data", "data-end", "trailer", "rest", "done"] = "head"
        self._line = bytearray()
        self._left = 0
        self._chunked = False
        self._redirect = False

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces of body in `data`."""
        pieces: list[Piece] = []
        at = 0
        while at < len(data) and self._state != "done":
            match self._state:
                case "head":
                    at = self._read_head(data, at)
                case "size" | "data-end" | "trailer":
                    at = self._read_line(data, at)
                case "data":
                    end = min(len(data), at + self._left)
                    self._left -= end - at
                    if not self._redirect:
                        pieces.append((at, data[at:end]))
                    at = end
                    if self._left == 0:
                        self._end_data()
                case "rest":
                    if not self._redirect:
                        pieces.append((at, data[at:]))
                    at = len(data)
        return pieces

    def _read_head(self, data: bytes, at: int) -> int:
        before = len(self._line)
        self._line += data[at : at + _HEAD_LIMIT]
        end = _END_OF_HEAD.search(self._line, max(0, before - 2))
        if end is None:
            if len(self._line) > _HEAD_LIMIT:
                self._stop()
            return len(data)
        head = bytes(self._line[: end.start()])
        self._line.clear()
        self._begin(head)
        return at + end.end() - before

    def _begin(self, head: bytes) -> None:
        first, _, rest = _FOLD.sub(b" ", head.replace(b"\r\n", b"\n")).partition(b"\n")
        status = _STATUS_LINE.fullmatch(first.removesuffix(b"\r"))
        if status is None:
            self._stop()
            return
        if status[1].startswith(b"1"):  # the real head is still to come
            return
        fields: dict[bytes, bytes] = {}
        for line in rest.split(b"\n"):
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip().lower()
        self._redirect = status[1] in _REDIRECTS and b"location" in fields
        self.event_stream = fields.get(b"content-type", b"").startswith(b"text/event-stream")
        length = fields.get(b"content-length", b"").partition(b",")[0].strip()  # several must be the same
        self._chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
        if status[1] in {b"204", b"304"}:
            self._end_body()
        elif self._chunked:
            self._state = "size"
        elif length.isdigit() and len(length) <= 20:
            self._left = int(length)
            self._state = "data"
            if self._left == 0:
                self._end_body()
        else:
            self._state = "rest"

    def _read_line(self, data: bytes, at: int) -> int:
        """One line of the chunked coding: a size, the empty line after a chunk's data, or a trailer."""
        newline = data.find(b"\n", at)
        end = len(data) if newline < 0 else newline + 1
        self._line += data[at : min(end, at + _HEAD_LIMIT + 1)]
        if len(self._line) > _HEAD_LIMIT:
            self._stop()
        elif newline >= 0:
            line = bytes(self._line[:-1]).removesuffix(b"\r")
            self._line.clear()
            self._end_line(line)
        return end

    def _end_line(self, line: bytes) -> None:
        if self._state == "trailer":
            if not line:
                self._end_body()
        elif self._state == "data-end":
            self._state = "size"
            if line:
                self._stop()
        elif size := _CHUNK_SIZE.fullmatch(line):
            self._left = int(size[1], 16)
            self._state = "data" if self._left else "trailer"
        else:
            self._stop()

    def _end_data(self) -> None:
        if self._chunked:
            self._state = "data-end"
        else:
            self._end_body()

    def _end_body(self) -> None:
        self._state = "head" if self._redirect else "done"

    def _stop(self) -> None:
        self._state = "done"
        self._line = bytearray()
