"""h11's client, for who asks the same things again and again: the same request and the same head are made and read
once.

Where a response comes as a server of event streams sends it (the head, then whole chunks) nothing else of h11 is
needed. Whatever comes otherwise, h11 reads, from the point at which it departs from that; so it is h11 that says
what is wrong.
"""

import re
from collections import deque
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

import h11

LARGEST_HEAD: Final = 100 * 1024  # bytes; as httpcore has it
_SHORT: Final = 4096  # bytes of a head, or a body, that is worth remembering
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_END: Final = b"0\r\n\r\n"

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Asked(NamedTuple):
    """A request."""

    method: str
    target: bytes
    headers: Headers
    body: bytes


class Head(NamedTuple):
    """The head of a response."""

    status: int
    reason: bytes
    http_version: bytes
    headers: Headers


Part: TypeAlias = Head | bytes | None
"""Of a response: its head, a piece of its body, its end."""


class Client:
    """One request and its response. Raises `h11.LocalProtocolError`, and from `next` `h11.RemoteProtocolError`."""

    def __init__(self, asked: Asked) -> None:
        self.request = (_request_known if len(asked.body) <= _SHORT else _request)(asked)
        """What to send."""
        self.headed = False
        """The response has begun."""
        self._asked = asked
        self._head = b""
        self._parts: deque[Part] = deque()
        self._chunked = False
        self._length: int | None = None  # of a body that is still to come
        self._h11: h11.Connection | None = None  # takes over where it is needed

    def receive(self, data: bytes) -> None:
        """Take what came; b"" is the end of the connection."""
        if self._h11 is None and not self._take(data):
            self._by_h11().receive_data(data)
        elif self._h11 is not None:
            self._h11.receive_data(data)

    def next(self) -> Part | type[h11.NEED_DATA]:
        """The next part, or `h11.NEED_DATA`."""
        if self._parts:
            return self._parts.popleft()
        if self._h11 is None:
            return h11.NEED_DATA
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                return h11.NEED_DATA
            if isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse) and event.status_code == 101
            ):
                self.headed = True
                return _told(event)
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if not isinstance(event, h11.InformationalResponse):
                return None

    def again(self, asked: Asked) -> bytes | None:
        """What to send for another request on this connection; None: it takes no more."""
        connection = self._by_h11()
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return None
        connection.start_next_cycle()
        self.headed = False
        return _written(connection, asked)

    def _take(self, data: bytes) -> bool:
        """Whether this is as usual; then all of it is taken."""
        at, begun = 0, self.headed
        if not begun:
            at = data.find(b"\r\n\r\n") + 4
            known = _known(self._asked.method, data[:at]) if 4 <= at <= _SHORT else None
            if known is None:
                return False
            head, length = known
            self._head, self.headed, self._chunked, self._length = data[:at], True, length is None, length
            self._parts.append(head)
            if length == 0 and at == len(data):
                self._parts.append(None)
            if at == len(data):
                return True
        if self._length and len(data) - at == self._length:  # the body, in one piece
            self._parts.extend((data[at:], None))
            self._length = None
            return True
        parts: list[Part] = []
        while self._chunked and at < len(data):
            if data.startswith(_END, at) and at + len(_END) == len(data):
                parts.append(None)
                at += len(_END)
                break
            size = _CHUNK.match(data, at)
            end = size.end() + int(size[1], 16) if size is not None else len(data)
            if size is None or end == size.end() or data[end : end + 2] != b"\r\n":
                break
            parts.append(data[size.end() : end])
            at = end + 2
        if at == len(data) and at and self._chunked:
            self._parts.extend(parts)
            self._chunked = not parts or parts[-1] is not None
            return True
        if self.headed and not begun:  # h11 reads the head, too
            self._parts.pop()
            self._head, self.headed = b"", False
        return False

    def _by_h11(self) -> h11.Connection:
        """h11, which has read what was read up to here, but for whole chunks."""
        if self._h11 is None:
            self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
            _written(self._h11, self._asked)
            if self._head:
                self._h11.receive_data(self._head)
                self._h11.next_event()
        return self._h11


def _request(asked: Asked) -> bytes:
    return _written(h11.Connection(h11.CLIENT), asked)


_request_known = lru_cache(maxsize=256)(_request)


def _written(connection: h11.Connection, asked: Asked) -> bytes:
    method, target, headers, body = asked
    data: bytes = connection.send(h11.Request(method=method, target=target, headers=list(headers)))
    if body:
        data += connection.send(h11.Data(data=body))
    return data + connection.send(h11.EndOfMessage())


@lru_cache(maxsize=256)
def _known(method: str, data: bytes) -> tuple[Head, int | None] | None:
    """The head that h11 reads in this, and the length of the body (None: it is chunked). None where it does not read
    one, or one that takes more than that, as a redirect does."""
    if data.count(b"\n") != data.count(b"\r\n"):  # h11 takes a bare LF for the end of a line, and of a head
        return None
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
    _written(connection, Asked(method, b"/", ((b"host", b"a"),), b""))
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response) or 300 <= event.status_code < 400:
        return None
    if connection.next_event() is not h11.NEED_DATA:
        return _told(event), 0
    fields = [
        (name, value) for name, value in event.headers if name in (b"transfer-encoding", b"content-length")
    ]
    match fields:
        case [(b"transfer-encoding", b"chunked")]:
            return _told(event), None
        case [(b"content-length", length)]:
            return _told(event), int(length)
    return None


def _told(event: h11.Response | h11.InformationalResponse) -> Head:
    version = b"HTTP/" + event.http_version
    return Head(event.status_code, event.reason, version, tuple(event.headers.raw_items()))
