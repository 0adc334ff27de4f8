"""Finds the body in the bytes of an HTTP/1.1 response, sans-IO, and says where in the bytes it stands.

A link sees raw bytes: head, chunk sizes, body. Faults that understand event streams, and the record of what
reached the link when, need the body and its place in them. h11 gives the one without the other.

Source: RFC 9112, sections 6 and 7.1. One response; what follows it on the connection is ignored.
"""

from typing import Literal, TypeAlias

Piece: TypeAlias = tuple[int, bytes]

_HEAD_LIMIT = 64 * 1024
_LINE_LIMIT = 4 * 1024


class BodyFinder:
    """`feed` takes raw bytes and gives the pieces of body in them, each with its index in those bytes.

    `event_stream` is True once the head said `text/event-stream`. What is no HTTP/1.1 response, or has an
    endless head, yields nothing.
    """

    def __init__(self) -> None:
        self.event_stream = False
        self._state: Literal["head", "size", "data", "data-end", "rest", "done"] = "head"
        self._line = bytearray()
        self._left = 0
        self._chunked = False

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces of body in `data`."""
        pieces: list[Piece] = []
        at = 0
        while at < len(data) and self._state != "done":
            match self._state:
                case "head":
                    at = self._read_head(data, at)
                case "size" | "data-end":
                    at = self._read_line(data, at)
                case "data":
                    end = min(len(data), at + self._left)
                    pieces.append((at, data[at:end]))
                    self._left -= end - at
                    at = end
                    if self._left == 0:
                        self._state = "data-end" if self._chunked else "done"
                case "rest":
                    pieces.append((at, data[at:]))
                    at = len(data)
        return pieces

    def _read_head(self, data: bytes, at: int) -> int:
        before = len(self._line)
        self._line += data[at : at + _HEAD_LIMIT]
        end = self._line.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            if len(self._line) > _HEAD_LIMIT:
                self._state = "done"
            return len(data)
        head = bytes(self._line[:end])
        self._line.clear()
        self._begin(head)
        return at + end + 4 - before

    def _begin(self, head: bytes) -> None:
        status, _, rest = head.partition(b"\r\n")
        fields: dict[bytes, bytes] = {}
        for line in rest.split(b"\r\n"):
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip().lower()
        parts = status.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1."):
            self._state = "done"
            return
        if parts[1].startswith(b"1"):  # 1xx: the real head is still to come
            return
        self.event_stream = fields.get(b"content-type", b"").startswith(b"text/event-stream")
        length = fields.get(b"content-length", b"")
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            self._chunked = True
            self._state = "size"
        elif length.isdigit() and len(length) < 20:
            self._left = int(length)
            self._state = "data" if self._left else "done"
        else:
            self._state = "done" if parts[1] in {b"204", b"304"} else "rest"

    def _read_line(self, data: bytes, at: int) -> int:
        """One line of the chunked coding: a size, or the empty line after a chunk's data."""
        newline = data.find(b"\n", at)
        end = len(data) if newline < 0 else newline + 1
        self._line += data[at : min(end, at + _LINE_LIMIT)]
        if len(self._line) > _LINE_LIMIT:
            self._state = "done"
        elif newline >= 0:
            self._end_line(bytes(self._line).strip())
            self._line.clear()
        return end

    def _end_line(self, line: bytes) -> None:
        if self._state == "data-end":
            self._state = "size"
            return
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            self._left = 0
        self._state = "data" if self._left > 0 else "done"
