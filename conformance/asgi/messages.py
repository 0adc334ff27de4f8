"""What an application may send, checked: sans-IO, one message at a time."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from conformance.asgi.types import Message

_START = "http.response.start"
_BODY = "http.response.body"
_REFUSED: Mapping[str, str] = {
    "http.response.trailers": "trailers",
    "http.response.push": "HTTP push",
    "http.response.pathsend": "pathsend",
    "http.response.zerocopysend": "zero copy send",
    "http.response.early_hint": "early hints",
    "http.response.debug": "the debug extension",
    "websocket.": "websockets",
}


class ProtocolError(RuntimeError):
    """The application broke the protocol; the text says how."""


class Head(msgspec.Struct, frozen=True):
    """The start of the response. Names and values as text that is Latin-1 on the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]


class Piece(msgspec.Struct, frozen=True):
    """A part of the body; the last one ends the response."""

    data: bytes
    last: bool


Part: TypeAlias = Head | Piece


class Sequence:
    """The order that a response must have: one start, any number of bodies, one last."""

    def __init__(self) -> None:
        self.started = False
        self.complete = False

    def take(self, message: Message) -> Part:
        """Check the next message. Raises `ProtocolError`, and then stands where it stood."""
        kind = _kind(message)
        if self.complete:
            raise ProtocolError(f"{kind!r} was sent after the response was complete")
        if kind == _START:
            if self.started:
                raise ProtocolError(f"{_START!r} was sent a second time")
            head = _head(message)
            self.started = True
            return head
        if not self.started:
            raise ProtocolError(f"{kind!r} was sent before {_START!r}")
        piece = _piece(message)
        self.complete = piece.last
        return piece


def _kind(message: Message) -> str:
    if not isinstance(message, Mapping):
        raise ProtocolError(f"a message is a dict, not {type(message).__name__}")
    kind = message.get("type")
    if kind in (_START, _BODY):
        return str(kind)
    for prefix, what in _REFUSED.items():
        if isinstance(kind, str) and kind.startswith(prefix):
            raise ProtocolError(f"{kind!r}: {what}: not supported by this server, nor announced in the scope")
    raise ProtocolError(f"there is no message of type {kind!r} for a response")


def _head(message: Message) -> Head:
    status = message.get("status")
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise ProtocolError(f"status is a number from 200 to 999, not {status!r}")
    if message.get("trailers"):
        raise ProtocolError("trailers: not supported by this server, nor announced in the scope")
    headers = message.get("headers", ())
    if isinstance(headers, str | bytes | Mapping) or not isinstance(headers, Iterable):
        raise ProtocolError(f"headers is an iterable of [name, value], not {type(headers).__name__}")
    return Head(int(status), tuple(map(_header, headers)))


def _header(pair: Any) -> tuple[str, str]:
    try:
        name, value = pair
        return bytes(memoryview(name)).decode("latin-1"), bytes(memoryview(value)).decode("latin-1")
    except (TypeError, ValueError):
        raise ProtocolError(f"a header is [name, value], both bytes, not {pair!r}") from None


def _piece(message: Message) -> Piece:
    body = message.get("body", b"")
    if not isinstance(body, bytes | bytearray | memoryview):
        raise ProtocolError(f"body is bytes, not {type(body).__name__}")
    return Piece(bytes(body), last=not message.get("more_body", False))
